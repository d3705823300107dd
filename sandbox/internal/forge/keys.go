package forge

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keyView is a deploy key as GitHub lists it.
type keyView struct {
	ID        uint64  `json:"id"`
	Key       string  `json:"key"`
	URL       string  `json:"url"`
	Title     string  `json:"title"`
	Verified  bool    `json:"verified"`
	CreatedAt string  `json:"created_at"`
	ReadOnly  bool    `json:"read_only"`
	AddedBy   string  `json:"added_by"`
	LastUsed  *string `json:"last_used"`
	Enabled   bool    `json:"enabled"`
}

func (s *server) keyView(request *call, key *deployKey) keyView {
	return keyView{
		ID: key.ID, Key: key.Key, Title: key.Title, Verified: true, ReadOnly: key.ReadOnly, AddedBy: key.AddedBy,
		URL:       request.base + "/repos/" + request.repository.fullName() + "/keys/" + decimal(key.ID),
		CreatedAt: timestamp(key.CreatedAt),
		LastUsed:  optionalTimestamp(key.LastUsed),
		Enabled:   !s.switches.current().DeployKeysDisabled,
	}
}

func (s *server) listKeys(request *call) (reply, error) {
	views := []keyView{}
	for _, key := range request.repository.Keys {
		views = append(views, s.keyView(request, key))
	}
	return listed(request, views), nil
}

func (s *server) getKey(request *call) (reply, error) {
	id, err := strconv.ParseUint(request.PathValue("id"), 10, 64)
	at := slices.IndexFunc(request.repository.Keys, func(key *deployKey) bool { return key.ID == id })
	if err != nil || at < 0 {
		return notFound(""), nil
	}
	return found(s.keyView(request, request.repository.Keys[at])), nil
}

func (s *server) createKey(request *call) (reply, error) {
	var input struct {
		Title    string `json:"title"`
		Key      string `json:"key"`
		ReadOnly bool   `json:"read_only"`
	}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	if s.switches.current().DeployKeysDisabled {
		return invalid(detail{Resource: "PublicKey", Code: "custom", Message: "Deploy keys are disabled for this repository"}), nil
	}
	line, comment, ok := parsePublicKey(input.Key)
	if !ok {
		return invalid(detail{Resource: "PublicKey", Code: "custom", Field: "key",
			Message: "key is invalid. You must supply a key in OpenSSH public key format"}), nil
	}
	if input.Title == "" {
		input.Title = comment
	}
	made := &deployKey{Title: input.Title, Key: line, ReadOnly: input.ReadOnly, AddedBy: s.options.Login, CreatedAt: now()}
	err := s.store.update(func(next *state) error {
		target := next.repositoryByID(request.repository.ID)
		if target == nil {
			return errAbsent
		}
		// A public key opens one door only, whoever's it is.
		if _, taken := next.deployKey(line); taken != nil || line == s.userKey {
			return errTaken
		}
		made.ID = next.takeID()
		target.Keys = append(target.Keys, made)
		return nil
	})
	if errors.Is(err, errTaken) {
		return invalid(detail{Resource: "PublicKey", Code: "custom", Field: "key", Message: "key is already in use"}), nil
	}
	view := s.keyView(request, made)
	return settle(err, created(view, view.URL))
}

// deleteKey is also how a key is changed: GitHub has no update.
func (s *server) deleteKey(request *call) (reply, error) {
	id, err := strconv.ParseUint(request.PathValue("id"), 10, 64)
	if err != nil {
		return notFound(""), nil
	}
	err = s.store.update(func(next *state) error {
		target := next.repositoryByID(request.repository.ID)
		if target == nil {
			return errAbsent
		}
		before := len(target.Keys)
		target.Keys = slices.DeleteFunc(target.Keys, func(key *deployKey) bool { return key.ID == id })
		if len(target.Keys) == before {
			return errAbsent
		}
		return nil
	})
	return settle(err, gone())
}

// keyTypes are those that GitHub takes; DSA and certificates are not among them.
var keyTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// parsePublicKey reads one public key of OpenSSH's format without options, and returns it without its comment.
func parsePublicKey(text string) (line, comment string, ok bool) {
	text = strings.TrimSpace(text)
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 || !slices.Contains(keyTypes, key.Type()) {
		return "", "", false
	}
	// ParseAuthorizedKey skips lines that are no key; GitHub does not.
	if !strings.HasPrefix(text, key.Type()+" ") {
		return "", "", false
	}
	return keyLine(key), comment, true
}

package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// firstID is above 2^31, as many of GitHub's ids are by now: a client that keeps them in 32 bits breaks here too.
const firstID = 3_000_000_001

// state is everything the forge knows beside the content of its Git repositories. A state that was published by the
// store is never changed: an update works on a copy.
type state struct {
	NextID        uint64        `json:"next_id"`
	User          account       `json:"user"`
	Organizations []account     `json:"organizations"`
	Repositories  []*repository `json:"repositories"`

	Apps               []*app              `json:"apps,omitempty"`
	InstallationTokens []installationToken `json:"installation_tokens,omitempty"`
}

type account struct {
	ID    uint64 `json:"id"`
	Login string `json:"login"`
}

type repository struct {
	ID          uint64       `json:"id"`
	Owner       string       `json:"owner"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Private     bool         `json:"private"`
	CreatedAt   time.Time    `json:"created_at"`
	FormerNames []string     `json:"former_names"`
	Keys        []*deployKey `json:"keys"`
	Hooks       []*hook      `json:"hooks"`
	Pulls       []*pull      `json:"pulls"`
}

type deployKey struct {
	ID        uint64     `json:"id"`
	Title     string     `json:"title"`
	Key       string     `json:"key"`
	ReadOnly  bool       `json:"read_only"`
	AddedBy   string     `json:"added_by"`
	CreatedAt time.Time  `json:"created_at"`
	LastUsed  *time.Time `json:"last_used"`
}

type hook struct {
	ID        uint64     `json:"id"`
	Active    bool       `json:"active"`
	Events    []string   `json:"events"`
	Config    hookConfig `json:"config"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

type hookConfig struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type"`
	Secret      string `json:"secret,omitempty"`
	InsecureSSL string `json:"insecure_ssl"`
}

type pull struct {
	ID        uint64    `json:"id"`
	Number    uint64    `json:"number"`
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	Head      string    `json:"head"`
	Base      string    `json:"base"`
	Draft     bool      `json:"draft"`
	CreatedAt time.Time `json:"created_at"`
}

// fullName is OWNER/NAME.
func (r *repository) fullName() string { return r.Owner + "/" + r.Name }

// takeID returns an id that no object of this forge has had.
func (s *state) takeID() uint64 {
	id := s.NextID
	s.NextID++
	return id
}

// account finds the user or an organization; GitHub's names ignore case.
func (s *state) account(login string) (found account, organization, exists bool) {
	if strings.EqualFold(s.User.Login, login) {
		return s.User, false, true
	}
	for _, candidate := range s.Organizations {
		if strings.EqualFold(candidate.Login, login) {
			return candidate, true, true
		}
	}
	return account{}, false, false
}

// repository finds a repository by its present name, or returns nil.
func (s *state) repository(owner, name string) *repository {
	for _, candidate := range s.Repositories {
		if strings.EqualFold(candidate.Owner, owner) && strings.EqualFold(candidate.Name, name) {
			return candidate
		}
	}
	return nil
}

// repositoryByID finds a repository by its id, or returns nil.
func (s *state) repositoryByID(id uint64) *repository {
	for _, candidate := range s.Repositories {
		if candidate.ID == id {
			return candidate
		}
	}
	return nil
}

// renamed finds the repository that had this name before, or returns nil.
func (s *state) renamed(owner, name string) *repository {
	for _, candidate := range s.Repositories {
		for _, former := range candidate.FormerNames {
			if strings.EqualFold(former, owner+"/"+name) {
				return candidate
			}
		}
	}
	return nil
}

// deployKey finds the one place where a public key (type and base64) is registered; nil when nowhere.
func (s *state) deployKey(line string) (*repository, *deployKey) {
	for _, repository := range s.Repositories {
		for _, key := range repository.Keys {
			if key.Key == line {
				return repository, key
			}
		}
	}
	return nil, nil
}

// store publishes the state and keeps it on disk.
type store struct {
	path      string
	writing   sync.Mutex
	published atomic.Pointer[state]
}

func openStore(folder, login, owner string) (*store, error) {
	opened := &store{path: filepath.Join(folder, stateFile)}
	known := &state{NextID: firstID}
	text, err := os.ReadFile(opened.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the forge's state: %w", err)
	default:
		if err := json.Unmarshal(text, known); err != nil {
			return nil, fmt.Errorf("parse the forge's state %s: %w", opened.path, err)
		}
	}
	for _, name := range []string{login, owner} {
		if name != "" && !ownerPattern.MatchString(name) {
			return nil, fmt.Errorf("%q cannot be the name of a GitHub account", name)
		}
	}
	if known.User.ID != 0 && known.User.Login != login {
		return nil, fmt.Errorf("the forge in %s belongs to %q, not to %q", folder, known.User.Login, login)
	}
	opened.published.Store(known)
	return opened, opened.update(func(next *state) error {
		if next.User.ID == 0 {
			next.User = account{ID: next.takeID(), Login: login}
		}
		if _, _, exists := next.account(owner); owner != "" && !exists {
			next.Organizations = append(next.Organizations, account{ID: next.takeID(), Login: owner})
		}
		return nil
	})
}

// current is the state as last published; it must not be changed.
func (s *store) current() *state { return s.published.Load() }

// update applies a change to a copy and publishes it once it is on disk. Readers see all of it or nothing; an error
// of the change leaves everything as it was and is returned as it is.
func (s *store) update(change func(*state) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	next, err := s.current().copy()
	if err != nil {
		return err
	}
	if err := change(next); err != nil {
		return err
	}
	text, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the forge's state: %w", err)
	}
	if err := writeFile(s.path, append(text, '\n')); err != nil {
		return err
	}
	s.published.Store(next)
	return nil
}

func (s *state) copy() (*state, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the forge's state: %w", err)
	}
	duplicate := new(state)
	if err := json.Unmarshal(text, duplicate); err != nil {
		return nil, fmt.Errorf("copy the forge's state: %w", err)
	}
	return duplicate, nil
}

// markUsed notes when a deploy key was used, to the minute: a sync of hundreds of applications is one write.
func (s *store) markUsed(keyID uint64) error {
	now := time.Now().UTC()
	fresh := func(key *deployKey) bool { return key.LastUsed != nil && now.Sub(*key.LastUsed) < time.Minute }
	has := func(key *deployKey) bool { return key.ID == keyID }
	for _, repository := range s.current().Repositories {
		if at := slices.IndexFunc(repository.Keys, has); at >= 0 && fresh(repository.Keys[at]) {
			return nil
		}
	}
	return s.update(func(next *state) error {
		for _, repository := range next.Repositories {
			if at := slices.IndexFunc(repository.Keys, has); at >= 0 {
				repository.Keys[at].LastUsed = &now
			}
		}
		return nil
	})
}

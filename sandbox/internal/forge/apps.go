package forge

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A GitHub App proves itself by a JSON Web Token that it signs with its private key, and gets a token for one of its
// installations by that (docs.github.com, "Authenticating as a GitHub App installation"). Here an App is registered by
// POST /_sandbox/apps with its public key, as GitHub's pages do it, and is installed on one account with that.
const (
	// installationPrefix is what the token of an installation begins with.
	installationPrefix = "ghs_"
	// installationLife is how long such a token lives.
	installationLife = time.Hour
	// assertionLife is how long a JSON Web Token of an App may live at most.
	assertionLife = 10 * time.Minute
	// clockSkew is how wrong the clock of an App may be.
	clockSkew = time.Minute
)

// appPermissions are those of each App: it fetches, and nothing more.
var appPermissions = map[string]string{"contents": "read", "metadata": "read"}

// app is a GitHub App with its one installation.
type app struct {
	ID           uint64    `json:"id"`
	Slug         string    `json:"slug"`
	PublicKey    string    `json:"public_key"`
	Installation uint64    `json:"installation"`
	Account      string    `json:"account"`
	CreatedAt    time.Time `json:"created_at"`
}

// installationToken is a token that an App got; its text is not kept.
type installationToken struct {
	Hash    string    `json:"hash"`
	App     uint64    `json:"app"`
	Expires time.Time `json:"expires"`
	// Repositories are the ids of those that it is for; all of the account when empty.
	Repositories []uint64 `json:"repositories,omitempty"`
}

// identify finds who a credential belongs to, or returns nil.
func (s *server) identify(text string) *token {
	if !strings.HasPrefix(text, installationPrefix) {
		return s.tokens.find(text)
	}
	known := s.store.current()
	hash := hashOf(text)
	for _, issued := range known.InstallationTokens {
		if issued.Hash != hash || !time.Now().Before(issued.Expires) {
			continue
		}
		if of := known.app(issued.App); of != nil {
			return &token{name: of.Slug + "[bot]", right: rightRead, installation: of.Account, repositories: issued.Repositories}
		}
	}
	return nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// app finds an App by its id, or returns nil.
func (s *state) app(id uint64) *app {
	for _, candidate := range s.Apps {
		if candidate.ID == id {
			return candidate
		}
	}
	return nil
}

// assertedApp finds the App that signed the request's JSON Web Token, or returns nil with what GitHub says to others.
func (c *call) assertedApp() (*app, string) {
	var signer *app
	claims := jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(credential(c.Request), &claims, func(*jwt.Token) (any, error) {
		id, err := strconv.ParseUint(claims.Issuer, 10, 64)
		if err != nil {
			return nil, err
		}
		if signer = c.known.app(id); signer == nil {
			return nil, errAbsent
		}
		return jwt.ParseRSAPublicKeyFromPEM([]byte(signer.PublicKey))
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockSkew))
	switch {
	case err != nil:
		return nil, "A JSON web token could not be decoded"
	case time.Until(claims.ExpiresAt.Time) > assertionLife+clockSkew:
		return nil, "'Expiration time' claim ('exp') is too far in the future"
	}
	return signer, ""
}

// registerApp stands for GitHub's pages on which a person makes an App and installs it.
func (s *server) registerApp(request *call) (reply, error) {
	var input struct {
		Slug      string `json:"slug"`
		Account   string `json:"account"`
		PublicKey string `json:"public_key"`
	}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	if _, err := jwt.ParseRSAPublicKeyFromPEM([]byte(input.PublicKey)); err != nil || !ownerPattern.MatchString(input.Slug) {
		return failure(http.StatusBadRequest, "An App has a slug and an RSA public key in PEM", ""), nil
	}
	if _, _, exists := request.known.account(input.Account); !exists {
		return notFound(""), nil
	}
	made := &app{Slug: input.Slug, PublicKey: input.PublicKey, Account: input.Account, CreatedAt: now()}
	err := s.store.update(func(next *state) error {
		made.ID, made.Installation = next.takeID(), next.takeID()
		next.Apps = append(next.Apps, made)
		return nil
	})
	return created(made, request.base+"/app"), err
}

func (s *server) getApp(request *call) (reply, error) {
	of := request.app
	return found(map[string]any{
		"id": of.ID, "slug": of.Slug, "name": of.Slug, "owner": request.account(of.Account), "permissions": appPermissions,
		"events": []string{}, "html_url": request.address + "/apps/" + of.Slug, "created_at": timestamp(of.CreatedAt),
		"updated_at": timestamp(of.CreatedAt), "installations_count": 1,
	}), nil
}

// getRepositoryInstallation says by which installation an App sees a repository.
func (s *server) getRepositoryInstallation(request *call) (reply, error) {
	of := request.app
	if !strings.EqualFold(of.Account, request.repository.Owner) {
		return notFound(""), nil
	}
	account := request.account(of.Account)
	return found(map[string]any{
		"id": of.Installation, "app_id": of.ID, "app_slug": of.Slug, "account": account, "target_type": account.Type,
		"permissions": appPermissions, "events": []string{}, "repository_selection": "all",
		"access_tokens_url": request.base + "/app/installations/" + decimal(of.Installation) + "/access_tokens",
	}), nil
}

// createInstallationToken gives an App a token for its installation, for all of its repositories or for those named.
func (s *server) createInstallationToken(request *call) (reply, error) {
	of := request.app
	if request.PathValue("id") != decimal(of.Installation) {
		return notFound(""), nil
	}
	var input struct {
		Repositories []string `json:"repositories"`
	}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	issued := installationToken{App: of.ID, Expires: now().Add(installationLife)}
	for _, name := range input.Repositories {
		known := request.known.repository(of.Account, name)
		if known == nil {
			return failure(http.StatusUnprocessableEntity,
				"There is at least one repository that does not exist or is not accessible to the parent installation.", ""), nil
		}
		issued.Repositories = append(issued.Repositories, known.ID)
	}
	text := installationPrefix + rand.Text()
	issued.Hash = hashOf(text)
	err := s.store.update(func(next *state) error {
		next.InstallationTokens = slices.DeleteFunc(next.InstallationTokens, func(old installationToken) bool {
			return !time.Now().Before(old.Expires)
		})
		next.InstallationTokens = append(next.InstallationTokens, issued)
		return nil
	})
	selection := "all"
	if len(issued.Repositories) > 0 {
		selection = "selected"
	}
	return created(map[string]any{
		"token": text, "expires_at": timestamp(issued.Expires), "permissions": appPermissions, "repository_selection": selection,
	}, request.base+"/installation"), err
}

package forge

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// right is what a credential may do with a repository; each includes those before it.
type right int

const (
	rightNone right = iota
	rightRead
	rightWrite
	rightAdmin
	// rightApp is no credential's: a request that asks for it is an App's own, with a JSON Web Token.
	rightApp
)

// Names of the tokens, which are also their files' names in [TokensFolder].
const (
	// TokenAdmin may do everything: manage repositories, keys and hooks, push.
	TokenAdmin = "admin"
	// TokenClassic may do the same as a classic token with broad scopes.
	TokenClassic = "classic"
	// TokenExpiring may do the same and expires in five days.
	TokenExpiring = "expiring"
	// TokenWrite may push and open pull requests; keys and hooks are 404 to it.
	TokenWrite = "write"
	// TokenRead may fetch and read.
	TokenRead = "read"
	// TokenExpired is refused with 401.
	TokenExpired = "expired"
	// TokenSSO is refused with 403 and X-GitHub-SSO wherever an owner's data are concerned.
	TokenSSO = "sso"
)

// TokenNames lists the tokens that a forge has.
var TokenNames = []string{TokenAdmin, TokenClassic, TokenExpiring, TokenWrite, TokenRead, TokenExpired, TokenSSO}

// classicScopes are the scopes of the classic token, as GitHub sends them in X-OAuth-Scopes.
const classicScopes = "admin:org, admin:repo_hook, delete_repo, repo, workflow"

// expiringIn is how long the expiring token still lives at any time.
const expiringIn = 5 * 24 * time.Hour

// token is a known credential; its text is kept nowhere but in its file and the hash that finds it.
type token struct {
	name  string
	right right
	// installation is the account that the token of a GitHub App is for, and repositories are the ids of those below it
	// that it is for, all when empty. Other tokens are for everything.
	installation string
	repositories []uint64
}

// sees says whether there is such a repository for this credential.
func (t *token) sees(r *repository) bool {
	if t.installation == "" {
		return true
	}
	return strings.EqualFold(t.installation, r.Owner) && (len(t.repositories) == 0 || slices.Contains(t.repositories, r.ID))
}

func (t *token) expired() bool { return t.name == TokenExpired }
func (t *token) sso() bool     { return t.name == TokenSSO }
func (t *token) classic() bool { return t.name == TokenClassic }

// tokens finds a token by the SHA-256 of its text, so that a lookup takes the same time for any wrong text.
type tokens map[[sha256.Size]byte]*token

func (t tokens) find(text string) *token { return t[sha256.Sum256([]byte(text))] }

func tokenRight(name string) right {
	switch name {
	case TokenAdmin, TokenClassic, TokenExpiring:
		return rightAdmin
	case TokenWrite:
		return rightWrite
	case TokenRead, TokenSSO:
		return rightRead
	default:
		return rightNone
	}
}

func ensureTokens(folder string) error {
	for _, name := range TokenNames {
		path := filepath.Join(folder, TokensFolder, name)
		exists, err := fileExists(path)
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		// The prefixes are GitHub's, so that a client's and a secret scanner's recognition of tokens is tested too.
		prefix := "github_pat_"
		if name == TokenClassic {
			prefix = "ghp_"
		}
		if err := writeFile(path, []byte(prefix+rand.Text()+"\n")); err != nil {
			return err
		}
	}
	return nil
}

func readTokens(folder string) (tokens, error) {
	known := tokens{}
	for _, name := range TokenNames {
		text, err := os.ReadFile(filepath.Join(folder, TokensFolder, name))
		if err != nil {
			return nil, fmt.Errorf("read a token of the forge: %w", err)
		}
		trimmed := strings.TrimSpace(string(text))
		if trimmed == "" {
			return nil, fmt.Errorf("the token file %s is empty; remove it to get a new token", name)
		}
		known[sha256.Sum256([]byte(trimmed))] = &token{name: name, right: tokenRight(name)}
	}
	return known, nil
}

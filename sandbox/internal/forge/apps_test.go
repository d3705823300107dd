package forge

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// testApp is an App with its private key.
type testApp struct {
	app
	key *rsa.PrivateKey
}

// newApp registers an App that is installed on acme.
func (s *sandbox) newApp(slug string) testApp {
	s.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		s.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	answer := s.call(TokenAdmin, "POST", controlPrefix+"apps", map[string]any{"slug": slug, "account": "acme", "public_key": text}, http.StatusCreated)
	made := testApp{key: key}
	if err := json.Unmarshal(answer.text, &made.app); err != nil {
		s.Fatal(err)
	}
	return made
}

// assertion is a JSON Web Token of the App that is good for so long.
func (a testApp) assertion(t *testing.T, life time.Duration) string {
	t.Helper()
	now := time.Now()
	claims := jwt.RegisteredClaims{Issuer: decimal(a.ID), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life))}
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// installationToken gets a token for the App's installation.
func (s *sandbox) installationToken(of testApp, repositories ...string) string {
	s.Helper()
	answer := s.call(of.assertion(s.T, time.Minute), "POST", "/app/installations/"+decimal(of.Installation)+"/access_tokens",
		map[string]any{"repositories": repositories}, http.StatusCreated)
	return s.object(answer)["token"].(string)
}

func TestAnAppGetsATokenForItsInstallationAndFetchesWithIt(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	forge.filled("other")
	of := forge.newApp("bootstrap")
	found := forge.object(forge.call(of.assertion(t, time.Minute), "GET", "/repos/acme/fleet/installation", nil, http.StatusOK))
	if uint64(found["id"].(float64)) != of.Installation {
		t.Errorf("the installation is %v", found["id"])
	}
	token := forge.installationToken(of, "fleet")
	forge.git("", tree, "ls-remote", "--exit-code", forge.withToken("acme/fleet", token), "refs/heads/main")
	forge.refused("not found", "", tree, "ls-remote", forge.withToken("acme/other", token))
	forge.git("", tree, "ls-remote", "--exit-code", forge.withToken("acme/other", forge.installationToken(of)), "refs/heads/main")
	forge.refused("403", "", tree, "push", forge.withToken("acme/fleet", token), "main:refs/heads/more")
	forge.call(token, "GET", "/repos/acme/fleet/branches/main", nil, http.StatusOK)
	forge.call(token, "GET", "/repos/acme/other", nil, http.StatusNotFound)
	forge.call(token, "GET", "/repos/acme/fleet/hooks", nil, http.StatusForbidden)

	for _, entry := range forge.log() {
		if text, _ := json.Marshal(entry); strings.Contains(string(text), strings.TrimPrefix(token, installationPrefix)) {
			t.Errorf("the token is in the log: %s", text)
		}
	}
	forge.stop()
	again := serve(t, forge.folder)
	again.git("", tree, "ls-remote", "--exit-code", again.withToken("acme/fleet", token), "refs/heads/main")
}

func TestWhatNoAppHasSignedIsRefused(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	of, other := forge.newApp("one"), forge.newApp("two")
	forged := other
	forged.app = of.app
	for _, text := range []string{
		forged.assertion(t, time.Minute), of.assertion(t, time.Hour), of.assertion(t, -2*time.Minute), TokenAdmin, "",
	} {
		forge.call(text, "GET", "/app", nil, http.StatusUnauthorized)
	}
	path := "/app/installations/" + decimal(of.Installation) + "/access_tokens"
	forge.call(other.assertion(t, time.Minute), "POST", path, nil, http.StatusNotFound)
	forge.call(of.assertion(t, time.Minute), "POST", path, map[string]any{"repositories": []string{"nothing"}}, http.StatusUnprocessableEntity)
	forge.call(of.assertion(t, time.Minute), "GET", "/app", nil, http.StatusOK)
	forge.call(TokenRead, "POST", controlPrefix+"apps", nil, http.StatusForbidden)
}

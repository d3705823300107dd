package forge

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
)

// withToken is the clone address with a token as password.
func (s *sandbox) withToken(repository, token string) string {
	return strings.Replace(s.web, "http://", "http://x-access-token:"+s.token(token)+"@", 1) + "/" + repository + ".git"
}

func TestATokenClonesAndPushesOverHTTPByItsRights(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	url := func(token string) string { return forge.withToken("acme/fleet", token) }
	for _, token := range []string{TokenAdmin, TokenWrite, TokenRead} {
		forge.git("", tree, "ls-remote", "--exit-code", url(token), "refs/heads/main")
		forge.git("", tree, "-c", "protocol.version=0", "ls-remote", "--exit-code", url(token), "refs/heads/main")
	}
	forge.git("", forge.TempDir(), "clone", "--quiet", url(TokenRead), "copy")

	forge.commit(tree, "second", "2")
	forge.refused("403", "", tree, "push", url(TokenRead), "main")
	forge.git("", tree, "push", "--quiet", url(TokenWrite), "main")

	forge.refused("terminal prompts disabled", "", tree, "ls-remote", forge.web+"/acme/fleet.git")
	forge.refused("Authentication failed", "", tree, "ls-remote", url("wrong"))
	forge.refused("Authentication failed", "", tree, "ls-remote", url(TokenExpired))
	forge.refused("403", "", tree, "ls-remote", url(TokenSSO))
	forge.refused("not found", "", tree, "ls-remote", forge.withToken("acme/unknown", TokenAdmin))
}

func TestAPushLargerThanGitsPostBufferArrivesOverHTTP(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	for index := range content {
		content[index] ^= byte(index * index >> 7)
	}
	if err := os.WriteFile(tree+"/large", content, 0o600); err != nil {
		t.Fatal(err)
	}
	head := forge.commit(tree, "small", "s")
	forge.git("", tree, "-c", "http.postBuffer=65536", "-c", "core.compression=0", "push", "--quiet",
		forge.withToken("acme/fleet", TokenWrite), "main")
	if got := forge.git("", tree, "ls-remote", forge.withToken("acme/fleet", TokenRead), "refs/heads/main"); !strings.HasPrefix(got, head) {
		t.Errorf("main is %s, want %s", got, head)
	}
}

func TestHTTPPathsOutsideTheRepositoriesAreRefused(t *testing.T) {
	forge := start(t)
	forge.filled("fleet")
	for _, path := range []string{
		"/acme/..%2Facme%2Ffleet/info/refs?service=git-upload-pack", "/../repositories/acme/fleet.git/info/refs?service=git-upload-pack",
		"/acme/unknown/info/refs?service=git-upload-pack", "/acme/fleet.git/HEAD", "/acme/fleet.git/objects/info/packs",
	} {
		if answer, err := forge.request(TokenAdmin, "GET", path, nil); err != nil || answer.StatusCode/100 != 4 {
			t.Errorf("%s: %v %v", path, answer.Response, err)
		}
	}
	answer, err := forge.request(TokenAdmin, "GET", "/acme/fleet.git/info/refs?service=git-upload-archive", nil)
	if err != nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("git-upload-archive: %v %v", answer.Response, err)
	}
}

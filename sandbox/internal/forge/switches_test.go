package forge

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func (s *sandbox) set(switches string) {
	s.Helper()
	s.call(TokenAdmin, "POST", "/_sandbox/switches", switches, 200)
}

func TestDisabledDeployKeysAreRefusedListedAsSuchAndLetNobodyIn(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, id := forge.register("acme/fleet", true)
	forge.set(`{"deploy_keys_disabled": true}`)
	_, public := forge.newKey()
	forge.wantProblem(forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", map[string]any{"key": public}, 422),
		detail{Resource: "PublicKey", Code: "custom", Message: "Deploy keys are disabled for this repository"})
	if known := forge.object(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys/"+decimal(id), nil, 200)); known["enabled"] != false {
		t.Errorf("key %v", known)
	}
	forge.refused("Permission denied", key, tree, "ls-remote", "origin")
	forge.set(`{"deploy_keys_disabled": false}`)
	forge.git(key, tree, "ls-remote", "origin")
}

func TestTheAPICanBeDownWhileGitIsServedAndTheOtherWayRound(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	forge.set(`{"api_down": true}`)
	forge.call(TokenAdmin, "GET", "/user", nil, 503)
	forge.git(forge.userKey(), tree, "ls-remote", "origin")
	forge.set(`{"api_down": false, "git_down": true}`)
	forge.call(TokenAdmin, "GET", "/user", nil, 200)
	forge.refused("Could not read from remote repository", forge.userKey(), tree, "ls-remote", "origin")
	forge.refused("503", "", tree, "ls-remote", forge.withToken("acme/fleet", TokenRead))
}

func TestTheNextRequestsFailAsTold(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	forge.set(`{"fail_next": {"n": 2, "status": 429, "retry_after": 30, "path": "/keys", "message": "You have exceeded a secondary rate limit",
		"headers": {"X-RateLimit-Remaining": "0"}}}`)
	forge.call(TokenAdmin, "GET", "/repos/acme/fleet", nil, 200)
	for range 2 {
		answer := forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 429)
		if answer.Header.Get("Retry-After") != "30" || answer.Header.Get("X-RateLimit-Remaining") != "0" ||
			!strings.HasPrefix(forge.object(answer)["message"].(string), "You have exceeded") {
			t.Errorf("%v: %s", answer.Header, answer.text)
		}
	}
	forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 200)
	forge.set(`{"fail_next": {"n": 1, "status": 0, "method": "POST"}}`)
	forge.call(TokenAdmin, "GET", "/user", nil, 200)
	if answer, err := forge.request(TokenAdmin, "POST", "/user/repos", map[string]any{"name": "lost"}); err == nil {
		t.Errorf("answered %d", answer.StatusCode)
	}
	forge.call(TokenAdmin, "GET", "/repos/ada/lost", nil, 404)
}

func TestADroppedResponseHasItsEffect(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	_, public := forge.newKey()
	forge.set(`{"drop_response_after_commit": 1}`)
	forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 200)
	body := map[string]any{"title": "argo", "key": public}
	if answer, err := forge.request(TokenAdmin, "POST", "/repos/acme/fleet/keys", body); err == nil {
		t.Fatalf("answered %d", answer.StatusCode)
	}
	if keys := forge.list(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 200)); len(keys) != 1 || keys[0]["key"] != public {
		t.Errorf("keys %v", keys)
	}
	forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", body, 422)
	forge.call(TokenAdmin, "DELETE", "/repos/acme/fleet/keys/"+decimal(firstKey(forge)), nil, 204)
	dropped := 0
	for _, entry := range forge.log() {
		if entry.Dropped {
			dropped++
		}
	}
	if dropped != 1 {
		t.Errorf("%d dropped responses in the log", dropped)
	}
}

// firstKey is the id of the fleet repository's first key.
func firstKey(forge *sandbox) uint64 {
	keys := forge.list(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 200))
	return uint64(keys[0]["id"].(float64))
}

func TestANewKeyIsLetInOnlyAfterTheDelay(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	forge.set(`{"key_delay": 3600}`)
	key, _ := forge.register("acme/fleet", true)
	forge.refused("Permission denied", key, tree, "ls-remote", "origin")
	forge.set(`{"key_delay": 0.001}`)
	forge.git(key, tree, "ls-remote", "origin")
}

func TestAMovedRepositoryRedirectsToAnyHost(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	forge.set(`{"moved": [{"repository": "acme/fleet", "location": "http://127.0.0.2:1/repositories/7", "status": 307}]}`)
	answer := forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", map[string]any{"key": "x"}, 307)
	if location := answer.Header.Get("Location"); location != "http://127.0.0.2:1/repositories/7/keys" {
		t.Errorf("Location %s", location)
	}
	forge.set(`{"moved": []}`)
	forge.call(TokenAdmin, "GET", "/repos/acme/fleet", nil, 200)
}

func TestLatencyIsAdded(t *testing.T) {
	forge := start(t)
	forge.set(`{"latency": 200}`)
	began := time.Now()
	forge.call(TokenAdmin, "GET", "/user", nil, 200)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
}

func TestOnlyTheAdminTokenSwitchesAndOnlyWhatExists(t *testing.T) {
	forge := start(t)
	forge.call(TokenWrite, "POST", "/_sandbox/switches", `{"api_down": true}`, 403)
	forge.call("", "POST", "/_sandbox/switches", `{"api_down": true}`, 401)
	forge.call(TokenAdmin, "POST", "/_sandbox/switches", `{"unknown": true}`, 400)
	if switches := forge.object(forge.call(TokenAdmin, "GET", "/_sandbox/switches", nil, 200)); switches["api_down"] != false {
		t.Errorf("switches %v", switches)
	}
}

func TestARestartOnOtherPortsKeepsKeysTokensSwitchesAndRepositories(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, id := forge.register("acme/fleet", true)
	forge.git(key, tree, "ls-remote", "origin")
	forge.set(`{"latency": 1}`)
	meta := forge.object(forge.call("", "GET", "/meta", nil, 200))["ssh_key_fingerprints"]
	token := forge.token(TokenAdmin)
	forge.stop()

	again := serve(t, forge.folder)
	if again.ssh == forge.ssh || again.token(TokenAdmin) != token {
		t.Error("the ports are the same, or the token is not")
	}
	known := again.object(again.call(TokenAdmin, "GET", "/repos/acme/fleet/keys/"+decimal(id), nil, 200))
	if known["last_used"] == nil || known["read_only"] != true {
		t.Errorf("key %v", known)
	}
	again.git(key, tree, "ls-remote", "--exit-code", again.url("acme/fleet"), "refs/heads/main")
	after := again.object(again.call("", "GET", "/meta", nil, 200))["ssh_key_fingerprints"].(map[string]any)
	for name, fingerprint := range meta.(map[string]any) {
		if after[name] != fingerprint {
			t.Errorf("host key %s changed", name)
		}
	}
	if switches := again.object(again.call(TokenAdmin, "GET", "/_sandbox/switches", nil, 200)); switches["latency"] != 1.0 {
		t.Errorf("switches %v", switches)
	}
	again.create("new")
	if created := again.object(again.call(TokenAdmin, "GET", "/repos/acme/new", nil, 200)); created["id"].(float64) <= float64(id) {
		t.Errorf("the id %v was given before", created["id"])
	}
}

func TestEveryFileOfTheFolderIsPrivate(t *testing.T) {
	folder := t.TempDir()
	if err := Prepare(folder, "127.0.0.1:4022"); err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{UserKeyFile, KnownHostsFile, "host_keys/ed25519", "host_keys/ecdsa", "host_keys/rsa"}, tokenFiles()...) {
		file, err := os.Stat(filepath.Join(folder, name))
		if err != nil || file.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, file, err)
		}
	}
	before, _ := os.ReadFile(filepath.Join(folder, UserKeyFile))
	if err := Prepare(folder, ""); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(folder, UserKeyFile)); string(after) != string(before) {
		t.Error("a second preparation changed the key")
	}
}

func tokenFiles() []string {
	var files []string
	for _, name := range TokenNames {
		files = append(files, filepath.Join(TokensFolder, name))
	}
	return files
}

func TestAStoppedForgeLeavesNoListenerAndNoHalfWrittenFile(t *testing.T) {
	forge := start(t)
	forge.filled("fleet")
	forge.stop()
	if answer, err := http.Get(forge.web + "/meta"); err == nil {
		answer.Body.Close()
		t.Error("still answering")
	}
	leftovers, err := filepath.Glob(filepath.Join(forge.folder, ".*"))
	if err != nil || len(leftovers) > 0 {
		t.Errorf("left over: %v %v", leftovers, err)
	}
}

func TestAFolderKeepsItsPerson(t *testing.T) {
	folder := t.TempDir()
	if _, err := openStore(folder, "ada", "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(folder, "grace", "acme"); err == nil || !strings.Contains(err.Error(), `belongs to "ada"`) {
		t.Errorf("another person: %v", err)
	}
	if _, err := openStore(t.TempDir(), "../ada", ""); err == nil {
		t.Error("a path was taken for a name")
	}
}

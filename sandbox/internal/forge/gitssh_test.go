package forge

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestAPushToAnEmptyRepositoryMakesMainTheDefaultBranchAndCanBeCloned(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	head := forge.git(forge.userKey(), tree, "rev-parse", "HEAD")
	copied := forge.TempDir()
	forge.git(forge.userKey(), copied, "clone", "--quiet", forge.url("acme/fleet"), "copy")
	if got := forge.git(forge.userKey(), copied+"/copy", "rev-parse", "HEAD"); got != head {
		t.Errorf("cloned %s, want %s", got, head)
	}
	next := forge.commit(tree, "second", "2")
	forge.git(forge.userKey(), tree, "push", "--quiet", "origin", "main")
	forge.git(forge.userKey(), copied+"/copy", "fetch", "--quiet")
	if got := forge.git(forge.userKey(), copied+"/copy", "rev-parse", "origin/main"); got != next {
		t.Errorf("fetched %s, want %s", got, next)
	}
	if branch := forge.object(forge.call(TokenAdmin, "GET", "/repos/acme/fleet", nil, 200))["default_branch"]; branch != "main" {
		t.Errorf("default branch %v", branch)
	}
}

func TestTheProtocolThatTheClientAsksForIsSpoken(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	for version, spoken := range map[string]bool{"2": true, "0": false} {
		for _, url := range []string{forge.url("acme/fleet"), forge.withToken("acme/fleet", TokenRead)} {
			command := forge.command(forge.userKey(), tree, "git", "-c", "protocol.version="+version, "ls-remote", url)
			command.Env = append(command.Env, "GIT_TRACE_PACKET=1")
			output, err := command.CombinedOutput()
			if err != nil || strings.Contains(string(output), "< version 2") != spoken {
				t.Errorf("version %s: %v: %s", version, err, output)
			}
		}
	}
}

func TestTheFirstPushedBranchBecomesTheDefault(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	forge.git(forge.userKey(), forge.clone("acme/fleet"), "push", "--quiet", "origin", "main:trunk")
	if branch := forge.object(forge.call(TokenAdmin, "GET", "/repos/acme/fleet", nil, 200))["default_branch"]; branch != "trunk" {
		t.Errorf("default branch %v", branch)
	}
}

func TestAReadOnlyDeployKeyFetchesButCannotPush(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, id := forge.register("acme/fleet", true)
	forge.git(key, tree, "ls-remote", "--exit-code", "origin", "refs/heads/main")
	before := forge.git(forge.userKey(), tree, "rev-parse", "HEAD")
	forge.commit(tree, "second", "2")
	forge.refused("ERROR: The key you are authenticating with has been marked as read only.", key, tree, "push", "origin", "main")
	if got := forge.git(key, tree, "ls-remote", "origin", "refs/heads/main"); !strings.HasPrefix(got, before) {
		t.Errorf("main is %s after a refused push, want %s", got, before)
	}
	if used := forge.object(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys/"+decimal(id), nil, 200))["last_used"]; used == nil {
		t.Error("last_used is null after use")
	}
}

func TestADeployKeyWithWriteAccessPushes(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, _ := forge.register("acme/fleet", false)
	forge.commit(tree, "second", "2")
	forge.git(key, tree, "push", "--quiet", "origin", "main")
}

func TestADeployKeyOpensNoOtherRepository(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	forge.filled("other")
	key, _ := forge.register("acme/other", false)
	forge.refused("ERROR: Repository not found.", key, tree, "ls-remote", "origin")
}

func TestAnUnknownKeyIsRefused(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, _ := forge.newKey()
	forge.refused("Permission denied (publickey)", key, tree, "ls-remote", "origin")
	forge.until("the refusal is in the log", func() bool {
		for _, entry := range forge.log() {
			if entry.Method == "authenticate" && strings.HasPrefix(entry.Actor, "SHA256:") {
				return true
			}
		}
		return false
	})
}

func TestADeletedKeyIsRefused(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, id := forge.register("acme/fleet", true)
	forge.git(key, tree, "ls-remote", "origin")
	forge.call(TokenAdmin, "DELETE", "/repos/acme/fleet/keys/"+decimal(id), nil, http.StatusNoContent)
	forge.refused("Permission denied (publickey)", key, tree, "ls-remote", "origin")
}

func TestOnlyTheUserNamedGitIsLetIn(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	forge.refused("Permission denied (publickey)", forge.userKey(), tree, "ls-remote", "ssh://root@"+forge.ssh+"/acme/fleet.git")
}

func TestPathsOutsideTheRepositoriesAreRefused(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	for _, path := range []string{
		"acme/../acme/fleet.git", "../repositories/acme/fleet.git", "acme/fleet.git/../fleet.git", "//acme/fleet", "acme",
		"acme/..", "acme/.", "acme/fleet.git/objects", "-acme/fleet", "acme/unknown", forge.folder + "/repositories/acme/fleet.git",
	} {
		output, err := forge.command(forge.userKey(), tree, "ssh", append(forge.sshOptions(forge.userKey()),
			"-p", port(forge.ssh), "git@127.0.0.1", "git-upload-pack '"+path+"'")...).CombinedOutput()
		if err == nil || !strings.Contains(string(output), "ERROR: Repository not found.") {
			t.Errorf("%q: %v: %s", path, err, output)
		}
	}
	for _, line := range []string{
		"git-upload-pack 'acme/fleet'; id", "git-upload-pack --help", "git-upload-archive 'acme/fleet'", "ls",
		"git-upload-pack 'acme/fleet' 'acme/fleet'", "git-upload-pack $(id)", "git-upload-pack '--upload-pack=x'",
		"git-receive-pack 'acme/fleet\n'",
	} {
		output, err := forge.command(forge.userKey(), tree, "ssh", append(forge.sshOptions(forge.userKey()),
			"-p", port(forge.ssh), "git@127.0.0.1", line)...).CombinedOutput()
		if err == nil || !strings.Contains(string(output), "Invalid command") && !strings.Contains(string(output), "not found") {
			t.Errorf("%q: %v: %s", line, err, output)
		}
	}
}

func TestAShellIsRefusedWithAGreeting(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	deployKey, _ := forge.register("acme/fleet", true)
	for key, name := range map[string]string{forge.userKey(): "ada", deployKey: "acme/fleet"} {
		output, err := forge.command(key, forge.folder, "ssh",
			append(forge.sshOptions(key), "-T", "-p", port(forge.ssh), "git@127.0.0.1")...).CombinedOutput()
		if err == nil || !strings.Contains(string(output), "Hi "+name+"! You've successfully authenticated, but") {
			t.Errorf("%s: %v: %s", name, err, output)
		}
		output, err = forge.command(key, forge.folder, "ssh",
			append(forge.sshOptions(key), "-tt", "-p", port(forge.ssh), "git@127.0.0.1")...).CombinedOutput()
		if err == nil || !strings.Contains(string(output), "PTY allocation request failed") {
			t.Errorf("%s with a terminal: %v: %s", name, err, output)
		}
	}
}

func TestFiftyClientsListAtOnce(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, _ := forge.register("acme/fleet", true)
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			if output, err := forge.try(key, tree, "ls-remote", "--exit-code", "origin", "refs/heads/main"); err != nil {
				t.Errorf("ls-remote: %v: %s", err, output)
			}
		})
	}
	clients.Wait()
}

func TestEveryHostKeyTypeIsPinned(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	for _, algorithm := range []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"} {
		options := strings.Join(append(forge.sshOptions(forge.userKey()), "-o", "HostKeyAlgorithms="+algorithm), " ")
		command := forge.command(forge.userKey(), tree, "git", "ls-remote", "origin")
		command.Env = append(command.Env, "GIT_SSH_COMMAND=ssh "+options)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", algorithm, err, output)
		}
	}
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

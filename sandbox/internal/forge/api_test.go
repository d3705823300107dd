package forge

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheAPIIsServedAtTheRootAndBelowTheEnterprisePrefix(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	for _, base := range []string{forge.web, forge.web + apiPrefix} {
		repository := forge.object(forge.call(TokenAdmin, "GET", base+"/repos/acme/fleet", nil, 200))
		if repository["url"] != base+"/repos/acme/fleet" {
			t.Errorf("url %v below %s", repository["url"], base)
		}
	}
}

func TestARepositoryIsShownWithTheRightsOfTheToken(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	for token, want := range map[string]string{
		TokenAdmin: "map[admin:true maintain:true pull:true push:true triage:true]",
		TokenWrite: "map[admin:false maintain:false pull:true push:true triage:true]",
		TokenRead:  "map[admin:false maintain:false pull:true push:false triage:false]",
	} {
		repository := forge.object(forge.call(token, "GET", "/repos/acme/fleet", nil, 200))
		if got := fmt.Sprint(repository["permissions"]); got != want {
			t.Errorf("%s: permissions %s, want %s", token, got, want)
		}
		for field, want := range map[string]any{
			"full_name": "acme/fleet", "private": true, "default_branch": "main", "visibility": "private",
			"ssh_url": forge.url("acme/fleet"), "clone_url": forge.web + "/acme/fleet.git", "html_url": forge.web + "/acme/fleet",
		} {
			if repository[field] != want {
				t.Errorf("%s is %v, want %v", field, repository[field], want)
			}
		}
	}
}

func TestARepositoryIsCreatedOnceAndUnderItsOwner(t *testing.T) {
	forge := start(t)
	body := map[string]any{"name": "fleet"}
	if got := forge.object(forge.call(TokenAdmin, "POST", "/user/repos", body, 201)); got["full_name"] != "ada/fleet" {
		t.Errorf("created %v", got["full_name"])
	}
	forge.call(TokenAdmin, "POST", "/orgs/acme/repos", body, 201)
	answer := forge.object(forge.call(TokenAdmin, "POST", "/orgs/ACME/repos", map[string]any{"name": "FLEET"}, 422))
	if answer["message"] != "Repository creation failed." || !strings.Contains(fmt.Sprint(answer["errors"]), "name already exists on this account") {
		t.Errorf("second creation: %v", answer)
	}
	forge.call(TokenAdmin, "POST", "/orgs/unknown/repos", body, 404)
	forge.call(TokenAdmin, "POST", "/orgs/ada/repos", body, 404)
	forge.call(TokenAdmin, "POST", "/orgs/acme/repos", map[string]any{}, 422)
	forge.call(TokenAdmin, "POST", "/orgs/acme/repos", map[string]any{"name": ".."}, 422)
	forge.call(TokenWrite, "POST", "/orgs/acme/repos", map[string]any{"name": "new"}, 403)
	forge.call(TokenAdmin, "POST", "/admin/organizations", map[string]any{"login": "umbrella", "admin": "ada"}, 201)
	forge.call(TokenAdmin, "POST", "/admin/organizations", map[string]any{"login": "Acme", "admin": "ada"}, 422)
	if got := forge.object(forge.call(TokenRead, "GET", "/orgs/umbrella", nil, 200)); got["login"] != "umbrella" || got["type"] != "Organization" {
		t.Errorf("organization %v", got)
	}
	forge.call(TokenRead, "GET", "/orgs/ada", nil, 404)
	forge.call(TokenAdmin, "POST", "/orgs/umbrella/repos", body, 201)
	forge.call(TokenAdmin, "DELETE", "/repos/umbrella/fleet", nil, 204)
	forge.call(TokenAdmin, "GET", "/repos/umbrella/fleet", nil, 404)
}

func TestAnInitializedRepositoryHasACommit(t *testing.T) {
	forge := start(t)
	forge.call(TokenAdmin, "POST", "/user/repos", map[string]any{"name": "fleet", "auto_init": true}, 201)
	commit := forge.object(forge.call(TokenRead, "GET", "/repos/ada/fleet/commits/main", nil, 200))
	if !strings.Contains(fmt.Sprint(commit["commit"]), "Initial commit") {
		t.Errorf("commit %v", commit)
	}
}

func TestARenamedRepositoryRedirectsAndStaysReachable(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	forge.call(TokenAdmin, "PATCH", "/repos/acme/fleet", map[string]any{"name": "platform"}, 200)
	answer := forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys?per_page=7", nil, 301)
	location := answer.Header.Get("Location")
	if !regexp.MustCompile(`/api/v3/repositories/\d+/keys\?per_page=7$`).MatchString(location) || forge.object(answer)["message"] != "Moved Permanently" {
		t.Errorf("Location %q: %s", location, answer.text)
	}
	forge.call(TokenAdmin, "GET", location, nil, 200)
	forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", map[string]any{"key": "x"}, 301)
	forge.git(forge.userKey(), tree, "ls-remote", "--exit-code", forge.url("acme/fleet"), "refs/heads/main")
	forge.git(forge.userKey(), tree, "ls-remote", "--exit-code", forge.url("acme/platform"), "refs/heads/main")
	forge.create("fleet")
	forge.call(TokenAdmin, "GET", "/repos/acme/fleet", nil, 200)
	forge.call(TokenAdmin, "PATCH", "/repos/acme/platform", map[string]any{"name": "fleet"}, 422)
	if output := forge.git(forge.userKey(), tree, "ls-remote", forge.url("acme/fleet")); output != "" {
		t.Errorf("the new repository has the old one's branches: %s", output)
	}
	forge.call(TokenAdmin, "DELETE", "/repos/acme/fleet", nil, 204)
	forge.call(TokenAdmin, "GET", "/repos/acme/fleet", nil, 404)
}

func TestBranchesCommitsAndReferencesShowWhatWasPushed(t *testing.T) {
	forge := start(t)
	forge.create("empty")
	if got := string(forge.call(TokenRead, "GET", "/repos/acme/empty/branches", nil, 200).text); got != "[]" {
		t.Errorf("branches of an empty repository: %s", got)
	}
	forge.call(TokenRead, "GET", "/repos/acme/empty/commits/main", nil, 409)
	forge.call(TokenRead, "GET", "/repos/acme/empty/git/ref/heads/main", nil, 409)

	tree := forge.filled("fleet")
	head := forge.git("", tree, "rev-parse", "HEAD")
	forge.git(forge.userKey(), tree, "push", "--quiet", "origin", "main:feature/one")
	branches := forge.list(forge.call(TokenRead, "GET", "/repos/acme/fleet/branches", nil, 200))
	if len(branches) != 2 || branches[0]["name"] != "feature/one" || branches[1]["name"] != "main" || branches[1]["protected"] != false {
		t.Errorf("branches %v", branches)
	}
	for _, path := range []string{"main", "feature/one", "feature%2Fone"} {
		branch := forge.object(forge.call(TokenRead, "GET", "/repos/acme/fleet/branches/"+path, nil, 200))
		if commit, _ := branch["commit"].(map[string]any); commit["sha"] != head {
			t.Errorf("branch %s at %v, want %s", path, commit["sha"], head)
		}
	}
	if got := forge.object(forge.call(TokenRead, "GET", "/repos/acme/fleet/branches/none", nil, 404)); got["message"] != "Branch not found" {
		t.Errorf("absent branch: %v", got)
	}
	for _, reference := range []string{"main", "heads/main", head, head[:10]} {
		commit := forge.object(forge.call(TokenRead, "GET", "/repos/acme/fleet/commits/"+reference, nil, 200))
		if commit["sha"] != head {
			t.Errorf("commit %s is %v", reference, commit["sha"])
		}
		text, _ := commit["commit"].(map[string]any)
		author, _ := text["author"].(map[string]any)
		if written, err := time.Parse("2006-01-02T15:04:05Z", fmt.Sprint(author["date"])); err != nil || time.Since(written) > time.Hour {
			t.Errorf("written on %v: %v", author["date"], err)
		}
	}
	for _, reference := range []string{"none", "--all", "main:README.md", "-n1"} {
		forge.call(TokenRead, "GET", "/repos/acme/fleet/commits/"+reference, nil, 422)
	}
	object, _ := forge.object(forge.call(TokenRead, "GET", "/repos/acme/fleet/git/ref/heads/main", nil, 200))["object"].(map[string]any)
	if object["sha"] != head || object["type"] != "commit" {
		t.Errorf("reference %v", object)
	}
	forge.call(TokenRead, "GET", "/repos/acme/fleet/git/ref/heads/none", nil, 404)
}

func TestMetaTellsTheHostKeysToAnyone(t *testing.T) {
	forge := start(t)
	meta := forge.object(forge.call("", "GET", "/meta", nil, 200))
	keys, _ := meta["ssh_keys"].([]any)
	pinned, err := os.ReadFile(filepath.Join(forge.folder, KnownHostsFile))
	if err != nil || len(keys) != 3 {
		t.Fatalf("%v: keys %v", err, keys)
	}
	for _, key := range keys {
		if !strings.Contains(string(pinned), fmt.Sprintf("[127.0.0.1]:%s %s\n", port(forge.ssh), key)) {
			t.Errorf("%v is not in known_hosts:\n%s", key, pinned)
		}
	}
	if prints, _ := meta["ssh_key_fingerprints"].(map[string]any); len(prints) != 3 || prints["SHA256_ED25519"] == nil {
		t.Errorf("fingerprints %v", prints)
	}
}

func TestCredentialsAreAnsweredAsByGitHub(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	user := forge.object(forge.call(TokenRead, "GET", "/user", nil, 200))
	if user["login"] != "ada" || user["type"] != "User" {
		t.Errorf("user %v", user)
	}
	for _, token := range []string{TokenExpired, "wrong"} {
		answer := forge.object(forge.call(token, "GET", "/user", nil, 401))
		if answer["message"] != "Bad credentials" || answer["documentation_url"] != "https://docs.github.com/rest" || answer["status"] != "401" {
			t.Errorf("%s: %v", token, answer)
		}
	}
	if answer := forge.object(forge.call("", "GET", "/repos/acme/fleet", nil, 401)); answer["message"] != "Requires authentication" {
		t.Errorf("no token: %v", answer)
	}
	sso := forge.call(TokenSSO, "GET", "/repos/acme/fleet/keys", nil, 403).Header.Get("X-GitHub-SSO")
	if !strings.HasPrefix(sso, "required; url="+forge.web+"/orgs/acme/sso?authorization_request=") {
		t.Errorf("X-GitHub-SSO %q", sso)
	}
	if scopes := forge.call(TokenClassic, "GET", "/user", nil, 200).Header.Get("X-OAuth-Scopes"); !strings.Contains(scopes, "repo") {
		t.Errorf("X-OAuth-Scopes %q", scopes)
	}
	answer := forge.call(TokenExpiring, "GET", "/user", nil, 200)
	expiry, err := time.Parse("2006-01-02 15:04:05 UTC", answer.Header.Get("GitHub-Authentication-Token-Expiration"))
	if left := time.Until(expiry); err != nil || left <= 0 || left > 7*24*time.Hour {
		t.Errorf("the token expires in %v: %v", left, err)
	}
	if _, present := answer.Header["X-Oauth-Scopes"]; present {
		t.Error("a fine-grained token has scopes")
	}
}

func TestEveryAnswerHasGitHubsHeaders(t *testing.T) {
	forge := start(t)
	for path, status := range map[string]int{"/user": 200, "/nowhere": 404, "/user/": 404, "/repos//fleet": 404, "/repos/acme/../acme": 404} {
		answer := forge.call(TokenRead, "GET", path, nil, status)
		for _, name := range []string{"Date", "X-GitHub-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
			"X-RateLimit-Used", "X-RateLimit-Resource"} {
			if answer.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
		if body := forge.object(answer); status == 404 && (body["message"] != "Not Found" || body["status"] != "404" || body["documentation_url"] == nil) {
			t.Errorf("%s: %v", path, body)
		}
	}
	limits, _ := forge.object(forge.call(TokenRead, "GET", "/rate_limit", nil, 200))["rate"].(map[string]any)
	if limits["limit"] != 5000.0 || limits["used"] == 0.0 {
		t.Errorf("rate %v", limits)
	}
	forge.call(TokenAdmin, "PUT", "/user", nil, 404)
}

func TestARequestWithoutUserAgentIsForbidden(t *testing.T) {
	forge := start(t)
	request, err := http.NewRequest("GET", forge.web+"/meta", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User-Agent", "")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != 403 || !strings.Contains(string(text), "User-Agent") {
		t.Errorf("%d: %s", answer.StatusCode, text)
	}
}

func TestPullRequestsAreOpenedListedAndRead(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	body := map[string]any{"title": "promote", "head": "change", "base": "main", "body": "why"}
	forge.wantProblem(forge.call(TokenWrite, "POST", "/repos/acme/fleet/pulls", body, 422), detail{Resource: "PullRequest", Code: "invalid", Field: "head"})
	forge.git(forge.userKey(), tree, "push", "--quiet", "origin", "main:change")
	forge.wantProblem(forge.call(TokenWrite, "POST", "/repos/acme/fleet/pulls", body, 422),
		detail{Resource: "PullRequest", Code: "custom", Message: "No commits between main and change"})
	head := forge.commit(tree, "second", "2")
	forge.git(forge.userKey(), tree, "push", "--quiet", "origin", "main:change")
	forge.call(TokenRead, "POST", "/repos/acme/fleet/pulls", body, 403)
	made := forge.object(forge.call(TokenWrite, "POST", "/repos/acme/fleet/pulls", body, 201))
	if end, _ := made["head"].(map[string]any); made["number"] != 1.0 || made["state"] != "open" || end["sha"] != head || end["label"] != "acme:change" {
		t.Errorf("made %v", made)
	}
	forge.wantProblem(forge.call(TokenWrite, "POST", "/repos/acme/fleet/pulls", body, 422),
		detail{Resource: "PullRequest", Code: "custom", Message: "A pull request already exists for acme:change."})
	for query, want := range map[string]int{"": 1, "?head=acme:change": 1, "?head=acme:other": 0, "?base=main": 1, "?state=closed": 0} {
		if got := forge.list(forge.call(TokenRead, "GET", "/repos/acme/fleet/pulls"+query, nil, 200)); len(got) != want {
			t.Errorf("%s: %d pull requests, want %d", query, len(got), want)
		}
	}
	forge.call(TokenRead, "GET", "/repos/acme/fleet/pulls/1", nil, 200)
	forge.call(TokenRead, "GET", "/repos/acme/fleet/pulls/2", nil, 404)
}

func TestHooksAreKeptWithoutShowingTheirSecretAndPinged(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	events := make(chan *http.Request, 1)
	receiver := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { events <- r })}
	listener := listen(t)
	go receiver.Serve(listener)
	t.Cleanup(func() { receiver.Close() })
	body := map[string]any{"name": "web", "events": []string{"push"}, "active": true,
		"config": map[string]any{"url": "http://" + listener.Addr().String() + "/api/webhook", "content_type": "json", "secret": "keep-this-quiet"}}
	answer := forge.call(TokenAdmin, "POST", "/repos/acme/fleet/hooks", body, 201)
	if made := forge.object(answer); strings.Contains(string(answer.text), "keep-this-quiet") || made["name"] != "web" || made["active"] != true {
		t.Errorf("made %s", answer.text)
	}
	forge.wantProblem(forge.call(TokenAdmin, "POST", "/repos/acme/fleet/hooks", body, 422),
		detail{Resource: "Hook", Code: "custom", Message: "Hook already exists on this repository"})
	forge.call(TokenAdmin, "POST", "/repos/acme/fleet/hooks", map[string]any{"config": map[string]any{"url": "ftp://x"}}, 422)
	forge.call(TokenWrite, "GET", "/repos/acme/fleet/hooks", nil, 404)
	if hooks := forge.list(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/hooks", nil, 200)); len(hooks) != 1 {
		t.Errorf("hooks %v", hooks)
	}
	address := answer.Header.Get("Location")
	forge.call(TokenAdmin, "POST", address+"/pings", nil, 204)
	select {
	case event := <-events:
		if event.Header.Get("X-GitHub-Event") != "ping" || !strings.HasPrefix(event.Header.Get("X-Hub-Signature-256"), "sha256=") {
			t.Errorf("event %v", event.Header)
		}
	case <-time.After(10 * time.Second):
		t.Error("no ping came")
	}
	forge.call(TokenAdmin, "PATCH", address, map[string]any{"config": map[string]any{"url": "nowhere"}}, 422)
	changed := forge.object(forge.call(TokenAdmin, "PATCH", address, map[string]any{"active": false,
		"config": map[string]any{"url": "https://example.com/hook", "content_type": "json"}}, 200))
	config := changed["config"].(map[string]any)
	if changed["active"] != false || config["url"] != "https://example.com/hook" || config["secret"] != nil {
		t.Errorf("changed to %v", changed)
	}
	forge.call(TokenAdmin, "DELETE", address, nil, 204)
	forge.call(TokenAdmin, "GET", address, nil, 404)
	forge.call(TokenAdmin, "PATCH", address, map[string]any{}, 404)
}

func TestEventsLeaveTheMachineNever(t *testing.T) {
	for address, allowed := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "192.0.2.1:80": false, "[2001:db8::1]:80": false} {
		if err := onlyLoopback("tcp", address, nil); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTheRequestLogNamesWhoDidWhatAndHoldsNoSecret(t *testing.T) {
	forge := start(t)
	tree := forge.filled("fleet")
	key, _ := forge.register("acme/fleet", true)
	forge.git(key, tree, "ls-remote", "origin")
	forge.git("", tree, "ls-remote", forge.withToken("acme/fleet", TokenRead))
	forge.call(TokenAdmin, "GET", "/repos/acme/"+forge.token(TokenWrite), nil, 404)
	has := func(kind, method, actor, repository string, status int) func() bool {
		return func() bool {
			return slices.ContainsFunc(forge.log(), func(entry LogEntry) bool {
				return entry.Kind == kind && entry.Method == method && strings.HasPrefix(entry.Actor, actor) &&
					entry.Repository == repository && entry.Status == status && entry.UserAgent != "" && entry.Duration > 0
			})
		}
	}
	forge.until("the push is logged", has(KindGitSSH, "git-receive-pack", "SHA256:", "acme/fleet", 0))
	forge.until("the fetch is logged", has(KindGitSSH, "git-upload-pack", "SHA256:", "acme/fleet", 0))
	forge.until("Git over HTTP is logged", has(KindGitHTTP, "git-upload-pack", TokenRead, "acme/fleet", 200))
	forge.until("the registration is logged", has(KindREST, "POST", TokenAdmin, "acme/fleet", 201))
	text, err := os.ReadFile(filepath.Join(forge.folder, "requests.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range TokenNames {
		if strings.Contains(string(text), forge.token(name)) {
			t.Errorf("the token %s is in the log", name)
		}
	}
	if strings.Contains(string(text), "AAAA") {
		t.Error("key material is in the log")
	}
}

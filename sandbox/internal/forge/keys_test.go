package forge

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const invalidKey = "key is invalid. You must supply a key in OpenSSH public key format"

// wantProblem checks the body of GitHub's "Validation Failed".
func (s *sandbox) wantProblem(answer response, want detail) {
	s.Helper()
	body := s.object(answer)
	errors, _ := body["errors"].([]any)
	if body["message"] != "Validation Failed" || body["status"] != "422" || len(errors) != 1 ||
		!strings.HasPrefix(fmt.Sprint(body["documentation_url"]), "https://docs.github.com/rest/") {
		s.Fatalf("not GitHub's error body: %s", answer.text)
	}
	got, _ := errors[0].(map[string]any)
	expected := map[string]any{"resource": want.Resource, "code": want.Code, "message": want.Message}
	if want.Field != "" {
		expected["field"] = want.Field
	}
	if want.Message == "" {
		delete(expected, "message")
	}
	if !maps.Equal(got, expected) {
		s.Errorf("error %v, want %v", got, expected)
	}
}

func TestADeployKeyIsCreatedReadListedAndDeleted(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	_, public := forge.newKey()
	answer := forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys",
		map[string]any{"title": "argo", "key": public + " a comment", "read_only": true}, http.StatusCreated)
	key := forge.object(answer)
	id, _ := key["id"].(float64)
	if key["key"] != public || key["title"] != "argo" || key["read_only"] != true || key["verified"] != true ||
		key["enabled"] != true || key["added_by"] != "ada" || key["last_used"] != nil || id <= 1<<31 ||
		!regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(fmt.Sprint(key["created_at"])) {
		t.Errorf("created %s", answer.text)
	}
	address := fmt.Sprint(key["url"])
	if answer.Header.Get("Location") != address {
		t.Errorf("Location %q, want %q", answer.Header.Get("Location"), address)
	}
	if got := forge.object(forge.call(TokenAdmin, "GET", address, nil, 200)); got["id"] != key["id"] {
		t.Errorf("read %v", got)
	}
	if got := forge.list(forge.call(TokenAdmin, "GET", "/repos/ACME/Fleet/keys", nil, 200)); len(got) != 1 || got[0]["key"] != public {
		t.Errorf("listed %v", got)
	}
	forge.call(TokenAdmin, "DELETE", address, nil, http.StatusNoContent)
	forge.call(TokenAdmin, "DELETE", address, nil, http.StatusNotFound)
	forge.call(TokenAdmin, "GET", address, nil, http.StatusNotFound)
	if got := string(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 200).text); got != "[]" {
		t.Errorf("an empty list is %s", got)
	}
}

func TestAKeyInUseIsRefusedInItsOwnAndInAnyOtherRepository(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	forge.create("other")
	_, public := forge.newKey()
	body := map[string]any{"title": "argo", "key": public, "read_only": true}
	forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", body, http.StatusCreated)
	for _, repository := range []string{"fleet", "other"} {
		forge.wantProblem(forge.call(TokenAdmin, "POST", "/repos/acme/"+repository+"/keys", body, 422),
			detail{Resource: "PublicKey", Code: "custom", Field: "key", Message: "key is already in use"})
	}
}

func TestMalformedKeysAreRefused(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	_, public := forge.newKey()
	for _, key := range []string{"", "nonsense", "ssh-ed25519 AAAA", strings.Fields(public)[1], "no-pty " + public,
		public + "\n" + public, "# comment\n" + public, "ssh-rsa " + strings.Fields(public)[1]} {
		forge.wantProblem(forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", map[string]any{"key": key}, 422),
			detail{Resource: "PublicKey", Code: "custom", Field: "key", Message: invalidKey})
	}
	broken := forge.object(forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", `{"key":`, 400))
	if broken["message"] != "Problems parsing JSON" || broken["status"] != "400" {
		t.Errorf("broken JSON: %v", broken)
	}
	if got := forge.list(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 200)); len(got) != 0 {
		t.Errorf("refused keys are listed: %v", got)
	}
}

func TestKeysAreNotFoundWithoutTheAdminRight(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	_, public := forge.newKey()
	for _, token := range []string{TokenWrite, TokenRead} {
		answer := forge.call(token, "GET", "/repos/acme/fleet/keys", nil, 404)
		if accepted := answer.Header.Get("X-Accepted-GitHub-Permissions"); accepted != "administration=read" {
			t.Errorf("X-Accepted-GitHub-Permissions %q", accepted)
		}
		forge.call(token, "POST", "/repos/acme/fleet/keys", map[string]any{"key": public}, 404)
		forge.call(token, "DELETE", "/repos/acme/fleet/keys/3000000001", nil, 404)
		forge.call(token, "GET", "/repos/acme/fleet", nil, 200)
	}
}

func TestALongListIsReadByFollowingLinks(t *testing.T) {
	forge := start(t)
	forge.create("fleet")
	var want []string
	for range 250 {
		_, public := forge.newKey()
		forge.call(TokenAdmin, "POST", "/repos/acme/fleet/keys", map[string]any{"title": "same", "key": public}, http.StatusCreated)
		want = append(want, public)
	}
	if first := forge.list(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys", nil, 200)); len(first) != 30 {
		t.Errorf("a page has %d keys unless told, want 30", len(first))
	}
	if first := forge.list(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys?per_page=500", nil, 200)); len(first) != 100 {
		t.Errorf("a page has at most %d keys, want 100", len(first))
	}
	var got []string
	next := regexp.MustCompile(`<([^>]+)>; rel="next"`)
	address, pages := "/repos/acme/fleet/keys?per_page=100", 0
	for address != "" {
		answer := forge.call(TokenAdmin, "GET", address, nil, 200)
		for _, key := range forge.list(answer) {
			got = append(got, fmt.Sprint(key["key"]))
		}
		address = ""
		if parts := next.FindStringSubmatch(answer.Header.Get("Link")); parts != nil {
			address = parts[1]
		}
		pages++
	}
	if pages != 3 || !slices.Equal(got, want) {
		t.Errorf("%d keys on %d pages, want 250 on 3 in order", len(got), pages)
	}
	if link := forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys?per_page=100&page=2", nil, 200).Header.Get("Link"); strings.Count(link, "rel=") != 4 {
		t.Errorf("the middle page has the links %s", link)
	}
	if beyond := string(forge.call(TokenAdmin, "GET", "/repos/acme/fleet/keys?page=99", nil, 200).text); beyond != "[]" {
		t.Errorf("a page beyond the last is %s", beyond)
	}
}

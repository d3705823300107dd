package forge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// serveHosts runs a forge that answers for hosts, and returns the options of git that lead there by its proxy.
func serveHosts(t *testing.T, names ...string) (*sandbox, []string) {
	t.Helper()
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Now().Add(time.Hour)}
	content, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	proxy := listen(t)
	forge := serve(t, t.TempDir(), func(options *Options) {
		options.Hosts = &Hosts{Names: names, Proxy: proxy, Certificate: tls.Certificate{Certificate: [][]byte{content}, PrivateKey: key}}
	})
	trusted := t.TempDir() + "/trusted.pem"
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
	return forge, []string{"-c", "http.proxy=http://" + proxy.Addr().String(), "-c", "http.sslCAInfo=" + trusted}
}

func TestAnAddressOfAServedHostReachesTheForge(t *testing.T) {
	forge, options := serveHosts(t, "github.com", "gitlab.example.org")
	tree := forge.filled("fleet")
	forge.call(TokenAdmin, "PATCH", "/repos/acme/fleet", map[string]any{"private": false}, 200)
	git := func(arguments ...string) { forge.git("", tree, append(options, arguments...)...) }
	for _, address := range []string{"https://github.com/acme/fleet.git", "https://github.com/acme/fleet", "https://gitlab.example.org/acme/fleet.git"} {
		git("ls-remote", "--exit-code", strings.Replace(address, "://", "://x:a-password-that-nobody-here-knows@", 1), "refs/heads/main")
		git("ls-remote", "--exit-code", address, "refs/heads/main")
	}
	git("clone", "--quiet", "https://github.com/acme/fleet.git", "copy")
	forge.commit(tree, "second", "2")
	forge.refused("403", "", tree, append(options, "push", "https://x:unknown@github.com/acme/fleet.git", "main")...)
	forge.refused("not found", "", tree, append(options, "ls-remote", "https://x:unknown@github.com/acme/unknown.git")...)
}

func TestAPrivateRepositoryOfAServedHostNeedsACredential(t *testing.T) {
	forge, options := serveHosts(t, "github.com")
	tree := forge.filled("fleet")
	forge.refused("terminal prompts disabled", "", tree, append(options, "ls-remote", "https://github.com/acme/fleet.git")...)
	forge.git("", tree, append(options, "ls-remote", "--exit-code", "https://x:any@github.com/acme/fleet.git", "refs/heads/main")...)
}

func TestWhoDoesNotComeByTheProxyNeedsATokenOfTheForge(t *testing.T) {
	forge, _ := serveHosts(t, "github.com")
	tree := forge.filled("fleet")
	forge.refused("terminal prompts disabled", "", tree, "ls-remote", forge.web+"/acme/fleet.git")
	forge.refused("Authentication failed", "", tree, "ls-remote", forge.withToken("acme/fleet", "wrong"))
}

func TestOtherHostsAreReachedThroughTheProxy(t *testing.T) {
	forge, options := serveHosts(t, "github.com")
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "another host") }))
	defer other.Close()
	proxy, err := url.Parse(strings.TrimPrefix(options[1], "http.proxy="))
	if err != nil {
		t.Fatal(err)
	}
	client := other.Client()
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(proxy)
	answer, err := client.Get(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); string(text) != "another host" {
		t.Errorf("got %q", text)
	}
	free := listen(t)
	nobody := free.Addr().(*net.TCPAddr)
	free.Close()
	if _, err := client.Get("https://" + nobody.String()); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
		t.Errorf("a host that is not there: %v", err)
	}
	forge.stop()
}

func TestGroupsWithinGroupsAreOneOwner(t *testing.T) {
	for path, want := range map[string]string{
		"/acme/fleet.git": "acme fleet", "acme/fleet": "acme fleet", "/group/sub/fleet.git": "group-sub fleet", "v3/org/project/fleet": "v3-org-project fleet",
		"/fleet.git": "", "/acme//fleet": "", "//acme/fleet": "", "/acme/../fleet": "", "/": "",
	} {
		owner, name, ok := splitPath(path)
		if got := owner + " " + name; ok != (want != "") || ok && got != want {
			t.Errorf("%s is %q, %v", path, got, ok)
		}
	}
}

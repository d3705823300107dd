package forge

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sandbox is a forge that runs for one test.
type sandbox struct {
	*testing.T
	folder string
	web    string
	ssh    string
	stop   func()
}

// start runs a forge in a new folder until the test ends, beside those of other tests.
func start(t *testing.T) *sandbox {
	t.Helper()
	t.Parallel()
	return serve(t, t.TempDir())
}

// serve runs a forge in the folder until the test ends or stop is called.
func serve(t *testing.T, folder string, change ...func(*Options)) *sandbox {
	t.Helper()
	web, door := listen(t), listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	options := Options{Folder: folder, HTTP: web, SSH: door,
		RequestLog: filepath.Join(folder, "requests.log"), Login: "ada", Owner: "acme"}
	for _, change := range change {
		change(&options)
	}
	go func() { ended <- Serve(ctx, options) }()
	running := &sandbox{T: t, folder: folder, web: "http://" + web.Addr().String(), ssh: door.Addr().String()}
	running.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
		ended <- nil
	}
	t.Cleanup(func() { running.stop() })
	running.until("the forge answers", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("Serve ended early: %v", err)
		default:
		}
		answer, err := http.Get(running.web + "/rate_limit")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return running
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// until waits for a condition.
func (s *sandbox) until(what string, condition func() bool) {
	s.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			s.Fatalf("timed out: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// token reads a token; "" is none, and an unknown name is the token's text.
func (s *sandbox) token(name string) string {
	text, err := os.ReadFile(filepath.Join(s.folder, TokensFolder, name))
	if err != nil || name == "" {
		return name
	}
	return strings.TrimSpace(string(text))
}

// response is an answer that was read whole.
type response struct {
	*http.Response
	text []byte
}

// request sends a REST request; a string is sent as it is, anything else as JSON.
func (s *sandbox) request(token, method, path string, body any) (response, error) {
	s.Helper()
	var content io.Reader
	switch value := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(value)
	default:
		text, err := json.Marshal(value)
		if err != nil {
			s.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	if !strings.HasPrefix(path, "http") {
		path = s.web + path
	}
	request, err := http.NewRequest(method, path, content)
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("User-Agent", "forge-test")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token(token))
	}
	client := http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return response{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return response{answer, text}, err
}

// call sends a REST request below /api/v3 and wants a status.
func (s *sandbox) call(token, method, path string, body any, status int) response {
	s.Helper()
	if !strings.HasPrefix(path, "http") {
		path = apiPrefix + path
	}
	answer, err := s.request(token, method, path, body)
	if err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
	if answer.StatusCode != status {
		s.Fatalf("%s %s: status %d, want %d: %s", method, path, answer.StatusCode, status, answer.text)
	}
	return answer
}

// object decodes an answer that is a JSON object.
func (s *sandbox) object(answer response) map[string]any {
	s.Helper()
	var content map[string]any
	if err := json.Unmarshal(answer.text, &content); err != nil {
		s.Fatalf("decode %s: %v", answer.text, err)
	}
	return content
}

// list decodes an answer that is a JSON array of objects.
func (s *sandbox) list(answer response) []map[string]any {
	s.Helper()
	var content []map[string]any
	if err := json.Unmarshal(answer.text, &content); err != nil {
		s.Fatalf("decode %s: %v", answer.text, err)
	}
	return content
}

// create makes acme/NAME.
func (s *sandbox) create(name string) {
	s.Helper()
	s.call(TokenAdmin, "POST", "/orgs/acme/repos", map[string]any{"name": name, "private": true}, http.StatusCreated)
}

// newKey makes a key pair and returns the private key's file and the public key's line.
func (s *sandbox) newKey() (file, public string) {
	s.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		s.Fatal(err)
	}
	file = filepath.Join(s.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		s.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		s.Fatal(err)
	}
	return file, keyLine(signer.PublicKey())
}

// register registers a new deploy key and returns its file and id.
func (s *sandbox) register(repository string, readOnly bool) (file string, id uint64) {
	s.Helper()
	file, public := s.newKey()
	answer := s.call(TokenAdmin, "POST", "/repos/"+repository+"/keys",
		map[string]any{"title": "test", "key": public, "read_only": readOnly}, http.StatusCreated)
	var key keyView
	if err := json.Unmarshal(answer.text, &key); err != nil {
		s.Fatal(err)
	}
	return file, key.ID
}

func (s *sandbox) userKey() string { return filepath.Join(s.folder, UserKeyFile) }

func (s *sandbox) sshOptions(key string) []string {
	return []string{"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "UserKnownHostsFile=" + filepath.Join(s.folder, KnownHostsFile)}
}

// command prepares a program with an environment of its own.
func (s *sandbox) command(key, folder, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(s.Context(), name, arguments...)
	command.Dir = folder
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LANG=C",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"GIT_SSH_COMMAND=ssh " + strings.Join(s.sshOptions(key), " ")}
	return command
}

// try runs git with a key and returns all that it said.
func (s *sandbox) try(key, folder string, arguments ...string) (string, error) {
	output, err := s.command(key, folder, "git", arguments...).CombinedOutput()
	return string(output), err
}

// git runs git with a key, and wants it to succeed.
func (s *sandbox) git(key, folder string, arguments ...string) string {
	s.Helper()
	output, err := s.try(key, folder, arguments...)
	if err != nil {
		s.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(output)
}

// refused runs git with a key, and wants it to fail with these words.
func (s *sandbox) refused(words, key, folder string, arguments ...string) {
	s.Helper()
	output, err := s.try(key, folder, arguments...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(output, words) {
		s.Fatalf("git %s: %v, want a failure with %q:\n%s", strings.Join(arguments, " "), err, words, output)
	}
}

func (s *sandbox) url(repository string) string {
	return "ssh://git@" + s.ssh + "/" + repository + ".git"
}

// clone makes a working tree with one commit on main, not pushed yet.
func (s *sandbox) clone(repository string) string {
	s.Helper()
	folder := s.TempDir()
	s.git(s.userKey(), folder, "init", "--quiet", "--initial-branch=main")
	s.git(s.userKey(), folder, "remote", "add", "origin", s.url(repository))
	s.commit(folder, "README.md", "hello\n")
	return folder
}

func (s *sandbox) commit(folder, file, content string) string {
	s.Helper()
	if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
	s.git(s.userKey(), folder, "add", "--all")
	s.git(s.userKey(), folder, "commit", "--quiet", "-m", "change "+file)
	return s.git(s.userKey(), folder, "rev-parse", "HEAD")
}

// filled makes acme/NAME with one commit on main and returns its working tree.
func (s *sandbox) filled(name string) string {
	s.Helper()
	s.create(name)
	folder := s.clone("acme/" + name)
	s.git(s.userKey(), folder, "push", "--quiet", "origin", "main")
	return folder
}

// log reads the request log.
func (s *sandbox) log() []LogEntry {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "requests.log"))
	if err != nil {
		s.Fatal(err)
	}
	var entries []LogEntry
	for line := range strings.Lines(string(text)) {
		var entry LogEntry
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			s.Fatalf("decode the log line %s: %v", line, err)
		}
		entries = append(entries, entry)
	}
	return entries
}

package forge

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// gitPath is a request of Git's smart HTTP protocol (gitprotocol-http): a repository, with or without ".git", and one
// of the three addresses below it.
var gitPath = regexp.MustCompile(`^(/[^/]+(?:/[^/]+)+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)$`)

// serveGit answers one request of Git over HTTP. The token is the password of basic authentication, with any name.
func (s *server) serveGit(w http.ResponseWriter, r *http.Request, path, action string) {
	entry := LogEntry{Time: time.Now(), Kind: KindGitHTTP, Path: r.URL.Path, UserAgent: r.UserAgent()}
	s.pause(r.Context())
	counting := &countingResponse{ResponseWriter: w}
	s.answerGit(counting, r, path, action, &entry)
	entry.Status, entry.Bytes = counting.status, counting.count
	s.record(entry)
}

func (s *server) answerGit(w *countingResponse, r *http.Request, path, action string, entry *LogEntry) {
	with := service(action)
	if action == "info/refs" {
		with = service(r.URL.Query().Get("service"))
	}
	entry.Method = string(with)
	refuse := func(status int, message string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintln(w, message)
	}
	switch {
	case s.switches.current().GitDown:
		refuse(http.StatusServiceUnavailable, "Git is not available at the moment.")
		return
	case with != uploadPack && with != receivePack:
		refuse(http.StatusForbidden, "Please upgrade your git client: the dumb protocol is not served.")
		return
	case (action == "info/refs") != (r.Method == http.MethodGet) || action != "info/refs" && r.Method != http.MethodPost:
		refuse(http.StatusMethodNotAllowed, "Method not allowed.")
		return
	}
	_, password, _ := r.BasicAuth()
	actor := s.identify(password)
	repository := s.findRepository(path)
	if repository != nil && actor != nil && !actor.sees(repository) {
		repository = nil
	}
	// The token of an App's installation is the forge's own, whatever host it stands in for.
	if actor == nil && cameByProxy(r) && !strings.HasPrefix(password, installationPrefix) {
		actor = proxyActor(r, repository)
	}
	if actor != nil {
		entry.Actor = actor.name
	}
	if repository != nil && actor != nil {
		entry.Repository = repository.fullName()
	}
	switch {
	case actor == nil || actor.expired():
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		refuse(http.StatusUnauthorized, "Invalid username or token.")
	case repository == nil:
		refuse(http.StatusNotFound, "Repository not found.")
	case actor.sso():
		refuse(http.StatusForbidden, "The organization requires SAML SSO: authorize your token for it.")
	case actor.right < with.needs():
		refuse(http.StatusForbidden,
			fmt.Sprintf("Permission to %s.git denied to %s.", repository.fullName(), s.options.Login))
	default:
		s.talkOverHTTP(w, r, repository, with, action == "info/refs")
	}
}

func (s *server) talkOverHTTP(w *countingResponse, r *http.Request, repository *repository, with service, advertise bool) {
	protocol := r.Header.Get("Git-Protocol")
	if !protocolPattern.MatchString(protocol) {
		protocol = ""
	}
	input := io.Reader(http.NoBody)
	flags := []string{"--stateless-rpc"}
	kind := "result"
	if advertise {
		flags = append(flags, "--advertise-refs")
		kind = "advertisement"
	} else {
		// Git may report progress while the body is still coming in.
		if err := http.NewResponseController(w.ResponseWriter).EnableFullDuplex(); err != nil {
			slog.Warn("serve git over HTTP without full duplex", "error", err)
		}
		input = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, "The body is not gzip.", http.StatusBadRequest)
				return
			}
			defer unpacked.Close()
			input = unpacked
		}
	}
	w.Header().Set("Content-Type", fmt.Sprintf("application/x-%s-%s", with, kind))
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if advertise && !strings.Contains(protocol, "version=2") {
		fmt.Fprintf(w, "%04x# service=%s\n0000", len(with)+15, with)
	}
	status, err := s.talk(r.Context(), repository, with, protocol, flags, input, w, io.Discard)
	if err != nil || status != 0 {
		slog.Warn("git over HTTP ended early", "repository", repository.fullName(), "status", status, "error", err)
	}
	w.WriteHeader(http.StatusOK)
}

// countingResponse remembers an answer's status and size for the log.
type countingResponse struct {
	http.ResponseWriter
	status int
	count  int64
}

// WriteHeader sends the status unless one was sent.
func (w *countingResponse) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write sends a part of the body.
func (w *countingResponse) Write(content []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	written, err := w.ResponseWriter.Write(content)
	w.count += int64(written)
	return written, err
}

package forge

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// apiPrefix is where a GitHub Enterprise Server has its REST API; github.com has it at the root of api.github.com.
// Both are served.
const apiPrefix = "/api/v3"

// bodyLimit bounds what a client may send, in bytes.
const bodyLimit = 1 << 20

// call is one REST request on its way to its endpoint.
type call struct {
	*http.Request
	// address is scheme and host as the client knows the forge; base is that of the REST API.
	address, base string
	token         *token
	known         *state
	repository    *repository
	// app is whose request this is, if it is an App's own.
	app   *app
	body  []byte
	entry LogEntry
}

// callKey finds the call in a request's context.
type callKey struct{}

// reply is what an endpoint answers; content is encoded as JSON, nil is no body.
type reply struct {
	status  int
	content any
	header  http.Header
}

// ServeHTTP takes Git requests and the REST API apart.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if parts := gitPath.FindStringSubmatch(r.URL.Path); parts != nil {
		s.serveGit(w, r, parts[1], parts[2])
		return
	}
	s.serveREST(w, r)
}

// serveREST does what is the same for all REST requests, and hands the rest to the routes.
func (s *server) serveREST(w http.ResponseWriter, r *http.Request) {
	request := &call{Request: r, address: "http://" + r.Host, token: s.identify(credential(r))}
	if r.TLS != nil {
		request.address = "https://" + r.Host
	}
	request.base = request.address
	plain := r.URL.Path
	if rest, ok := strings.CutPrefix(plain, apiPrefix); ok && (rest == "" || rest[0] == '/') {
		request.base += apiPrefix
		plain = rest
	}
	request.entry = LogEntry{Time: time.Now(), Kind: KindREST, Method: r.Method, Path: plain, UserAgent: r.UserAgent()}
	if request.token != nil {
		request.entry.Actor = request.token.name
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	if err != nil || len(body) > bodyLimit {
		s.send(w, request, failure(http.StatusRequestEntityTooLarge, "Payload too big", ""))
		return
	}
	request.body = body
	if !strings.HasPrefix(plain, controlPrefix) && s.interfere(w, request) {
		return
	}
	request.known = s.store.current()
	plain, ok := request.known.canonicalPath(plain)
	if !ok {
		s.send(w, request, notFound(""))
		return
	}
	routed := r.Clone(context.WithValue(r.Context(), callKey{}, request))
	routed.URL.Path, routed.URL.RawPath = plain, ""
	s.routes.ServeHTTP(w, routed)
}

// interfere answers requests that the switches do not let through, and those without a User-Agent.
func (s *server) interfere(w http.ResponseWriter, request *call) (answered bool) {
	s.pause(request.Context())
	if s.switches.current().APIDown {
		s.send(w, request, failure(http.StatusServiceUnavailable, "Service unavailable", ""))
		return true
	}
	stand, err := s.switches.takeFailure(request.Method, request.entry.Path)
	switch {
	case err != nil:
		s.send(w, request, s.broken(request, err))
	case stand != nil && stand.Status == 0:
		s.drop(w, request, reply{})
	case stand != nil:
		s.send(w, request, stand.reply())
	case request.UserAgent() == "":
		s.send(w, request, reply{status: http.StatusForbidden, content: page("Request forbidden by administrative " +
			"rules. Please make sure your request has a User-Agent header.\n")})
	default:
		return false
	}
	return true
}

// canonicalPath puts a repository's present name into a path that has its id, and refuses what GitHub has no route
// for: a trailing slash, empty and dotted segments.
func (s *state) canonicalPath(plain string) (string, bool) {
	if rest, ok := strings.CutPrefix(plain, "/repositories/"); ok {
		text, below, more := strings.Cut(rest, "/")
		id, err := strconv.ParseUint(text, 10, 64)
		repository := s.repositoryByID(id)
		if err != nil || repository == nil {
			return "", false
		}
		plain = "/repos/" + repository.fullName()
		if more {
			plain += "/" + below
		}
	}
	return plain, path.Clean(plain) == plain
}

// broken is the answer to a failure of the forge itself.
func (s *server) broken(request *call, err error) reply {
	slog.Error("serve a request of the forge", "method", request.Method, "path", request.entry.Path, "error", err)
	return failure(http.StatusInternalServerError, "Server Error", "")
}

// credential takes the token from a request: as bearer, in GitHub's older form, or as password.
func credential(r *http.Request) string {
	kind, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(kind) {
	case "bearer", "token":
		return strings.TrimSpace(text)
	}
	_, password, _ := r.BasicAuth()
	return password
}

// send logs the request and answers it.
func (s *server) send(w http.ResponseWriter, request *call, result reply) {
	var body []byte
	header := w.Header()
	switch content := result.content.(type) {
	case nil:
	case page:
		body = []byte(content)
		header.Set("Content-Type", "text/html; charset=utf-8")
	default:
		text, err := json.Marshal(content)
		if err != nil {
			slog.Error("encode an answer of the forge", "path", request.entry.Path, "error", err)
			result.status = http.StatusInternalServerError
		}
		body = text
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
	s.describe(request, header)
	for name, values := range result.header {
		header[name] = values
	}
	request.entry.Status, request.entry.Bytes = result.status, int64(len(body))
	s.record(request.entry)
	if result.status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(result.status)
	if request.Method != http.MethodHead {
		// A client that is gone needs no answer; the log has its line.
		_, _ = w.Write(body)
	}
}

// describe sets the headers that GitHub sends with every answer.
func (s *server) describe(request *call, header http.Header) {
	header.Set("X-GitHub-Request-Id", requestID())
	header.Set("X-GitHub-Media-Type", "github.v3; format=json")
	header.Set("X-GitHub-Api-Version-Selected", "2022-11-28")
	s.limits.count(request.token).describe(header)
	if request.token == nil {
		return
	}
	switch request.token.name {
	case TokenClassic:
		header.Set("X-OAuth-Scopes", classicScopes)
	case TokenExpiring:
		expiry := time.Now().Add(expiringIn).UTC()
		header.Set("GitHub-Authentication-Token-Expiration", expiry.Format("2006-01-02 15:04:05 UTC"))
	}
}

// drop logs the request and ends its connection as a crashed peer does: with RST, not FIN.
func (s *server) drop(w http.ResponseWriter, request *call, result reply) {
	request.entry.Status, request.entry.Dropped = result.status, true
	s.record(request.entry)
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	inner := connection
	if wrapped, ok := connection.(interface{ NetConn() net.Conn }); ok {
		inner = wrapped.NetConn()
	}
	if plain, ok := inner.(*net.TCPConn); ok {
		// Without it the connection still ends, only more politely.
		_ = plain.SetLinger(0)
	}
	inner.Close()
}

// requestID looks like GitHub's X-GitHub-Request-Id.
func requestID() string {
	var random [12]byte
	_, _ = rand.Read(random[:])
	text := strings.ToUpper(hex.EncodeToString(random[:]))
	return fmt.Sprintf("%s:%s:%s", text[:4], text[4:10], text[10:])
}

// decodeStrictly reads one JSON value with known fields only.
func decodeStrictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// input reads the request's JSON object; what is missing keeps its value, and unknown fields are ignored as GitHub
// does.
func (c *call) input(into any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	return json.Unmarshal(c.body, into)
}

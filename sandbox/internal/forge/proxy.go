package forge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Hosts are the hosts in whose place a forge answers to those who come by its proxy: HTTPS_PROXY of a client leads every
// https address to it (RFC 9110, CONNECT), so that the address of a repository stays what it is.
//
// Only Git is served there. Any credential may read, since nobody here can know the right one, and a public repository
// needs none. Connections to other hosts go through.
type Hosts struct {
	// Names are the hosts.
	Names []string
	// Proxy is where the proxy listens.
	Proxy net.Listener
	// Certificate is for all the names.
	Certificate tls.Certificate
}

// dialDeadline is how long the connection to a host that the forge does not answer for may take to open.
const dialDeadline = 15 * time.Second

// byProxy marks requests that came by the proxy.
type byProxy struct{}

func cameByProxy(r *http.Request) bool { return r.Context().Value(byProxy{}) != nil }

// believed is who comes by the proxy with a credential, and anonymous who comes without.
var (
	believed  = &token{name: "believed", right: rightRead}
	anonymous = &token{name: "anonymous", right: rightRead}
)

// proxyActor returns who a request by the proxy is from, or nil for nobody that may know of the repository.
func proxyActor(r *http.Request, repository *repository) *token {
	switch {
	case r.Header.Get("Authorization") != "":
		return believed
	case repository != nil && !repository.Private:
		return anonymous
	}
	return nil
}

// serveProxy accepts connections until the context ends.
func (s *server) serveProxy(ctx context.Context) error {
	hosts := s.options.Hosts
	taken := &handedOver{connections: make(chan net.Conn), ctx: ctx, address: hosts.Proxy.Addr()}
	inside := &http.Server{
		Handler:           http.HandlerFunc(s.serveHost),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(ctx, byProxy{}, true) },
		ReadHeaderTimeout: 30 * time.Second,
	}
	outside := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.connect(ctx, w, r, taken) }),
		// HTTP/2 has no connection to take over.
		Protocols:         onlyHTTP1(),
		ReadHeaderTimeout: 30 * time.Second,
	}
	context.AfterFunc(ctx, func() {
		outside.Close()
		inside.Close()
	})
	go func() { _ = inside.Serve(taken) }()
	if err := outside.Serve(hosts.Proxy); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the forge's proxy on %s: %w", hosts.Proxy.Addr(), err)
	}
	return nil
}

func onlyHTTP1() *http.Protocols {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return protocols
}

// serveHost answers in the place of a host: Git and nothing else.
func (s *server) serveHost(w http.ResponseWriter, r *http.Request) {
	if parts := gitPath.FindStringSubmatch(r.URL.Path); parts != nil {
		s.serveGit(w, r, parts[1], parts[2])
		return
	}
	http.Error(w, "The sandbox serves nothing but Git here.", http.StatusNotFound)
}

// connect takes the connection over and answers it in the place of its host, or leads it there.
func (s *server) connect(ctx context.Context, w http.ResponseWriter, r *http.Request, taken *handedOver) {
	if r.Method != http.MethodConnect {
		http.Error(w, "This is a proxy for https addresses.", http.StatusMethodNotAllowed)
		return
	}
	var target net.Conn
	served := slices.Contains(s.options.Hosts.Names, strings.ToLower(hostOf(r.Host)))
	if !served {
		var err error
		if target, err = (&net.Dialer{Timeout: dialDeadline}).DialContext(ctx, "tcp", r.Host); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer target.Close()
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		slog.Error("take over a connection of the proxy", "error", err)
		return
	}
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		client.Close()
		return
	}
	if served {
		taken.give(tls.Server(client, &tls.Config{Certificates: []tls.Certificate{s.options.Hosts.Certificate}}))
		return
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() {
		client.Close()
		target.Close()
	})
	defer stop()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, target}, {target, client}} {
		go func() {
			// An error is the end of one of the two sides.
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// handedOver is a listener of connections that somebody else has accepted.
type handedOver struct {
	connections chan net.Conn
	ctx         context.Context
	address     net.Addr
}

func (h *handedOver) give(connection net.Conn) {
	select {
	case h.connections <- connection:
	case <-h.ctx.Done():
		connection.Close()
	}
}

// Accept waits for the next connection.
func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case connection := <-h.connections:
		return connection, nil
	case <-h.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close does nothing: the listener ends with its context.
func (h *handedOver) Close() error { return nil }

// Addr is the address of the proxy.
func (h *handedOver) Addr() net.Addr { return h.address }

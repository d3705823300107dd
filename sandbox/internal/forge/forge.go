// Package forge stands in for GitHub on loopback: Git over SSH and HTTP by the installed git, and the part of
// GitHub's REST API that a bootstrap uses, with GitHub's paths, statuses, headers and error bodies as documented at
// https://docs.github.com/rest.
//
// Like a GitHub Enterprise Server in private mode it shows repositories to nobody without a credential. Over SSH it
// lets in exactly the deploy keys registered through the REST API, each for its own repository, and the key of the
// sandbox's person, which may push everywhere. A GitHub App fetches with tokens of its installation.
//
// Of webhooks only pings are delivered; pull requests are opened and never merged; the rate limit is counted and never
// reached. The [Switches] add the faults that a client must survive.
package forge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options says where a forge keeps its state, where it listens and what its accounts are called.
type Options struct {
	// Folder holds everything that survives a restart; see the constants of this package for what lies in it.
	Folder string
	// HTTP takes the REST API and Git over HTTP. A TLS listener makes every address the forge tells an https one.
	HTTP net.Listener
	// SSH takes Git over SSH.
	SSH net.Listener
	// RequestLog is the file that gets one JSON line for each request; see [LogEntry].
	RequestLog string
	// Login is the account name of the sandbox's person, "sandbox" when empty. It is the same for the life of a folder.
	Login string
	// Owner is an organization that exists from the start; none when empty. More are made by the API.
	Owner string
	// Hosts are those that it answers for; none when nil.
	Hosts *Hosts
}

// server is one running forge.
type server struct {
	options  Options
	store    *store
	switches *switchboard
	tokens   tokens
	limits   rateLimits
	routes   *http.ServeMux
	log      *requestLog
	hostKeys []ssh.Signer
	userKey  string

	deliveries *deliveries
}

// Serve runs the forge until the context ends, and then returns nil once every connection and every git process it
// started is gone. It prepares the folder by itself, so [Prepare] is needed only by who wants the keys earlier. One
// folder must be served by one process at a time.
func Serve(ctx context.Context, options Options) error {
	if options.Login == "" {
		options.Login = "sandbox"
	}
	if err := Prepare(options.Folder, options.SSH.Addr().String()); err != nil {
		return err
	}
	forge, err := open(options)
	if err != nil {
		return err
	}
	defer forge.log.Close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	forge.deliveries = newDeliveries(ctx)
	web := &http.Server{
		Handler:           forge,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 30 * time.Second,
	}
	failures := make(chan error, 3)
	var running sync.WaitGroup
	running.Go(func() {
		defer cancel()
		if err := web.Serve(options.HTTP); !errors.Is(err, http.ErrServerClosed) {
			failures <- fmt.Errorf("serve the forge's HTTP on %s: %w", options.HTTP.Addr(), err)
		}
	})
	running.Go(func() {
		defer cancel()
		if err := forge.serveSSH(ctx, options.SSH); err != nil {
			failures <- fmt.Errorf("serve the forge's SSH on %s: %w", options.SSH.Addr(), err)
		}
	})
	if options.Hosts != nil {
		running.Go(func() {
			defer cancel()
			if err := forge.serveProxy(ctx); err != nil {
				failures <- err
			}
		})
	}
	<-ctx.Done()
	options.SSH.Close()
	grace, release := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer release()
	if web.Shutdown(grace) != nil {
		web.Close()
	}
	running.Wait()
	forge.deliveries.running.Wait()
	close(failures)
	return <-failures
}

// open reads the state of a prepared folder.
func open(options Options) (*server, error) {
	hostKeys, err := readHostKeys(options.Folder)
	if err != nil {
		return nil, err
	}
	userKey, err := readSigner(options.Folder, UserKeyFile)
	if err != nil {
		return nil, err
	}
	tokens, err := readTokens(options.Folder)
	if err != nil {
		return nil, err
	}
	store, err := openStore(options.Folder, options.Login, options.Owner)
	if err != nil {
		return nil, err
	}
	switches, err := openSwitches(options.Folder)
	if err != nil {
		return nil, err
	}
	log, err := openRequestLog(options.RequestLog, tokens)
	if err != nil {
		return nil, err
	}
	opened := &server{
		options:  options,
		store:    store,
		switches: switches,
		tokens:   tokens,
		log:      log,
		hostKeys: hostKeys,
		userKey:  keyLine(userKey.PublicKey()),
	}
	opened.routes = opened.newRoutes()
	return opened, nil
}

// pause waits as long as the latency switch says, or until the context ends.
func (s *server) pause(ctx context.Context) {
	delay := time.Duration(s.switches.current().Latency) * time.Millisecond
	if delay <= 0 {
		return
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
}

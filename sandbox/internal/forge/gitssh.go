package forge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// loginDeadline is how long a client may take until it is logged in.
const loginDeadline = 30 * time.Second

// sshActor is who logged in: a deploy key of one repository, or the sandbox's person when keyID is 0.
type sshActor struct {
	fingerprint  string
	keyID        uint64
	repositoryID uint64
}

// actorKey finds the actor in what a login grants.
type actorKey struct{}

// serveSSH accepts connections until the listener is closed, and returns when the last of them has ended.
func (s *server) serveSSH(ctx context.Context, listener net.Listener) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a connection: %w", err)
		}
		if s.switches.current().GitDown {
			connection.Close()
			continue
		}
		connections.Go(func() { s.handleSSH(ctx, connection) })
	}
}

func (s *server) handleSSH(ctx context.Context, connection net.Conn) {
	defer connection.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { connection.Close() })

	began := time.Now()
	var refused LogEntry
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-sandbox-forge",
		PublicKeyCallback: func(client ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			actor, err := s.admit(client.User(), key)
			if err != nil {
				refused = LogEntry{Time: began, Kind: KindGitSSH, Method: "authenticate", Status: 255,
					Actor: ssh.FingerprintSHA256(key), UserAgent: string(client.ClientVersion())}
				return nil, err
			}
			return &ssh.Permissions{ExtraData: map[any]any{actorKey{}: actor}}, nil
		},
	}
	for _, key := range s.hostKeys {
		config.AddHostKey(key)
	}
	if err := connection.SetDeadline(began.Add(loginDeadline)); err != nil {
		return
	}
	client, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		if refused.Kind != "" {
			s.record(refused)
		}
		return
	}
	if err := connection.SetDeadline(time.Time{}); err != nil {
		return
	}
	actor, _ := client.Permissions.ExtraData[actorKey{}].(sshActor)
	if actor.keyID != 0 {
		if err := s.store.markUsed(actor.keyID); err != nil {
			slog.Error("note the use of a deploy key", "error", err)
		}
	}

	var sessions sync.WaitGroup
	defer func() {
		cancel()
		sessions.Wait()
	}()
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		if channel.ChannelType() != "session" {
			// A client that is gone needs no refusal.
			_ = channel.Reject(ssh.Prohibited, "only git is served here")
			continue
		}
		accepted, requests, err := channel.Accept()
		if err != nil {
			return
		}
		session := &sshSession{server: s, actor: actor, channel: accepted, userAgent: string(client.ClientVersion())}
		sessions.Go(func() { session.handle(ctx, requests) })
	}
}

// admit decides whether a key opens the door at all. GitHub knows one user name only; other hosts have others.
func (s *server) admit(user string, key ssh.PublicKey) (sshActor, error) {
	if user != "git" && s.options.Hosts == nil {
		return sshActor{}, fmt.Errorf("no user %q", user)
	}
	line, fingerprint := keyLine(key), ssh.FingerprintSHA256(key)
	if line == s.userKey {
		return sshActor{fingerprint: fingerprint}, nil
	}
	repository, registered := s.store.current().deployKey(line)
	if registered == nil {
		return sshActor{}, fmt.Errorf("key %s is not registered", fingerprint)
	}
	switches := s.switches.current()
	if switches.DeployKeysDisabled {
		return sshActor{}, errors.New("deploy keys are disabled")
	}
	if delay := time.Duration(switches.KeyDelay * float64(time.Second)); time.Since(registered.CreatedAt) < delay {
		return sshActor{}, fmt.Errorf("key %s is not active yet", fingerprint)
	}
	return sshActor{fingerprint: fingerprint, keyID: registered.ID, repositoryID: repository.ID}, nil
}

// sshSession is one session channel: at most one command, and the environment sent before it.
type sshSession struct {
	server    *server
	actor     sshActor
	channel   ssh.Channel
	userAgent string
	protocol  string
}

// protocolPattern is what Git itself sends: colon-separated keys with optional values.
var protocolPattern = regexp.MustCompile(`^[a-z0-9=:._-]{1,100}$`)

func (t *sshSession) handle(ctx context.Context, requests <-chan *ssh.Request) {
	defer t.channel.Close()
	for request := range requests {
		switch request.Type {
		case "env":
			var variable struct{ Name, Value string }
			known := ssh.Unmarshal(request.Payload, &variable) == nil && variable.Name == "GIT_PROTOCOL" &&
				protocolPattern.MatchString(variable.Value)
			if known {
				t.protocol = variable.Value
			}
			respond(request, known)
		case "exec", "shell":
			var command struct{ Line string }
			if request.Type == "exec" && ssh.Unmarshal(request.Payload, &command) != nil {
				respond(request, false)
				return
			}
			respond(request, true)
			go ssh.DiscardRequests(requests)
			t.finish(t.run(ctx, command.Line))
			return
		default:
			respond(request, false)
		}
	}
}

func respond(request *ssh.Request, accepted bool) {
	if request.WantReply {
		// A client that is gone needs no reply.
		_ = request.Reply(accepted, nil)
	}
}

// finish tells the client the exit status, after all output.
func (t *sshSession) finish(status int) {
	_ = t.channel.CloseWrite()
	_, _ = t.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
}

// run carries out one command line and returns the exit status; the log has it before the client does.
func (t *sshSession) run(ctx context.Context, line string) int {
	entry := LogEntry{Time: time.Now(), Kind: KindGitSSH, Actor: t.actor.fingerprint, UserAgent: t.userAgent}
	t.server.pause(ctx)
	output := &countingWriter{to: t.channel}
	entry.Status = t.command(ctx, line, output, &entry)
	entry.Bytes = output.count
	t.server.record(entry)
	return entry.Status
}

func (t *sshSession) command(ctx context.Context, line string, output io.Writer, entry *LogEntry) int {
	if line == "" {
		entry.Method = "shell"
		t.say("Hi %s! You've successfully authenticated, but the sandbox's forge does not provide shell access.", t.name())
		return 1
	}
	with, path, ok := parseCommand(line)
	if !ok {
		entry.Method = "command"
		t.say("Invalid command: only git-upload-pack and git-receive-pack of a repository are served.")
		return 1
	}
	entry.Method, entry.Path = string(with), path
	repository := t.server.findRepository(path)
	var key *deployKey
	if t.actor.keyID != 0 && repository != nil {
		// The key is looked up again, since it may have been deleted after this connection was opened.
		for _, candidate := range repository.Keys {
			if candidate.ID == t.actor.keyID {
				key = candidate
			}
		}
	}
	if repository == nil || t.actor.keyID != 0 && key == nil {
		t.say("ERROR: Repository not found.")
		return 1
	}
	entry.Repository = repository.fullName()
	if key != nil && key.ReadOnly && with == receivePack {
		t.say("ERROR: The key you are authenticating with has been marked as read only.")
		return 1
	}
	status, err := t.server.talk(ctx, repository, with, t.protocol, nil, t.channel, output, t.channel.Stderr())
	if err != nil {
		slog.Error("serve git over SSH", "repository", repository.fullName(), "error", err)
		t.say("ERROR: Internal error of the sandbox's forge.")
		return 128
	}
	return status
}

// name is how the actor is greeted: a person by login, a deploy key by its repository.
func (t *sshSession) name() string {
	if repository := t.server.store.current().repositoryByID(t.actor.repositoryID); repository != nil {
		return repository.fullName()
	}
	return t.server.options.Login
}

func (t *sshSession) say(format string, values ...any) {
	// A client that is gone needs no message.
	_, _ = fmt.Fprintf(t.channel.Stderr(), format+"\r\n", values...)
}

// commandPattern is the whole of what git and go-git send; no shell ever sees it.
var commandPattern = regexp.MustCompile(`^git[ -](upload-pack|receive-pack) (?:'([A-Za-z0-9._/-]+)'|([A-Za-z0-9._/-]+))$`)

func parseCommand(line string) (with service, path string, ok bool) {
	parts := commandPattern.FindStringSubmatch(line)
	if parts == nil {
		return "", "", false
	}
	return service("git-" + parts[1]), strings.Join(parts[2:], ""), true
}

// countingWriter counts what goes through it.
type countingWriter struct {
	to    io.Writer
	count int64
}

func (w *countingWriter) Write(content []byte) (int, error) {
	written, err := w.to.Write(content)
	w.count += int64(written)
	return written, err
}

// record writes a line to the request log; a full disk must not stop the forge.
func (s *server) record(entry LogEntry) {
	if err := s.log.write(entry); err != nil {
		slog.Error("log a request of the forge", "error", err)
	}
}

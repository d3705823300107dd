package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/loopback"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

// The supervisor answers to commands on a Unix socket in its folder:
//
//	GET  /state                       the state
//	POST /stop                        begins the orderly end
//	POST /components/NAME/ACTION      start, stop or restart
//
// Errors are the body of an answer that is not 200.

// socketLimit is the longest address of a Unix socket on every system: 103 bytes in unix(4) of macOS, 107 in unix(7) of
// Linux.
const socketLimit = 103

// socketPath returns an address of the socket. For a folder with a long name this process goes there, which is safe
// because every other path of the engine is absolute.
func socketPath(folder Folder) string {
	path := folder.Path(fileControl)
	if len(path) > socketLimit && os.Chdir(string(folder)) == nil {
		return fileControl
	}
	return path
}

// listenControl opens the socket. The folder's lock is held, so a socket that is there is a dead supervisor's.
func listenControl(folder Folder) (net.Listener, error) {
	path := socketPath(folder)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("removing an old control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	return listener, nil
}

// serveControl answers until the listener is closed.
func serveControl(listener net.Listener, state func() *State, supervisor *supervisor.Supervisor, stop func()) {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /state", func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(writer).Encode(state())
	})
	routes.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { stop() })
	actions := map[string]func(string) error{
		"start": supervisor.Start, "stop": supervisor.Stop, "restart": supervisor.Restart,
	}
	routes.HandleFunc("POST /components/{name}/{action}", func(writer http.ResponseWriter, request *http.Request) {
		act, known := actions[request.PathValue("action")]
		if !known {
			http.Error(writer, "there is no action "+request.PathValue("action"), http.StatusNotFound)
			return
		}
		if err := act(request.PathValue("name")); err != nil {
			http.Error(writer, err.Error(), http.StatusNotFound)
		}
	})
	_ = http.Serve(listener, routes)
}

// Control talks to the supervisor that runs the sandbox in a folder.
type Control struct{ client *http.Client }

// NewControl returns a client of the supervisor, whether it runs or not.
func NewControl(folder Folder) *Control {
	return &Control{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socketPath(folder))
		},
	}}}
}

// State asks for the current state.
func (c *Control) State(ctx context.Context) (*State, error) {
	content, err := c.send(ctx, http.MethodGet, "/state")
	if err != nil {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(content, state); err != nil {
		return nil, fmt.Errorf("reading the supervisor's answer: %w", err)
	}
	return state, nil
}

// Stop asks the supervisor to end.
func (c *Control) Stop(ctx context.Context) error {
	_, err := c.send(ctx, http.MethodPost, "/stop")
	return err
}

// Component starts, stops or restarts a component, and returns when that is done.
func (c *Control) Component(ctx context.Context, name, action string) error {
	_, err := c.send(ctx, http.MethodPost, "/components/"+name+"/"+action)
	return err
}

func (c *Control) send(ctx context.Context, method, path string) ([]byte, error) {
	return loopback.Ask(ctx, c.client, "the supervisor", method, "http://supervisor"+path, nil, nil)
}

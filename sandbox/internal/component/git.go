package component

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	gogit "github.com/go-git/go-git/v5/plumbing/transport/git"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

// gitDaemon becomes the machine's own git daemon. It is not started by way of `git daemon`, which would stand in between:
// a signal to it would leave the server behind.
func gitDaemon() int {
	output, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return status(fmt.Errorf("asking git where its programs are: %w", err))
	}
	program := filepath.Join(strings.TrimSpace(string(output)), "git-daemon")
	// For each connection it starts itself again, by the name it was called by.
	arguments := append([]string{program}, os.Args[1:]...)
	return status(fmt.Errorf("starting %s: %w", program, syscall.Exec(program, arguments, os.Environ())))
}

// gitProxy is what git calls to connect to git://HOST:PORT (git-config(1), core.gitProxy), with both as its arguments.
func gitProxy() int {
	if len(os.Args) != 3 {
		return status(errors.New("git-proxy takes a host and a port"))
	}
	address, err := servedAt(net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		return status(err)
	}
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return status(err)
	}
	server := connection.(*net.TCPConn)
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, os.Stdin)
		_ = server.CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, server)
	return status(err)
}

// leadGitToServices makes go-git find the Services of the sandbox behind git:// addresses.
func leadGitToServices() {
	client.InstallProtocol("git", serviceTransport{gogit.DefaultClient})
}

// serviceTransport is go-git's own transport, with the loopback address in the place of a Service's.
type serviceTransport struct{ transport.Transport }

func (t serviceTransport) NewUploadPackSession(endpoint *transport.Endpoint, auth transport.AuthMethod) (transport.UploadPackSession, error) {
	port := endpoint.Port
	if port <= 0 {
		port = gogit.DefaultPort
	}
	address, err := servedAt(net.JoinHostPort(endpoint.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	moved := *endpoint
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if moved.Port, err = strconv.Atoi(text); err != nil {
		return nil, err
	}
	moved.Host = host
	return t.Transport.NewUploadPackSession(&moved, auth)
}

// servedAt asks the kubelet of the sandbox where the port of a Service is served on this machine; an address that is not
// a Service's comes back as it is.
func servedAt(address string) (string, error) {
	resolver := os.Getenv(cluster.VariableResolver)
	if resolver == "" {
		return address, nil
	}
	asking := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := asking.Get(resolver + "&address=" + url.QueryEscape(address))
	if err != nil {
		return "", fmt.Errorf("asking where %s is served: %w", address, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil {
		return "", fmt.Errorf("asking where %s is served: %w", address, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking where %s is served: %s", address, strings.TrimSpace(string(answer)))
	}
	return string(answer), nil
}

package workload

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/loopback"
)

// backends finds the loopback address of the process that a port of a Service leads to now.
type backends func(service serviceAddress) (address string, found bool)

// services gives each port of a Service that a program asks for a loopback port that stays the same, and leads each
// connection to a Ready pod. So a program keeps its address of another while that one is restarted or rolled.
type services struct {
	backends backends
	record   string

	mutex     sync.Mutex
	ports     map[string]int
	listeners map[string]net.Listener
}

// newServices reads the ports that were given before from the record, a file.
func newServices(record string, backends backends) *services {
	result := &services{backends: backends, record: record, ports: map[string]int{}, listeners: map[string]net.Listener{}}
	// Without a record, or with a damaged one, the ports are new.
	if content, err := os.ReadFile(record); err == nil {
		_ = json.Unmarshal(content, &result.ports)
	}
	return result
}

func (s serviceAddress) String() string { return fmt.Sprintf("%s/%s:%d", s.namespace, s.name, s.port) }

// resolve returns the loopback address of a peer, or the address itself if it is not a Service's.
func (s *services) resolve(address, namespace string) (string, error) {
	scheme, service, found := parseServiceAddress(address, namespace)
	if !found {
		return address, nil
	}
	port, err := s.port(service)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s127.0.0.1:%d", scheme, port), nil
}

// port returns the loopback port of the Service's port, which listens from now on.
func (s *services) port(service serviceAddress) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	key := service.String()
	if _, open := s.listeners[key]; open {
		return s.ports[key], nil
	}
	listener, err := loopback.Listen(s.ports[key])
	if err != nil {
		return 0, fmt.Errorf("opening a port for Service %s: %w", key, err)
	}
	s.listeners[key] = listener
	s.ports[key] = loopback.Port(listener)
	go s.accept(listener, service)
	content, err := json.Marshal(s.ports)
	if err != nil {
		return 0, fmt.Errorf("encoding the ports of Services: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.record), 0o700); err != nil {
		return 0, fmt.Errorf("recording the port of Service %s: %w", key, err)
	}
	if err := os.WriteFile(s.record, content, 0o600); err != nil {
		return 0, fmt.Errorf("recording the port of Service %s: %w", key, err)
	}
	return s.ports[key], nil
}

// exists says whether the cluster has a Service.
type exists func(service serviceAddress) bool

// resolver answers the question of a program where an address leads to: /service?namespace=NAMESPACE&address=HOST:PORT
// with the loopback address of a Service, or with the address itself.
func (s *services) resolver(exists exists) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		namespace, address := request.FormValue("namespace"), request.FormValue("address")
		_, service, found := parseServiceAddress(address, namespace)
		switch {
		case found && exists(service):
			resolved, err := s.resolve(address, namespace)
			if err != nil {
				http.Error(writer, err.Error(), http.StatusInternalServerError)
				return
			}
			address = resolved
		case found && strings.Contains(address, ".svc"):
			// Nobody outside of the cluster is asked for such a name.
			http.Error(writer, fmt.Sprintf("there is no Service %s/%s", service.namespace, service.name), http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(writer, address)
	})
}

func (s *services) close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, listener := range s.listeners {
		listener.Close()
	}
}

func (s *services) accept(listener net.Listener, service serviceAddress) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go s.forward(connection.(*net.TCPConn), service)
	}
}

// forward leads one connection to a backend. Without one it is closed at once, as a cluster refuses it.
func (s *services) forward(client *net.TCPConn, service serviceAddress) {
	defer client.Close()
	address, found := s.backends(service)
	if !found {
		return
	}
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	backend := connection.(*net.TCPConn)
	defer backend.Close()
	done := make(chan struct{}, 2)
	pipe := func(to, from *net.TCPConn) {
		_, _ = io.Copy(to, from)
		_ = to.CloseWrite()
		done <- struct{}{}
	}
	go pipe(backend, client)
	go pipe(client, backend)
	<-done
	<-done
}

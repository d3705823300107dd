// Package loopback opens ports that only this machine reaches.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports are taken from below those that systems give to outgoing connections (32768 and up on Linux, 49152 and up on
// macOS): one of those may be gone by the time the program listens that it was chosen for.
const (
	lowest   = 20000
	highest  = 32000
	attempts = 100
)

// Listen opens the preferred port if it is free, else any free one. 0 prefers none.
func Listen(preferred int) (net.Listener, error) {
	if preferred != 0 {
		if listener, err := net.Listen("tcp", address(preferred)); err == nil {
			return listener, nil
		}
	}
	for range attempts {
		if listener, err := net.Listen("tcp", address(lowest+rand.IntN(highest-lowest))); err == nil {
			return listener, nil
		}
	}
	listener, err := net.Listen("tcp", address(0))
	if err != nil {
		return nil, fmt.Errorf("opening a port on loopback: %w", err)
	}
	return listener, nil
}

// Port returns the port of a listener.
func Port(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

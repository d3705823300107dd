package cluster

import (
	"fmt"
	"net"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/loopback"
)

// The ports of a sandbox, all on loopback.
const (
	portAPIServer         = "kube-apiserver"
	portControllerManager = "kube-controller-manager"
	portEtcdClient        = "etcd"
	portEtcdPeer          = "etcd-peer"
	portForgeHTTP         = "forge-http"
	portForgeProxy        = "forge-proxy"
	portForgeSSH          = "forge-ssh"
	portKwok              = "kwok"
	portScheduler         = "kube-scheduler"
	portStandIns          = "stand-ins"
	portWorkload          = "workload"
)

var portNames = []string{
	portAPIServer, portControllerManager, portEtcdClient, portEtcdPeer, portForgeHTTP, portForgeProxy, portForgeSSH, portKwok,
	portScheduler, portStandIns, portWorkload,
}

// choosePorts returns a port for each name: the one that it had before if that is free, else any free one.
func choosePorts(before map[string]int) (map[string]int, error) {
	ports := map[string]int{}
	// All are held open until the last is chosen, so that no two names get the same.
	var held []net.Listener
	defer func() {
		for _, listener := range held {
			listener.Close()
		}
	}()
	for _, name := range portNames {
		listener, err := loopback.Listen(before[name])
		if err != nil {
			return nil, fmt.Errorf("choosing a port for %s: %w", name, err)
		}
		held = append(held, listener)
		ports[name] = loopback.Port(listener)
	}
	return ports, nil
}

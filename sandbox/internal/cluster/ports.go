package cluster

import (
	"fmt"
	"net"
)

// The ports of a sandbox, all on loopback.
const (
	portAPIServer         = "kube-apiserver"
	portControllerManager = "kube-controller-manager"
	portEtcdClient        = "etcd"
	portEtcdPeer          = "etcd-peer"
	portForgeHTTP         = "forge-http"
	portForgeSSH          = "forge-ssh"
	portKwok              = "kwok"
	portScheduler         = "kube-scheduler"
	portWorkload          = "workload"
)

var portNames = []string{
	portAPIServer, portControllerManager, portEtcdClient, portEtcdPeer, portForgeHTTP, portForgeSSH, portKwok,
	portScheduler, portWorkload,
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
	hold := func(name string, port int) error {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		held = append(held, listener)
		ports[name] = listener.Addr().(*net.TCPAddr).Port
		return nil
	}
	for _, name := range portNames {
		if port := before[name]; port != 0 {
			_ = hold(name, port)
		}
	}
	for _, name := range portNames {
		if ports[name] == 0 {
			if err := hold(name, 0); err != nil {
				return nil, fmt.Errorf("choosing a port for %s: %w", name, err)
			}
		}
	}
	return ports, nil
}

package workload

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Hosts are the hosts that the forge answers for, as Argo CD's programs see it.
type Hosts struct {
	// Names are the hosts; none when empty.
	Names []string
	// ProxyPort is the loopback port of the forge's proxy for https addresses.
	ProxyPort int
}

const (
	// knownHostsKey is the key of the ConfigMap that Argo CD reads host keys from.
	knownHostsKey = "ssh_known_hosts"
	// certificatesName is the name of the ConfigMap with the certificates that Argo CD trusts, by host.
	certificatesName = "argocd-tls-certs-cm"
)

// variables lead https addresses to the proxy. Both spellings are read, by different programs.
func (h Hosts) variables() []string {
	if len(h.Names) == 0 {
		return nil
	}
	proxy, local := fmt.Sprintf("=http://127.0.0.1:%d", h.ProxyPort), "=127.0.0.1,localhost"
	return []string{"HTTPS_PROXY" + proxy, "https_proxy" + proxy, "NO_PROXY" + local, "no_proxy" + local}
}

// trust returns the ConfigMap with what it takes to trust the forge in the place of the hosts: the forge's host keys
// beside those of a host, and the sandbox's authority beside the certificates of each host. Known hosts that do not trust
// any of the hosts do not trust the forge either.
//
// The lines of the forge name the address that is really dialled, for that is what both go-git and OpenSSH look up after
// the redirection in ssh_config.
func (h Hosts) trust(configMap *corev1.ConfigMap, forge, authority string) *corev1.ConfigMap {
	additions := map[string]string{}
	if known := configMap.Data[knownHostsKey]; slices.ContainsFunc(h.Names, func(host string) bool { return knows(known, host) }) {
		additions[knownHostsKey] = forge
	}
	if configMap.Name == certificatesName {
		for _, host := range h.Names {
			additions[host] = authority
		}
	}
	if len(additions) == 0 {
		return configMap
	}
	result := configMap.DeepCopy()
	if result.Data == nil {
		result.Data = map[string]string{}
	}
	for key, addition := range additions {
		if before := strings.TrimRight(result.Data[key], "\n"); before != "" {
			addition = before + "\n" + addition
		}
		result.Data[key] = addition
	}
	return result
}

// knows says whether a line of known hosts, in the form of sshd(8), names the host, at any port.
func knows(lines, host string) bool {
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		for _, name := range strings.Split(fields[0], ",") {
			if name == host || strings.HasPrefix(name, "["+host+"]:") {
				return true
			}
		}
	}
	return false
}

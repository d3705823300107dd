package workload

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// knownHostsKey is the key of the ConfigMap that Argo CD reads host keys from.
const knownHostsKey = "ssh_known_hosts"

// trustForge returns the ConfigMap with the forge's host keys beside those of the host that the forge answers for. A
// ConfigMap that does not trust the host does not trust the forge either.
//
// The lines of the forge name the address that is really dialled, for that is what both go-git and OpenSSH look up after
// the redirection in ssh_config.
func trustForge(configMap *corev1.ConfigMap, host, forge string) *corev1.ConfigMap {
	known, found := configMap.Data[knownHostsKey]
	if !found || !knows(known, host) {
		return configMap
	}
	result := configMap.DeepCopy()
	result.Data[knownHostsKey] = strings.TrimRight(known, "\n") + "\n" + forge
	return result
}

// knows says whether a line of known hosts, in the form of sshd(8), names the host.
func knows(lines, host string) bool {
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		if len(fields) > 0 && slices.Contains(strings.Split(fields[0], ","), host) {
			return true
		}
	}
	return false
}

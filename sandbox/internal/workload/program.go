package workload

import (
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// program is one of the real programs that stand behind containers, and how its ports and peers are told to it. All
// pods share the machine's loopback, so each port becomes a free one and each peer the loopback port of its Service.
type program struct {
	name string
	// word matches the word of a container's command line that is the program; its arguments come after that. Without
	// such a word all are arguments, and without a pattern none are.
	word *regexp.Regexp
	// ports are the ports that it opens; the first is the one to connect to when the container has no readiness probe.
	ports []portFlag
	// peers are the addresses that it connects to.
	peers []peerFlag
	// arguments are added as they are.
	arguments []string
	// clientPrefix is the middle of the variables that name its client certificate for the repo-server.
	clientPrefix string
}

// portFlag is a flag that says where to listen.
type portFlag struct {
	flag string
	// value is the format of the flag's value, of a port on loopback.
	value string
	// standard is the port without the flag.
	standard int
}

// peerFlag is a flag that says where another program is.
type peerFlag struct {
	flag string
	// variable is the environment variable that gives the flag its default.
	variable string
	// standard is the address without either.
	standard string
}

// The defaults are those of argo-cd's common/common.go and of the programs' own flags.
const (
	standardRepoServer   = "argocd-repo-server:8081"
	standardCommitServer = "argocd-commit-server:8086"
	standardDex          = "argocd-dex-server:5556"
	standardRedis        = "argocd-redis:6379"
	loopbackPort         = "127.0.0.1:%d"
	onlyPort             = "%d"
)

var redisPeer = peerFlag{"--redis", "REDIS_SERVER", standardRedis}

const (
	nameServer = "argocd-server"
	nameRedis  = "redis"
)

var programs = []*program{
	{
		name: "argocd-application-controller",
		word: argocdProgram,
		// It has no flag for the address, which cmd/build changes to loopback in its source.
		ports: []portFlag{{"--metrics-port", onlyPort, 8082}},
		peers: []peerFlag{
			{"--repo-server", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER", standardRepoServer},
			{"--commit-server", "ARGOCD_APPLICATION_CONTROLLER_COMMIT_SERVER", standardCommitServer},
			redisPeer,
		},
		clientPrefix: "APPLICATION_CONTROLLER_",
	},
	{
		name: "argocd-applicationset-controller",
		word: argocdProgram,
		ports: []portFlag{
			{"--probe-addr", loopbackPort, 8081},
			{"--metrics-addr", loopbackPort, 8080},
			{"--webhook-addr", loopbackPort, 7000},
		},
		peers:        []peerFlag{{"--argocd-repo-server", "ARGOCD_APPLICATIONSET_CONTROLLER_REPO_SERVER", standardRepoServer}},
		clientPrefix: "APPLICATIONSET_CONTROLLER_",
	},
	{
		name:      "argocd-repo-server",
		word:      argocdProgram,
		ports:     []portFlag{{"--port", onlyPort, 8081}, {"--metrics-port", onlyPort, 8084}},
		peers:     []peerFlag{redisPeer},
		arguments: []string{"--address=127.0.0.1", "--metrics-address=127.0.0.1"},
	},
	{
		name:  nameServer,
		word:  argocdProgram,
		ports: []portFlag{{"--port", onlyPort, 8080}, {"--metrics-port", onlyPort, 8083}},
		peers: []peerFlag{
			{"--repo-server", "ARGOCD_SERVER_REPO_SERVER", standardRepoServer},
			{"--dex-server", "ARGOCD_SERVER_DEX_SERVER", standardDex},
			redisPeer,
		},
		arguments:    []string{"--address=127.0.0.1", "--metrics-address=127.0.0.1"},
		clientPrefix: "SERVER_",
	},
	sealedSecretsProgram,
	redisProgram,
	gitDaemonProgram,
}

// sealedSecretsProgram is the controller of Sealed Secrets, by its own flags (pkg/controller/server.go).
var sealedSecretsProgram = &program{
	name:  "sealed-secrets-controller",
	word:  regexp.MustCompile(`(^|/)controller$`),
	ports: []portFlag{{"--listen-addr", loopbackPort, 8080}, {"--listen-metrics-addr", loopbackPort, 8081}},
}

// sealedSecretsImage are the images of that controller, by whatever registry or mirror. They start it by themselves.
var sealedSecretsImage = regexp.MustCompile(`(^|/)sealed-secrets(-controller)?([:@]|$)`)

// redisProgram is miniredis in place of Redis, or of the proxy in front of a highly available one: only the first pod of
// a Service is ever connected to, so that all clients see the same data.
var redisProgram = &program{
	name:  nameRedis,
	ports: []portFlag{{"--port", onlyPort, 6379}, {"--health-port", onlyPort, 8888}},
}

// gitDaemonProgram is the machine's own git daemon.
var gitDaemonProgram = &program{
	name:      "git-daemon",
	word:      regexp.MustCompile(`^daemon$`),
	ports:     []portFlag{{"--port", onlyPort, 9418}},
	arguments: []string{"--listen=127.0.0.1"},
}

// redisNames are the values of the label app.kubernetes.io/name of pods that are Redis to Argo CD.
var redisNames = []string{"argocd-redis", "argocd-redis-ha-haproxy"}

var argocdProgram = regexp.MustCompile(`(^|/)argocd-(application-controller|applicationset-controller|repo-server|server)$`)

// find returns the program that stands behind a container of the pod, and the container, or nils. The stages for pods in
// assets/stages/pod.yaml say the same to kwok, which must leave these pods alone.
func find(pod *corev1.Pod) (*program, *corev1.Container) {
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		if isGitDaemon(container) {
			return gitDaemonProgram, container
		}
		for _, word := range slices.Concat(container.Command, container.Args) {
			if argocdProgram.MatchString(word) {
				name := path.Base(word)
				return programs[slices.IndexFunc(programs, func(p *program) bool { return p.name == name })], container
			}
		}
	}
	for i := range pod.Spec.Containers {
		if sealedSecretsImage.MatchString(pod.Spec.Containers[i].Image) {
			return sealedSecretsProgram, &pod.Spec.Containers[i]
		}
	}
	if slices.Contains(redisNames, pod.Labels["app.kubernetes.io/name"]) {
		return redisProgram, &pod.Spec.Containers[0]
	}
	return nil, nil
}

// isGitDaemon says whether the container runs `git daemon`.
func isGitDaemon(container *corev1.Container) bool {
	return len(container.Command) > 1 && path.Base(container.Command[0]) == "git" && container.Command[1] == "daemon"
}

// Owned says whether a real process stands behind the pod.
func Owned(pod *corev1.Pod) bool {
	program, _ := find(pod)
	return program != nil
}

// declaredPorts returns the ports that the container would open with these arguments in a pod of its own, in the order
// of the program's flags.
func (p *program) declaredPorts(arguments []string) []int {
	ports := []int{}
	for _, flag := range p.ports {
		port := flag.standard
		if value := flagValue(arguments, flag.flag); value != "" {
			if number, err := strconv.Atoi(value[strings.LastIndexByte(value, ':')+1:]); err == nil {
				port = number
			}
		}
		ports = append(ports, port)
	}
	return ports
}

// commandLine returns the arguments of the process: the container's own, then those that move ports and peers to
// loopback, which win because they come last. The ports are what the declared ones became.
func (p *program) commandLine(arguments []string, environment map[string]string, ports map[int]int, resolve func(address string) string) []string {
	line, folders := []string{p.name}, []string{}
	if p.word != nil {
		own := arguments[slices.IndexFunc(arguments, p.word.MatchString)+1:]
		if p == gitDaemonProgram {
			own, folders = splitGitDaemon(own)
		}
		line = append(line, own...)
	}
	for i, declared := range p.declaredPorts(arguments) {
		line = append(line, p.ports[i].flag+"="+fmt.Sprintf(p.ports[i].value, ports[declared]))
	}
	for _, peer := range p.peers {
		address := peer.standard
		if value := environment[peer.variable]; value != "" {
			address = value
		}
		if value := flagValue(arguments, peer.flag); value != "" {
			address = value
		}
		line = append(line, peer.flag+"="+resolve(address))
	}
	return slices.Concat(line, p.arguments, folders)
}

// splitGitDaemon returns the options of a `git daemon` without the addresses that it listens at, of which there can be
// several, and the folders that it serves, which end the options (git-daemon(1)).
func splitGitDaemon(arguments []string) (options, folders []string) {
	end := slices.IndexFunc(arguments, func(word string) bool { return word == "--" || !strings.HasPrefix(word, "-") })
	if end < 0 {
		end = len(arguments)
	}
	for _, option := range arguments[:end] {
		if !strings.HasPrefix(option, "--listen=") {
			options = append(options, option)
		}
	}
	return options, arguments[end:]
}

// flagValue returns the last value of a flag, in either of its two forms.
func flagValue(arguments []string, flag string) string {
	value := ""
	for i, argument := range arguments {
		if rest, found := strings.CutPrefix(argument, flag+"="); found {
			value = rest
		} else if argument == flag && i+1 < len(arguments) {
			value = arguments[i+1]
		}
	}
	return value
}

// serviceAddress is a port of a Service.
type serviceAddress struct {
	namespace, name string
	port            int
}

// parseServiceAddress reads an address as a pod in that namespace would resolve it. It says no to whatever is not the
// name of a Service in one of the forms of the cluster's DNS.
func parseServiceAddress(address, namespace string) (scheme string, service serviceAddress, found bool) {
	if before, after, has := strings.Cut(address, "://"); has {
		scheme, address = before+"://", after
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", serviceAddress{}, false
	}
	port, err := strconv.Atoi(text)
	if err != nil || net.ParseIP(host) != nil || host == "localhost" || host == "" {
		return "", serviceAddress{}, false
	}
	host = strings.TrimSuffix(strings.TrimSuffix(host, "."), ".cluster.local")
	parts := strings.Split(host, ".")
	switch {
	case len(parts) == 1:
	case len(parts) == 3 && parts[2] == "svc":
		namespace = parts[1]
	case len(parts) == 2:
		namespace = parts[1]
	default:
		return "", serviceAddress{}, false
	}
	return scheme, serviceAddress{namespace, parts[0], port}, true
}

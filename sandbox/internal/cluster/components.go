package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

// The components, by the name of their program.
const (
	componentAPIServer         = "kube-apiserver"
	componentControllerManager = "kube-controller-manager"
	componentEtcd              = "etcd"
	componentForge             = "forge"
	componentKwok              = "kwok"
	componentScheduler         = "kube-scheduler"
	componentStandIns          = "stand-ins"
	componentWorkload          = "workload"
)

const (
	// serviceRange holds 10.96.0.1, which the server's certificate names.
	serviceRange = "10.96.0.0/16"
	// podRange holds the addresses of kwok's pods. Nothing answers on them.
	podRange = "10.244.0.1/16"
	issuer   = "https://kubernetes.default.svc.cluster.local"
)

// components knows how each component of one sandbox is run and asked whether it serves.
type components struct {
	folder     Folder
	executable string
	ports      map[string]int
	client     *http.Client
	// keepDefaults leaves out the settings that make a tree of Applications converge sooner.
	keepDefaults bool
}

func newComponents(folder Folder, executable string, ports map[string]int, keepDefaults bool) (*components, error) {
	pair, err := tls.LoadX509KeyPair(folder.Path("pki/admin.crt"), folder.Path("pki/admin.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the administrator's certificate: %w", err)
	}
	authority, err := os.ReadFile(folder.Path("pki/ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	// Only servers with a certificate of this sandbox's authority are believed, so another sandbox's process, or an old
	// one, that answers on a reused port does not count.
	return &components{folder: folder, executable: executable, ports: ports, keepDefaults: keepDefaults, client: &http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			Proxy: nil, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots},
		},
	}}, nil
}

// component is one program with its arguments, ready when the address answers 200.
func (c *components) component(name, address string, arguments ...string) supervisor.Component {
	return supervisor.Component{
		Command: supervisor.Command{
			Name: name, Path: c.executable, Arguments: append([]string{c.executable}, arguments...),
			Environment: Environment(c.folder), Folder: string(c.folder), Log: c.folder.Log(name), Records: c.folder.Records(),
		},
		Ready: func(ctx context.Context) error { return c.answers(ctx, address) },
		Grace: 5 * time.Second,
	}
}

// Environment is what every program of a sandbox starts with: nothing of the host's but the PATH, behind the sandbox's
// own programs.
func Environment(folder Folder) []string {
	own := folder.Path("bin") + string(os.PathListSeparator)
	return []string{
		"HOME=" + folder.Path("home"),
		"LANG=C.UTF-8",
		"PATH=" + own + strings.TrimPrefix(os.Getenv("PATH"), own),
		"TMPDIR=" + folder.Path("tmp"),
		// Git must not read the configuration of the machine (git(1), GIT_CONFIG_NOSYSTEM).
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
	}
}

func (c *components) answers(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	return nil
}

func (c *components) port(name string) string { return fmt.Sprint(c.ports[name]) }

func (c *components) https(name string) string { return "https://127.0.0.1:" + c.port(name) }

func (c *components) http(name string) string { return "http://127.0.0.1:" + c.port(name) }

func (c *components) pki(file string) string { return c.folder.Path("pki/" + file) }

func (c *components) etcd() supervisor.Component {
	return c.component(componentEtcd, c.https(portEtcdClient)+"/health", componentEtcd,
		"--data-dir="+c.folder.Path("etcd"),
		"--client-port="+c.port(portEtcdClient),
		"--peer-port="+c.port(portEtcdPeer),
		"--cert-file="+c.pki("server.crt"),
		"--key-file="+c.pki("server.key"),
		"--trusted-ca-file="+c.pki("ca.crt"),
	)
}

func (c *components) apiServer() supervisor.Component {
	component := c.component(componentAPIServer, c.https(portAPIServer)+"/readyz", componentAPIServer,
		"--etcd-servers="+c.https(portEtcdClient),
		"--etcd-cafile="+c.pki("ca.crt"),
		"--etcd-certfile="+c.pki("server.crt"),
		"--etcd-keyfile="+c.pki("server.key"),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port="+c.port(portAPIServer),
		// A loopback address may not be an endpoint of the Service `kubernetes`.
		"--endpoint-reconciler-type=none",
		"--tls-cert-file="+c.pki("server.crt"),
		"--tls-private-key-file="+c.pki("server.key"),
		"--client-ca-file="+c.pki("ca.crt"),
		"--service-account-issuer="+issuer,
		"--service-account-key-file="+c.pki("service-account.pub"),
		"--service-account-signing-key-file="+c.pki("service-account.key"),
		"--service-cluster-ip-range="+serviceRange,
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		// The pods behind webhooks do not run, so each request that matches one would fail.
		"--disable-admission-plugins=MutatingAdmissionWebhook,ValidatingAdmissionWebhook",
		"--audit-policy-file="+c.folder.Path("config/audit-policy.yaml"),
		"--audit-log-path="+c.folder.Path("logs/audit.jsonl"),
		"--audit-log-format=json",
		// A request is in the log before it is answered, so that whoever sent it can read it there.
		"--audit-log-mode=blocking-strict",
		"--audit-log-maxsize=1000",
		"--profiling=false",
	)
	if !c.keepDefaults {
		component.Environment = append(component.Environment, "GOGC=200", "GOMEMLIMIT=1500MiB")
	}
	return component
}

func (c *components) controllerManager() supervisor.Component {
	return c.controller(componentControllerManager, portControllerManager, identityControllerManager,
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.pki("service-account.key"),
		"--root-ca-file="+c.pki("ca.crt"),
		"--cluster-signing-cert-file="+c.pki("ca.crt"),
		"--cluster-signing-key-file="+c.pki("ca.key"),
	)
}

func (c *components) scheduler() supervisor.Component {
	return c.controller(componentScheduler, portScheduler, identityScheduler)
}

// controller is a part of Kubernetes that works on the API server, with its arguments beside those that all have.
func (c *components) controller(name, port, identity string, arguments ...string) supervisor.Component {
	if !c.keepDefaults {
		// At the default of 20 a second this is what a tree of Applications waits for.
		arguments = append(arguments, "--kube-api-qps=500", "--kube-api-burst=1000")
	}
	return c.component(name, c.https(port)+"/healthz", append([]string{name,
		"--kubeconfig=" + c.folder.kubeconfigOf(identity),
		"--bind-address=127.0.0.1",
		"--secure-port=" + c.port(port),
		"--tls-cert-file=" + c.pki("server.crt"),
		"--tls-private-key-file=" + c.pki("server.key"),
		"--leader-elect=false",
		"--profiling=false",
	}, arguments...)...)
}

func (c *components) kwok() supervisor.Component {
	return c.component(componentKwok, c.http(portKwok)+"/healthz", componentKwok,
		"--kubeconfig="+c.folder.kubeconfigOf(identityKwok),
		"--config="+c.folder.Path("config/stages.yaml"),
		"--manage-all-nodes=true",
		"--node-lease-duration-seconds=40",
		"--cidr="+podRange,
		"--node-ip=192.0.2.1",
		"--server-address=127.0.0.1:"+c.port(portKwok),
		// At its default it tells of every patch.
		"--v=WARN",
	)
}

func (c *components) workload(hosts []string) supervisor.Component {
	arguments := []string{componentWorkload,
		"--folder=" + string(c.folder),
		"--kubeconfig=" + c.folder.kubeconfigOf(identityWorkload),
		"--health-port=" + c.port(portWorkload),
	}
	if !c.keepDefaults {
		// A quarter of what Argo CD computes while a tree converges is the collection of garbage. The limit bounds what this costs.
		arguments = append(arguments, "--variable=GOGC=400", "--variable=GOMEMLIMIT=1GiB")
		// Argo CD sleeps for two seconds after each wave but the last, so that controllers may see what was applied before it judges their objects
		// (delayBetweenSyncWaves in its controller/sync.go). Those here are on the same machine.
		arguments = append(arguments, "--variable=ARGOCD_SYNC_WAVE_DELAY=0")
	}
	component := c.component(componentWorkload, c.http(portWorkload)+"/healthz", append(arguments, c.served(hosts)...)...)
	// It gives its own children half of that.
	component.Grace = 10 * time.Second
	return component
}

func (c *components) standIns() supervisor.Component {
	return c.component(componentStandIns, c.http(portStandIns)+"/healthz", componentStandIns,
		"--folder="+string(c.folder),
		"--kubeconfig="+c.folder.kubeconfigOf(identityStandIns),
		"--health-port="+c.port(portStandIns),
	)
}

func (c *components) forge(hosts []string) supervisor.Component {
	return c.component(componentForge, c.http(portForgeHTTP)+"/api/v3/meta", append([]string{componentForge, "serve",
		"--folder=" + string(c.folder),
		"--http-port=" + c.port(portForgeHTTP),
		"--ssh-port=" + c.port(portForgeSSH),
	}, c.served(hosts)...)...)
}

// served are the arguments that tell a component of the hosts that the forge answers for, and by which proxy.
func (c *components) served(hosts []string) []string {
	if len(hosts) == 0 {
		return nil
	}
	arguments := []string{"--proxy-port=" + c.port(portForgeProxy)}
	for _, host := range hosts {
		arguments = append(arguments, "--serve-host="+host)
	}
	return arguments
}

// kubeconfigOf returns the kubeconfig of a component, or of the administrator.
func (f Folder) kubeconfigOf(identity string) string {
	if identity == identityAdmin {
		return f.Path("kubeconfig")
	}
	return f.Path("config/" + strings.ToLower(identity) + ".kubeconfig")
}

package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/loopback"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

const (
	// retryPeriod is how often something that a pod waits for is tried again without a change in the cluster.
	retryPeriod = 2 * time.Second
	// A kubelet's backoff of containers that keep ending.
	crashInitial = 10 * time.Second
	crashMaximum = 5 * time.Minute
	crashReset   = 10 * time.Minute
)

// pod is one pod with a real process, from when it is scheduled until it is gone.
type pod struct {
	runner    *Runner
	object    *corev1.Pod
	program   *program
	container *corev1.Container
	folder    string
	volumes   *volumes
	// ports are the loopback ports that stand for the ports of the container.
	ports map[int]int

	// changed and stale tell that a ConfigMap or a Secret of the namespace is another one now: what the pod waits for may
	// have come, and its volumes may have to be written anew. Each has one listener, so that neither takes the other's news.
	changed, stale chan struct{}
	cancel         context.CancelFunc
	done           chan struct{}
	grace          time.Duration
	// ending is guarded by the mutex of the runner.
	ending bool

	mutex sync.Mutex
	state *podState
	sent  *corev1.PodStatus
	pid   int
}

func newPod(runner *Runner, object *corev1.Pod) *pod {
	program, container := find(object)
	folder := runner.folder.Path("pods/" + string(object.UID))
	created := &pod{
		runner: runner, object: object, program: program, container: container, folder: folder, ports: map[int]int{},
		changed: make(chan struct{}, 1), stale: make(chan struct{}, 1), done: make(chan struct{}),
		grace: 30 * time.Second, state: newPodState(object),
	}
	created.volumes = newVolumes(object, filepath.Join(folder, "volumes"), runner, runner)
	return created
}

// sourceChanged tells the pod that a ConfigMap or a Secret of its namespace is another one now. It never blocks.
func (p *pod) sourceChanged() {
	for _, listener := range []chan struct{}{p.changed, p.stale} {
		select {
		case listener <- struct{}{}:
		default:
		}
	}
}

func (p *pod) String() string { return p.object.Namespace + "/" + p.object.Name }

// update changes the pod's state and writes the status if that made a difference.
func (p *pod) update(ctx context.Context, change func(*podState)) {
	p.mutex.Lock()
	change(p.state)
	status := p.state.status(p.object)
	same := p.sent != nil && reflect.DeepEqual(*p.sent, status)
	p.sent = &status
	p.mutex.Unlock()
	if same {
		return
	}
	p.send(ctx, status)
	p.runner.publish()
}

// send writes the status of exactly this pod, and tries until it is written, or the pod is gone or about to end.
func (p *pod) send(ctx context.Context, status corev1.PodStatus) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.object.UID}, "status": status})
	if err != nil {
		p.runner.report(fmt.Sprintf("encoding the status of %s: %v", p, err))
		return
	}
	for ctx.Err() == nil {
		_, err := p.runner.client.CoreV1().Pods(p.object.Namespace).
			Patch(ctx, p.object.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		p.runner.report(fmt.Sprintf("writing the status of %s: %v", p, err))
		pause(ctx, time.Second)
	}
}

// run carries the pod through its life until the context ends. Whatever it needs and does not get it waits for.
func (p *pod) run(ctx context.Context) {
	defer close(p.done)
	p.update(ctx, func(*podState) {})
	if !p.mount(ctx) || !p.initialize(ctx) {
		return
	}
	p.update(ctx, func(state *podState) {
		state.initialized = true
		// Containers beside the real program have none behind them, like the pods of kwok.
		for name, container := range state.containers {
			if name != p.container.Name {
				container.started, container.ready, container.state = true, true, running(time.Now())
			}
		}
	})
	refreshing, stop := context.WithCancel(ctx)
	refreshed := make(chan struct{})
	go func() {
		defer close(refreshed)
		p.refresh(refreshing)
	}()
	defer func() {
		stop()
		<-refreshed
	}()
	backoff := supervisor.Backoff{Initial: crashInitial, Maximum: crashMaximum, Reset: crashReset}
	for ctx.Err() == nil {
		command, err := p.command()
		if err != nil {
			reason := "CreateContainerError"
			if isConfiguration(err) {
				reason = "CreateContainerConfigError"
			}
			p.wait(ctx, reason, err)
			continue
		}
		began := time.Now()
		exit, ended := p.once(ctx, command)
		if !ended {
			return
		}
		delay := backoff.Next(time.Since(began))
		p.update(ctx, func(state *podState) {
			container := state.containers[p.container.Name]
			container.last = terminated(exit.Code, began, exit.At, container.id)
			container.state, container.started, container.ready = container.last, false, false
			container.restarts++
			if delay > 0 {
				container.state = waiting("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
					delay, p.container.Name, p.object.Name, p.object.Namespace, p.object.UID))
			}
		})
		pause(ctx, delay)
	}
}

// mount makes the pod's volumes for the first time. A pod waits for the ConfigMaps and Secrets that it mounts.
func (p *pod) mount(ctx context.Context) bool {
	for ctx.Err() == nil {
		err := p.volumes.update(ctx)
		if err == nil {
			return true
		}
		// A kubelet says why in an Event; the reason in the status stays ContainerCreating.
		p.wait(ctx, "ContainerCreating", err)
	}
	return false
}

// refresh keeps the volumes up to date.
func (p *pod) refresh(ctx context.Context) {
	for {
		var due <-chan time.Time
		if renewal := p.volumes.renewal(); !renewal.IsZero() {
			due = time.After(max(time.Until(renewal), time.Second))
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
		case <-p.stale:
		}
		if err := p.volumes.update(ctx); err != nil && ctx.Err() == nil {
			p.runner.report(fmt.Sprintf("refreshing the volumes of %s: %v", p, err))
		}
	}
}

// wait shows the reason on the container and returns when it is time to try again.
func (p *pod) wait(ctx context.Context, reason string, err error) {
	if ctx.Err() != nil {
		return
	}
	p.runner.report(fmt.Sprintf("%s waits: %v", p, err))
	p.update(ctx, func(state *podState) {
		container := state.containers[p.container.Name]
		container.state, container.started, container.ready = waiting(reason, err.Error()), false, false
	})
	select {
	case <-ctx.Done():
	case <-p.changed:
	case <-time.After(retryPeriod):
	}
}

// initialize runs the init containers in their order. Only Argo CD's own program for the password of Redis has a
// process; the others copy programs that are there already.
func (p *pod) initialize(ctx context.Context) bool {
	for i := range p.object.Spec.InitContainers {
		container := &p.object.Spec.InitContainers[i]
		backoff := supervisor.Backoff{Initial: crashInitial, Maximum: crashMaximum, Reset: crashReset}
		for {
			began := time.Now()
			code := p.initContainer(ctx, container)
			if ctx.Err() != nil {
				return false
			}
			ended := terminated(code, began, time.Now(), "")
			if code == 0 {
				p.update(ctx, func(state *podState) {
					state.init[container.Name].state, state.init[container.Name].ready = ended, true
				})
				break
			}
			delay := backoff.Next(time.Since(began))
			p.update(ctx, func(state *podState) {
				init := state.init[container.Name]
				init.last, init.state = ended, waiting("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container", delay))
				init.restarts++
			})
			pause(ctx, delay)
		}
	}
	return true
}

// initContainer runs one init container and returns its exit status.
func (p *pod) initContainer(ctx context.Context, container *corev1.Container) int {
	line := slices.Concat(container.Command, container.Args)
	if len(line) == 0 || filepath.Base(line[0]) != "argocd" {
		return 0
	}
	process, err := supervisor.Start(supervisor.Command{
		Name: p.recordName() + "-" + container.Name, Path: p.runner.executable, Arguments: append([]string{p.runner.executable}, append([]string{"argocd"}, line[1:]...)...),
		Environment: append(cluster.Environment(p.runner.folder), "KUBECONFIG="+p.kubeconfig()),
		Folder:      p.folder, Log: p.runner.folder.Log(p.logName() + "." + container.Name), Records: p.runner.folder.Records(),
	})
	if err != nil {
		p.runner.report(fmt.Sprintf("init container %s of %s: %v", container.Name, p, err))
		return 128
	}
	select {
	case <-process.Ended():
		return process.Exit().Code
	case <-ctx.Done():
		process.Stop(ctx, time.Second)
		return 137
	}
}

// command makes everything that the process needs, from the pod and the cluster as they are now.
func (p *pod) command() (supervisor.Command, error) {
	environment, err := resolveEnvironment(p.object, p.container, p.runner)
	if err != nil {
		return supervisor.Command{}, err
	}
	root, err := newRoot(filepath.Join(p.folder, "containers", p.container.Name), p.container, p.volumes.path)
	if err != nil {
		return supervisor.Command{}, err
	}
	arguments := []string{}
	for _, word := range slices.Concat(p.container.Command, p.container.Args) {
		arguments = append(arguments, root.translate(word))
	}
	// New ones each time: what ended the process before may be that one of its ports was taken.
	for _, declared := range p.program.declaredPorts(arguments) {
		port, err := freePort()
		if err != nil {
			return supervisor.Command{}, err
		}
		p.runner.setPort(p, declared, port)
	}
	var failure error
	line := p.program.commandLine(arguments, environment, p.ports, func(address string) string {
		resolved, err := p.runner.services.resolve(address, p.object.Namespace)
		if err != nil {
			failure = err
		}
		return resolved
	})
	folder := root.path("/home/argocd")
	if p.container.WorkingDir != "" {
		folder = root.translate(p.container.WorkingDir)
	}
	return supervisor.Command{
		Name: p.recordName(), Path: p.runner.executable, Arguments: append([]string{p.runner.executable}, line...),
		Environment: p.environment(root, environment), Folder: folder,
		Log: p.runner.folder.Log(p.logName()), Records: p.runner.folder.Records(),
	}, failure
}

// environment returns the variables of the process: the sandbox's, then what leads Argo CD to its files, then the pod's.
func (p *pod) environment(root *root, variables map[string]string) []string {
	result := append(cluster.Environment(p.runner.folder),
		"HOME="+root.path("/home/argocd"),
		"TMPDIR="+root.path("/tmp"),
		// Programs that ask in which namespace they run look here, or into a file whose place is fixed.
		"POD_NAMESPACE="+p.object.Namespace,
		"KUBECONFIG="+p.kubeconfig(),
		// https://kubernetes.default.svc means what KUBECONFIG says.
		"ARGOCD_FAKE_IN_CLUSTER=true",
		"ARGOCD_APP_CONF_PATH="+root.path("/app/config"),
		"ARGOCD_SSH_DATA_PATH="+root.path("/app/config/ssh"),
		"ARGOCD_TLS_DATA_PATH="+root.path("/app/config/tls"),
		"ARGOCD_GPG_DATA_PATH="+root.path("/app/config/gpg/source"),
		"ARGOCD_GNUPGHOME="+root.path("/app/config/gpg/keys"),
		"ARGOCD_GPG_ENABLED=false",
		"ARGOCD_PLUGINSOCKFILEPATH="+root.path("/home/argocd/cmp-server/plugins"),
		"ARGOCD_REPO_SERVER_CLIENT_CA_PATH="+root.path("/app/config/reposerver/mtls/client-ca.crt"),
		// The address of a Unix socket must be short.
		"ARGOCD_ASK_PASS_SOCK="+p.runner.folder.Path("run/"+string(p.object.UID)[:8]+".sock"),
		cluster.VariableSSHConfig+"="+p.runner.folder.Path("config/ssh_config"),
		cluster.VariableResolver+"="+p.runner.resolver+"?namespace="+p.object.Namespace,
		"GIT_PROXY_COMMAND="+p.runner.folder.Path("bin/"+cluster.GitProxy),
	)
	result = append(result, p.runner.variables...)
	if prefix := p.program.clientPrefix; prefix != "" {
		result = append(result,
			"ARGOCD_"+prefix+"REPO_SERVER_CLIENT_CERT_PATH="+root.path("/app/config/reposerver/mtls/client.crt"),
			"ARGOCD_"+prefix+"REPO_SERVER_CLIENT_CERT_KEY_PATH="+root.path("/app/config/reposerver/mtls/client.key"))
	}
	// The proxy in front of a highly available Redis calls the password AUTH.
	if password, found := variables["AUTH"]; found && p.program == redisProgram {
		result = append(result, "REDIS_PASSWORD="+password)
	}
	for name, value := range variables {
		result = append(result, name+"="+root.translate(value))
	}
	if p.program.word == argocdProgram {
		// A proxy of the pod's own knows nothing of the forge.
		result = append(result, p.runner.hosts.variables()...)
	}
	return result
}

// once runs the process until it ends by itself (true) or the pod does (false).
func (p *pod) once(ctx context.Context, command supervisor.Command) (supervisor.Exit, bool) {
	prober, err := newProber(p.container, p.ports, p.program.declaredPorts(slices.Concat(p.container.Command, p.container.Args))[0])
	if err != nil {
		p.runner.report(fmt.Sprintf("%s: %v", p, err))
		return supervisor.Exit{Code: 128, At: time.Now()}, true
	}
	process, err := supervisor.Start(command)
	if err != nil {
		p.runner.report(fmt.Sprintf("%s: %v", p, err))
		return supervisor.Exit{Code: 128, At: time.Now()}, true
	}
	p.setPid(process.Pid)
	defer p.setPid(0)
	p.update(ctx, func(state *podState) {
		container := state.containers[p.container.Name]
		container.id = fmt.Sprintf("sandbox://%d-%d", process.Pid, process.Started.UnixNano())
		container.started, container.state = true, running(process.Started)
	})
	probing, stop := context.WithCancel(ctx)
	probed := make(chan struct{})
	go func() {
		defer close(probed)
		prober.watch(probing, func(ready bool) {
			p.update(probing, func(state *podState) { state.containers[p.container.Name].ready = ready })
		})
	}()
	ended := false
	select {
	case <-process.Ended():
		p.runner.report(fmt.Sprintf("%s: %s (process %d) ended with status %d", p, p.program.name, process.Pid, process.Exit().Code))
		ended = true
	case <-ctx.Done():
	}
	stop()
	<-probed
	if !ended {
		process.Stop(context.Background(), p.grace)
	}
	return process.Exit(), ended
}

func (p *pod) setPid(pid int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.pid = pid
}

// snapshot returns what the state of the sandbox says of the pod.
func (p *pod) snapshot() cluster.PodState {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	container := p.state.containers[p.container.Name]
	return cluster.PodState{
		Namespace: p.object.Namespace, Name: p.object.Name, Program: p.program.name, Pid: p.pid,
		Restarts: int(container.restarts), Ready: container.ready, Log: p.runner.folder.Log(p.logName()),
	}
}

func (p *pod) ready() bool { return p.snapshot().Ready }

func (p *pod) recordName() string { return "pod-" + string(p.object.UID) }

func (p *pod) logName() string { return p.object.Namespace + "_" + p.object.Name }

// kubeconfig returns a kubeconfig for the pod's ServiceAccount; the token is the mounted one, read anew as it changes.
func (p *pod) kubeconfig() string { return filepath.Join(p.folder, "kubeconfig") }

// remove removes the pod's files.
func (p *pod) remove() {
	if err := os.RemoveAll(p.folder); err != nil {
		p.runner.report(fmt.Sprintf("removing the files of %s: %v", p, err))
	}
	_ = os.Remove(p.runner.folder.Path("run/" + string(p.object.UID)[:8] + ".sock"))
}

func freePort() (int, error) {
	listener, err := loopback.Listen(0)
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return loopback.Port(listener), nil
}

// pause waits that long, or until the context ends.
func pause(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

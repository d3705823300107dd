package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

// Options say what sandbox is wanted.
type Options struct {
	Folder Folder
	// Name is for people and for the name of the context in the kubeconfig. Empty keeps the one the sandbox has.
	Name string
	// Nodes is how many nodes there are at least.
	Nodes int
	// Hosts are names that the forge stands in for.
	Hosts []string
	// Executable is the engine itself.
	Executable string
	Versions   map[string]string
	Assets     Assets
	// TokenNames are the forge's tokens.
	TokenNames []string
	// Report gets a line for each thing that happens. It may be called from any goroutine.
	Report func(string)
}

// startTimeout bounds the time until a sandbox is ready; a busy machine may need many times the usual five seconds.
const startTimeout = 3 * time.Minute

// Run runs the sandbox until the context ends or someone asks for its end. It calls ready with the state once the
// sandbox can be used. It returns an error that IsRunning knows if another supervisor runs the sandbox already.
func Run(ctx context.Context, options Options, ready func(*State)) error {
	folder := options.Folder
	// What this process and its children write is for its owner alone.
	syscall.Umask(0o077)
	if err := folder.Prepare(); err != nil {
		return err
	}
	unlock, err := folder.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := supervisor.KillRecorded(ctx, folder.Records()); err != nil {
		return fmt.Errorf("ending what an earlier supervisor left: %w", err)
	}
	sandbox, err := newSandbox(options)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	control, err := listenControl(folder)
	if err != nil {
		return err
	}
	defer control.Close()
	go serveControl(control, sandbox.current, sandbox.supervisor, stop)

	defer sandbox.supervisor.Shutdown()
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := sandbox.start(starting); err != nil {
		if ctx.Err() != nil {
			return errors.New("ended before the sandbox was ready")
		}
		return err
	}
	options.Report("the sandbox is ready")
	ready(sandbox.current())
	<-ctx.Done()
	options.Report("ending the sandbox's processes")
	return nil
}

// IsRunning says whether Run returned because another supervisor runs the sandbox.
func IsRunning(err error) bool { return errors.Is(err, errLocked) }

// sandbox is a running one.
type sandbox struct {
	options    Options
	components *components
	supervisor *supervisor.Supervisor

	// saving keeps an older state from being written over a newer one.
	saving sync.Mutex
	mutex  sync.Mutex
	state  State
}

// newSandbox prepares everything that the components read.
func newSandbox(options Options) (*sandbox, error) {
	folder := options.Folder
	before, err := ReadState(folder)
	if errors.Is(err, ErrNoSandbox) {
		before = &State{Name: "default"}
	} else if err != nil {
		return nil, err
	}
	name := options.Name
	if name == "" {
		name = before.Name
	}
	ports, err := choosePorts(before.Ports)
	if err != nil {
		return nil, err
	}
	if err := ensureCertificates(folder.Path("pki")); err != nil {
		return nil, err
	}
	if err := writeConfiguration(folder, name, options.Executable, ports, options.Hosts, options.Assets); err != nil {
		return nil, err
	}
	if len(options.Hosts) > 0 {
		if err := issueHosts(folder.Path("pki"), options.Hosts); err != nil {
			return nil, err
		}
	}
	components, err := newComponents(folder, options.Executable, ports)
	if err != nil {
		return nil, err
	}
	started, err := supervisor.StartTime(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("reading when this process started: %w", err)
	}
	tokens := map[string]string{}
	for _, token := range options.TokenNames {
		tokens[token] = folder.Path("forge/tokens/" + token)
	}
	sandbox := &sandbox{options: options, components: components, state: State{
		Version: 1, Name: name, Folder: string(folder),
		Supervisor: SupervisorState{Pid: os.Getpid(), Started: started},
		Kubeconfig: folder.kubeconfigOf(identityAdmin), Context: ContextName(name),
		Server: components.https(portAPIServer), AuditLog: folder.Path("logs/audit.jsonl"),
		Forge: ForgeState{
			API: components.http(portForgeHTTP) + "/api/v3", HTTP: components.http(portForgeHTTP),
			SSHHost: "127.0.0.1", SSHPort: ports[portForgeSSH],
			KnownHosts: folder.Path("forge/known_hosts"), UserKey: folder.Path("forge/user_key"), Tokens: tokens,
			RequestLog: folder.Path("logs/forge.jsonl"), Repositories: folder.Path("forge/repositories"),
		},
		Off: off, Versions: options.Versions, Ports: ports,
	}}
	if len(options.Assets.StandIns) > 0 {
		sandbox.state.StandInLog = folder.StandInLog()
	}
	if len(options.Hosts) > 0 {
		sandbox.state.Off = append(slices.Clone(off), "the check of credentials for repositories over HTTPS")
	}
	sandbox.supervisor = supervisor.New(func(line string) {
		options.Report(line)
		if err := sandbox.save(); err != nil {
			options.Report(err.Error())
		}
	})
	return sandbox, sandbox.save()
}

// start brings the components up, each as soon as what it needs is there, and returns when the sandbox can be used.
func (s *sandbox) start(ctx context.Context) error {
	s.supervisor.Add(s.components.etcd())
	s.supervisor.Add(s.components.forge(s.options.Hosts))
	if err := s.supervisor.WaitReady(ctx, componentEtcd); err != nil {
		return err
	}
	s.supervisor.Add(s.components.apiServer())
	if err := s.supervisor.WaitReady(ctx, componentAPIServer); err != nil {
		return err
	}
	client, err := connect(s.options.Folder)
	if err != nil {
		return err
	}
	s.supervisor.Add(s.components.controllerManager())
	s.supervisor.Add(s.components.kwok())
	s.supervisor.Add(s.components.scheduler())
	s.supervisor.Add(s.components.workload(s.options.Hosts))
	if len(s.options.Assets.StandIns) > 0 {
		s.supervisor.Add(s.components.standIns())
	}
	if err := seed(ctx, client, s.options.Nodes); err != nil {
		return err
	}
	names := []string{}
	for _, status := range s.supervisor.Status() {
		names = append(names, status.Name)
	}
	if err := s.supervisor.WaitReady(ctx, names...); err != nil {
		return err
	}
	if err := waitUsable(ctx, client); err != nil {
		return err
	}
	s.mutex.Lock()
	s.state.Ready = true
	s.mutex.Unlock()
	return s.save()
}

// save writes the state as it is now.
func (s *sandbox) save() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.current().Write(s.options.Folder)
}

// current returns the state as it is now.
func (s *sandbox) current() *State {
	s.mutex.Lock()
	state := s.state
	s.mutex.Unlock()
	if s.supervisor != nil {
		state.Components = s.supervisor.Status()
	}
	for _, component := range state.Components {
		state.Ready = state.Ready && (component.Ready || component.Stopped)
	}
	workload := WorkloadState{}
	if err := readJSON(s.options.Folder.WorkloadFile(), &workload); err == nil {
		state.ArgoCD, state.Pods = workload.ArgoCD, workload.Pods
	}
	return &state
}

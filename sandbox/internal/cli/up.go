package cli

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/assets"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/forge"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/standin"
)

// sandboxFlags are the flags of `up` that reach the supervisor.
type sandboxFlags struct {
	folder func() (cluster.Folder, error)
	name   string
	nodes  int
	hosts  []string
	// standIns are as given: the word for the engine's own, and folders.
	standIns []string
}

func addSandboxFlags(command *cobra.Command) *sandboxFlags {
	flags := &sandboxFlags{folder: folderFlag(command)}
	command.Flags().StringVar(&flags.name, "name", "", `name of the sandbox (default: the one it has, else "default")`)
	command.Flags().IntVar(&flags.nodes, "nodes", 3, "number of nodes")
	command.Flags().StringArrayVar(&flags.hosts, "serve-host", nil,
		"host that the forge answers for over SSH and HTTPS, as Argo CD sees it, such as github.com (repeatable)")
	command.Flags().StringArrayVar(&flags.standIns, "stand-ins", nil,
		`stand in for controllers that cannot run here: "default" for the engine's own stages, or a folder of stages, which then win (repeatable)`)
	return flags
}

func (f *sandboxFlags) options(programs Programs, report func(string)) (cluster.Options, error) {
	folder, err := f.folder()
	if err != nil {
		return cluster.Options{}, err
	}
	if f.nodes < 1 {
		return cluster.Options{}, fmt.Errorf("--nodes is %d, at least 1 is needed", f.nodes)
	}
	if err := checkHosts(f.hosts); err != nil {
		return cluster.Options{}, err
	}
	stages, err := assets.Stages()
	if err != nil {
		return cluster.Options{}, err
	}
	wrapper, err := assets.GitVerifyWrapper()
	if err != nil {
		return cluster.Options{}, err
	}
	standIns, err := openStandIns(f.standIns)
	if err != nil {
		return cluster.Options{}, err
	}
	executable, err := os.Executable()
	if err != nil {
		return cluster.Options{}, fmt.Errorf("finding the engine itself: %w", err)
	}
	return cluster.Options{
		Folder: folder, Name: f.name, Nodes: f.nodes, Hosts: f.hosts, Executable: executable, Versions: programs.Versions,
		Assets:     cluster.Assets{Stages: stages, GitVerifyWrapper: wrapper, StandIns: standIns},
		TokenNames: forge.TokenNames, Report: report,
	}, nil
}

// hostPattern is a name of a host in lower case (RFC 1123). What it lets through is also harmless in a script.
var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func checkHosts(hosts []string) error {
	for _, host := range hosts {
		if !hostPattern.MatchString(host) {
			return fmt.Errorf("--serve-host is %q, expected the name of a host in lower case, such as github.com", host)
		}
	}
	return nil
}

func newUp(programs Programs) *cobra.Command {
	command := &cobra.Command{
		Use:   "up --folder DIR",
		Short: "Start the sandbox in a folder, or find the one that runs there, and print its state",
		Long: "Start the sandbox in a folder, or find the one that runs there, and print its state.\n\n" +
			"Without --detach the sandbox ends with this command: on an interrupt, when the process that started it ends, " +
			"or when its standard input is a pipe that is closed.",
		Args: cobra.NoArgs,
	}
	flags := addSandboxFlags(command)
	detach := command.Flags().Bool("detach", false, "leave the sandbox running")
	asJSON := outputFlag(command, "json")
	command.RunE = func(command *cobra.Command, _ []string) error {
		machine, err := asJSON()
		if err != nil {
			return err
		}
		if *detach {
			state, err := upDetached(command.Context(), flags)
			if err != nil {
				return err
			}
			return printState(command.OutOrStdout(), state, machine)
		}
		return upForeground(command, flags, programs, machine)
	}
	return command
}

func upForeground(command *cobra.Command, flags *sandboxFlags, programs Programs, machine bool) error {
	options, err := flags.options(programs, progress)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(command.Context())
	defer cancel()
	go endWithCaller(cancel)
	err = cluster.Run(ctx, options, func(state *cluster.State) {
		if err := printState(command.OutOrStdout(), state, machine); err != nil {
			progress(err.Error())
			cancel()
		}
	})
	if !cluster.IsRunning(err) {
		return err
	}
	// The sandbox is somebody else's: find it, and leave it to them.
	state, err := waitReady(command.Context(), options.Folder, nil)
	if err != nil {
		return err
	}
	return printState(command.OutOrStdout(), state, machine)
}

// endWithCaller calls the function when whoever started this process has ended or has closed the pipe to it.
func endWithCaller(end func()) {
	parent := os.Getppid()
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			end()
		}()
	}
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
	end()
}

// upDetached starts a supervisor in a session of its own, unless one runs, and waits until the sandbox is ready.
func upDetached(ctx context.Context, flags *sandboxFlags) (*cluster.State, error) {
	folder, err := flags.folder()
	if err != nil {
		return nil, err
	}
	if folder.Running() {
		return waitReady(ctx, folder, nil)
	}
	// What is wrong is said here, and not in the log of the supervisor.
	if err := checkHosts(flags.hosts); err != nil {
		return nil, err
	}
	if _, err := openStandIns(flags.standIns); err != nil {
		return nil, err
	}
	if err := folder.Prepare(); err != nil {
		return nil, err
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the engine itself: %w", err)
	}
	log, err := os.OpenFile(folder.Log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the supervisor's log: %w", err)
	}
	defer log.Close()
	arguments := []string{"supervise", "--folder", string(folder), "--name", flags.name,
		"--nodes", strconv.Itoa(flags.nodes)}
	for _, host := range flags.hosts {
		arguments = append(arguments, "--serve-host", host)
	}
	for _, given := range flags.standIns {
		if given != standin.Default {
			if given, err = filepath.Abs(given); err != nil {
				return nil, fmt.Errorf("resolving the folder of stand-ins: %w", err)
			}
		}
		arguments = append(arguments, "--stand-ins", given)
	}
	supervisor := exec.Command(executable, arguments...)
	supervisor.Dir = string(folder)
	supervisor.Stdout, supervisor.Stderr = log, log
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := supervisor.Start(); err != nil {
		return nil, fmt.Errorf("starting the supervisor: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = supervisor.Wait()
		close(ended)
	}()
	state, err := waitReady(ctx, folder, ended)
	if ctx.Err() != nil {
		// Interrupted before it was ready: nobody knows of the sandbox yet, so it must not stay.
		_ = supervisor.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	return state, err
}

// waitReady asks the supervisor until the sandbox is ready, and tells what it waits for. The channel is closed when the
// supervisor that was just started has ended; it may have lost a race against another, which is then asked instead.
func waitReady(ctx context.Context, folder cluster.Folder, ended <-chan struct{}) (*cluster.State, error) {
	told := map[string]bool{}
	control := cluster.NewControl(folder)
	for {
		state, err := control.State(ctx)
		if err == nil {
			for _, component := range state.Components {
				if component.Ready && !told[component.Name] {
					told[component.Name] = true
					progress(component.Name + " is ready")
				}
			}
			if state.Ready {
				return state, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the sandbox: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
		if ended != nil {
			select {
			case <-ended:
				if !folder.Running() {
					return nil, fmt.Errorf("the sandbox did not start; the end of %s:\n%s",
						folder.Log("supervisor"), lastLines(folder.Log("supervisor"), 10))
				}
			default:
			}
		} else if err != nil && !folder.Running() {
			return nil, fmt.Errorf("the sandbox in %s ended while it was being waited for: run the command again", folder)
		}
	}
}

func lastLines(path string, count int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// newSupervise is what `up --detach` leaves running.
func newSupervise(programs Programs) *cobra.Command {
	command := &cobra.Command{Use: "supervise", Hidden: true, Args: cobra.NoArgs}
	flags := addSandboxFlags(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		lines := log.New(os.Stderr, "", log.LstdFlags|log.Lmsgprefix)
		options, err := flags.options(programs, func(line string) { lines.Println(line) })
		if err != nil {
			return err
		}
		return cluster.Run(command.Context(), options, func(*cluster.State) {})
	}
	return command
}

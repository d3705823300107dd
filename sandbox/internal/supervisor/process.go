// Package supervisor starts processes, keeps them running, and leaves none behind.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command says how a process is run.
type Command struct {
	// Name is unique among the processes of a folder; it names the record.
	Name string
	Path string
	// Arguments begin with argv[0].
	Arguments []string
	// Environment is the whole one: nothing is inherited.
	Environment []string
	Folder      string
	// Log is the file that both output streams are appended to.
	Log string
	// Records is the folder in which the process is recorded while it runs.
	Records string
}

// Process is a running child, the leader of its own process group. It dies with this process.
type Process struct {
	Pid     int
	Started time.Time

	name   string
	record string
	ended  chan struct{}
	exit   Exit
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit status, or 128 plus the number of the signal that ended it, as shells and kubelets say it.
	Code int
	At   time.Time
}

// forks runs every fork on one thread that lives as long as this process. Linux sends a child its parent-death signal
// when the *thread* that made it ends (prctl(2), PR_SET_PDEATHSIG), and the Go runtime ends threads as it likes.
var forks = sync.OnceValue(func() chan func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		for fork := range queue {
			fork()
		}
	}()
	return queue
})

// Start runs the command in a process group of its own and records it.
func Start(command Command) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(command.Log), 0o700); err != nil {
		return nil, fmt.Errorf("making the log folder of %s: %w", command.Name, err)
	}
	log, err := os.OpenFile(command.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", command.Name, err)
	}
	defer log.Close()
	child := &exec.Cmd{
		Path: command.Path, Args: command.Arguments, Env: append(parentEnvironment(), command.Environment...),
		Dir: command.Folder, Stdout: log, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	dieWithParent(child.SysProcAttr)
	started := make(chan error)
	forks() <- func() { started <- child.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", command.Name, err)
	}
	process := &Process{
		Pid: child.Process.Pid, Started: time.Now(), name: command.Name,
		record: filepath.Join(command.Records, command.Name+".pid"), ended: make(chan struct{}),
	}
	// A record that cannot be written costs only the cleaning up after a killed supervisor, so the process goes on.
	if err := writeRecord(process.record, process.Pid); err != nil {
		fmt.Fprintln(log, err)
	}
	go func() {
		err := child.Wait()
		process.exit = exitOf(err, child.ProcessState)
		_ = os.Remove(process.record)
		close(process.ended)
	}()
	return process, nil
}

func exitOf(err error, state *os.ProcessState) Exit {
	exit := Exit{At: time.Now()}
	var failure *exec.ExitError
	switch status, found := state.Sys().(syscall.WaitStatus); {
	case found && status.Signaled():
		exit.Code = 128 + int(status.Signal())
	case err == nil:
	case errors.As(err, &failure):
		exit.Code = failure.ExitCode()
	default:
		exit.Code = 255
	}
	return exit
}

// Ended is closed once the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Exit says how the process ended; it is valid once Ended is closed.
func (p *Process) Exit() Exit { return p.exit }

// Stop asks the process to end, and after the grace, or when the context ends, kills its whole group. It returns when
// the process has ended.
func (p *Process) Stop(ctx context.Context, grace time.Duration) {
	_ = syscall.Kill(p.Pid, syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	// Also the children of a process that ended in time: git and ssh, for example.
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	<-p.ended
}

func writeRecord(path string, pid int) error {
	start, err := startTime(pid)
	if err != nil {
		return fmt.Errorf("recording process %d: %w", pid, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("recording process %d: %w", pid, err)
	}
	return os.WriteFile(path, []byte(fmt.Sprintf("%d %s\n", pid, start)), 0o600)
}

// KillRecorded ends the processes that a killed supervisor left recorded in the folder, with their groups, and waits
// until they are gone. A number that another process has got since then is left alone.
func KillRecorded(ctx context.Context, records string) error {
	entries, err := filepath.Glob(filepath.Join(records, "*.pid"))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := os.ReadFile(entry)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("reading a process record: %w", err)
		}
		number, start, _ := strings.Cut(strings.TrimSpace(string(content)), " ")
		pid, err := strconv.Atoi(number)
		if err == nil && pid > 1 {
			_ = IfSame(pid, start, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
			for IfSame(pid, start, func() {}) {
				select {
				case <-ctx.Done():
					return fmt.Errorf("process %d of %s does not end: %w", pid, filepath.Base(entry), ctx.Err())
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
		if err := os.Remove(entry); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing a process record: %w", err)
		}
	}
	return nil
}

// IfSame runs the action if the process of that number is still the one that started at that time, and says so.
func IfSame(pid int, start string, action func()) bool {
	current, err := startTime(pid)
	if err != nil || current != start {
		return false
	}
	action()
	return true
}

// StartTime returns when the process started, as an opaque string that tells it from any later one of that number.
func StartTime(pid int) (string, error) { return startTime(pid) }

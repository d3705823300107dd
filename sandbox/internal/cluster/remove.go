package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

// stopTimeout is how long a supervisor may take for its orderly end before it is killed.
const stopTimeout = 30 * time.Second

// Remove ends every process of the sandbox in the folder and removes the folder. It returns ErrNoSandbox if there is
// none, and never removes a folder that is not a sandbox's.
func Remove(ctx context.Context, folder Folder) error {
	if !folder.IsSandbox() {
		return fmt.Errorf("%w in %s", ErrNoSandbox, folder)
	}
	state, _ := ReadState(folder)
	stopping, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if folder.Running() {
		// A supervisor that does not answer is killed below.
		_ = NewControl(folder).Stop(stopping)
		wait(stopping, func() bool { return !folder.Running() })
	}
	if folder.Running() && state != nil {
		supervisor.IfSame(state.Supervisor.Pid, state.Supervisor.Started, func() {
			_ = syscall.Kill(state.Supervisor.Pid, syscall.SIGKILL)
		})
		killed, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		if !wait(killed, func() bool { return !folder.Running() }) {
			return fmt.Errorf("the supervisor of %s (process %d) does not end", folder, state.Supervisor.Pid)
		}
	}
	// The lock keeps a new supervisor out until the folder is gone.
	unlock, err := folder.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := supervisor.KillRecorded(ctx, folder.Records()); err != nil {
		return err
	}
	// A process that was just killed may have made a file while the folder was being emptied.
	if !wait(stopping, func() bool { err = os.RemoveAll(string(folder)); return err == nil }) {
		return fmt.Errorf("removing the sandbox's folder: %w", errors.Join(err, stopping.Err()))
	}
	return nil
}

// wait polls until the condition holds, and says whether it did before the context ended.
func wait(ctx context.Context, holds func() bool) bool {
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

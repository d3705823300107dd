//go:build !linux

package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// environmentParent tells a child of this engine whose death it must not outlive.
const environmentParent = "GITOPS_BOOTSTRAP_PARENT"

func dieWithParent(*syscall.SysProcAttr) {}

func parentEnvironment() []string {
	return []string{environmentParent + "=" + strconv.Itoa(os.Getpid())}
}

// EndWithParent ends this process soon after the one that started it as a component. There is no signal for a parent's
// death here, so the number of the parent is watched.
func EndWithParent() {
	parent, err := strconv.Atoi(os.Getenv(environmentParent))
	if err != nil {
		return
	}
	// The programs that this one runs have another parent.
	_ = os.Unsetenv(environmentParent)
	go func() {
		for os.Getppid() == parent {
			time.Sleep(500 * time.Millisecond)
		}
		_ = syscall.Kill(-syscall.Getpgrp(), syscall.SIGKILL)
	}()
}

// startTime asks ps(1), whose lstart is exact to the second.
func startTime(pid int) (string, error) {
	output, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	state, start, found := strings.Cut(strings.TrimSpace(string(output)), " ")
	if !found || strings.HasPrefix(state, "Z") {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return strings.TrimSpace(start), nil
}

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also its own tiny child processes.
func TestMain(m *testing.M) {
	switch os.Getenv("CHILD") {
	case "":
		os.Exit(m.Run())
	case "serve":
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGTERM)
		os.WriteFile(os.Getenv("MARK"), []byte(fmt.Sprint(os.Getpid())), 0o600)
		<-ended
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		os.WriteFile(os.Getenv("MARK"), []byte(fmt.Sprint(os.Getpid())), 0o600)
		time.Sleep(time.Hour)
	case "fail":
		os.Exit(3)
	case "parent":
		// A supervisor that starts a child and waits to be killed.
		Start(Command{
			Name: "grandchild", Path: os.Args[0], Arguments: os.Args[:1], Log: os.Getenv("MARK") + ".log",
			Environment: []string{"CHILD=serve", "MARK=" + os.Getenv("MARK")}, Records: os.Getenv("RECORDS"),
		})
		time.Sleep(time.Hour)
	}
}

func child(t *testing.T, kind string) (Component, string) {
	folder := t.TempDir()
	mark := filepath.Join(folder, "mark")
	return Component{
		Command: Command{
			Name: "child", Path: os.Args[0], Arguments: os.Args[:1], Environment: []string{"CHILD=" + kind, "MARK=" + mark},
			Log: filepath.Join(folder, "log"), Records: filepath.Join(folder, "run"),
		},
		Ready: func(context.Context) error { _, err := os.Stat(mark); return err },
		Grace: 5 * time.Second,
	}, mark
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true", what)
		}
	}
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestAKilledComponentIsRestartedAndReported(t *testing.T) {
	component, _ := child(t, "serve")
	reports := make(chan string, 100)
	supervisor := New(func(line string) { reports <- line })
	supervisor.Add(component)
	defer supervisor.Shutdown()
	if err := supervisor.WaitReady(t.Context(), "child"); err != nil {
		t.Fatal(err)
	}
	first := supervisor.Status()[0]
	syscall.Kill(first.Pid, syscall.SIGKILL)
	eventually(t, "the restart", func() bool {
		now := supervisor.Status()[0]
		return now.Restarts == 1 && now.Ready && now.Pid != first.Pid
	})
	for line := range reports {
		if strings.Contains(line, "child ended unasked with status 137") {
			return
		}
	}
}

func TestAStoppedComponentStaysStoppedUntilStarted(t *testing.T) {
	component, _ := child(t, "serve")
	supervisor := New(func(string) {})
	supervisor.Add(component)
	defer supervisor.Shutdown()
	if err := supervisor.WaitReady(t.Context(), "child"); err != nil {
		t.Fatal(err)
	}
	pid := supervisor.Status()[0].Pid
	if err := supervisor.Stop("child"); err != nil {
		t.Fatal(err)
	}
	if status := supervisor.Status()[0]; !gone(pid) || status.Pid != 0 || !status.Stopped || status.Restarts != 0 {
		t.Fatalf("not stopped: %+v", status)
	}
	if err := supervisor.Start("child"); err != nil {
		t.Fatal(err)
	}
	if err := supervisor.WaitReady(t.Context(), "child"); err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Stop("other"); err == nil {
		t.Fatal("stopping an unknown component succeeded")
	}
}

func TestAStubbornProcessIsKilledAfterItsGrace(t *testing.T) {
	component, mark := child(t, "stubborn")
	process, err := Start(component.Command)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the start", func() bool { _, err := os.Stat(mark); return err == nil })
	process.Stop(t.Context(), 50*time.Millisecond)
	if process.Exit().Code != 137 || !gone(process.Pid) {
		t.Fatalf("exit %d", process.Exit().Code)
	}
	if records, _ := filepath.Glob(filepath.Join(component.Records, "*")); len(records) != 0 {
		t.Fatalf("records left: %v", records)
	}
}

func TestTheStatusOfAFailedProcessIsKept(t *testing.T) {
	component, _ := child(t, "fail")
	process, err := Start(component.Command)
	if err != nil {
		t.Fatal(err)
	}
	<-process.Ended()
	if process.Exit().Code != 3 {
		t.Fatalf("exit %d", process.Exit().Code)
	}
}

func TestAKilledParentLeavesNoChild(t *testing.T) {
	folder := t.TempDir()
	mark, records := filepath.Join(folder, "mark"), filepath.Join(folder, "run")
	parent := exec.Command(os.Args[0])
	parent.Env = []string{"CHILD=parent", "MARK=" + mark, "RECORDS=" + records}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var grandchild int
	eventually(t, "the grandchild's start", func() bool {
		content, _ := os.ReadFile(mark)
		count, _ := fmt.Sscan(string(content), &grandchild)
		return count == 1
	})
	parent.Process.Kill()
	parent.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := KillRecorded(ctx, records); err != nil {
		t.Fatal(err)
	}
	start, err := StartTime(grandchild)
	if err == nil {
		t.Fatalf("process %d still runs since %s", grandchild, start)
	}
}

func TestARecordOfAnotherProcessOfThatNumberIsLeftAlone(t *testing.T) {
	component, mark := child(t, "serve")
	process, err := Start(component.Command)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the start", func() bool { _, err := os.Stat(mark); return err == nil })
	record := filepath.Join(component.Records, "child.pid")
	os.WriteFile(record, []byte(fmt.Sprintf("%d another time\n", process.Pid)), 0o600)
	if err := KillRecorded(t.Context(), component.Records); err != nil {
		t.Fatal(err)
	}
	select {
	case <-process.Ended():
		t.Fatal("a process that was not recorded was killed")
	case <-time.After(50 * time.Millisecond):
	}
	process.Stop(t.Context(), 5*time.Second)
}

func TestWaitsDoubleUpToTheMaximumAndStartAgain(t *testing.T) {
	backoff := Backoff{Initial: 10 * time.Second, Maximum: 5 * time.Minute, Reset: 10 * time.Minute}
	for i, want := range []time.Duration{0, 10, 20, 40, 80, 160, 300, 300} {
		if got := backoff.Next(time.Second); got != want*time.Second {
			t.Errorf("wait %d is %s, want %s", i, got, want*time.Second)
		}
	}
	if got := backoff.Next(10 * time.Minute); got != 0 {
		t.Errorf("after a long run the wait is %s", got)
	}
}

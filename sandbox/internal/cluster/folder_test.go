package cluster

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

func newFolder(t *testing.T) Folder {
	t.Helper()
	folder, err := NewFolder(filepath.Join(t.TempDir(), "sandbox"))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestAFolderWithOtherFilesIsRefused(t *testing.T) {
	folder := newFolder(t)
	os.MkdirAll(string(folder), 0o755)
	os.WriteFile(folder.Path("thesis.txt"), nil, 0o600)
	if err := folder.Prepare(); err == nil || !strings.Contains(err.Error(), "not a sandbox's") {
		t.Errorf("got %v", err)
	}
	if err := Remove(t.Context(), folder); !errors.Is(err, ErrNoSandbox) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(folder.Path("thesis.txt")); err != nil {
		t.Error(err)
	}
}

func TestASandboxFolderIsPrivateAndIsRemovedAsAWhole(t *testing.T) {
	folder := newFolder(t)
	for range 2 {
		if err := folder.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if info, _ := os.Stat(string(folder)); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := Remove(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(folder)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder is still there")
	}
}

func TestOneSupervisorAtATime(t *testing.T) {
	folder := newFolder(t)
	if folder.Running() {
		t.Error("a folder that is not there is said to run")
	}
	if err := folder.Prepare(); err != nil {
		t.Fatal(err)
	}
	unlock, err := folder.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.lock(); !IsRunning(err) {
		t.Errorf("got %v", err)
	}
	if !folder.Running() {
		t.Error("a locked folder is said not to run")
	}
	unlock()
	if folder.Running() {
		t.Error("a free folder is said to run")
	}
}

func TestPortsAreKeptWhenFreeAndReplacedWhenTaken(t *testing.T) {
	first, err := choosePorts(nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for name, port := range first {
		if port == 0 || seen[port] {
			t.Errorf("%s has port %d", name, port)
		}
		seen[port] = true
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	occupied := taken.Addr().(*net.TCPAddr).Port
	second, err := choosePorts(map[string]int{portAPIServer: first[portAPIServer], portForgeSSH: occupied})
	if err != nil {
		t.Fatal(err)
	}
	if second[portAPIServer] != first[portAPIServer] || second[portForgeSSH] == occupied || second[portForgeSSH] == 0 {
		t.Errorf("first %v, second %v", first, second)
	}
}

func TestTheStateIsReadAsItWasWritten(t *testing.T) {
	folder := newFolder(t)
	if _, err := ReadState(folder); !errors.Is(err, ErrNoSandbox) {
		t.Errorf("got %v", err)
	}
	if err := folder.Prepare(); err != nil {
		t.Fatal(err)
	}
	state := &State{
		Version: 1, Name: "default", Folder: string(folder), Ready: true, Server: "https://127.0.0.1:1",
		Supervisor: SupervisorState{Pid: 1, Started: "x"}, ArgoCD: &ArgoCDState{URL: "https://127.0.0.1:2"},
		Forge:      ForgeState{SSHPort: 3, Tokens: map[string]string{"admin": "file"}},
		Components: []supervisor.Status{{Name: "etcd", Pid: 4, Ready: true, Since: time.Now().UTC().Round(time.Second)}},
		Versions:   map[string]string{"kubernetes": "v1.36.1"}, Ports: map[string]int{"etcd": 5},
	}
	if err := state.Write(folder); err != nil {
		t.Fatal(err)
	}
	again, err := ReadState(folder)
	if err != nil || !reflect.DeepEqual(state, again) {
		t.Errorf("got %+v, %v", again, err)
	}
	if info, _ := os.Stat(folder.Path(fileState)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestADamagedStateIsNamed(t *testing.T) {
	folder := newFolder(t)
	if err := folder.Prepare(); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(folder.Path(fileState), []byte("{"), 0o600)
	if _, err := ReadState(folder); err == nil || !strings.Contains(err.Error(), "sandbox.json is damaged") {
		t.Errorf("got %v", err)
	}
}

func TestTheSupervisorAnswersAndEndsOnRequest(t *testing.T) {
	folder := newFolder(t)
	if err := folder.Prepare(); err != nil {
		t.Fatal(err)
	}
	listener, err := listenControl(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	go serveControl(listener, func() *State { return &State{Name: "here"} }, supervisor.New(func(string) {}), stop)
	control := NewControl(folder)
	if state, err := control.State(t.Context()); err != nil || state.Name != "here" {
		t.Errorf("got %+v, %v", state, err)
	}
	if err := control.Component(t.Context(), "nobody", "stop"); err == nil || !strings.Contains(err.Error(), `no component "nobody"`) {
		t.Errorf("got %v", err)
	}
	if err := control.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}

func TestNothingOfTheHostButThePathReachesAProgram(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "/agent")
	t.Setenv("GIT_DIR", "/elsewhere")
	t.Setenv("PATH", "/usr/bin")
	folder := Folder("/sandbox")
	want := []string{
		"HOME=/sandbox/home", "LANG=C.UTF-8", "PATH=/sandbox/bin:/usr/bin", "TMPDIR=/sandbox/tmp", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
	}
	if got := Environment(folder); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	t.Setenv("PATH", "/sandbox/bin:/usr/bin")
	if got := Environment(folder); !reflect.DeepEqual(got, want) {
		t.Errorf("a child of a child gets %v", got)
	}
}

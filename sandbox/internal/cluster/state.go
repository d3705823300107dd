package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

// State is what a sandbox says of itself, on standard output and in sandbox.json. Fields are added, never changed.
type State struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	Folder  string `json:"folder"`
	// Ready says that the sandbox can be used: every component serves that was not stopped on purpose.
	Ready      bool                `json:"ready"`
	Supervisor SupervisorState     `json:"supervisor"`
	Kubeconfig string              `json:"kubeconfig"`
	Context    string              `json:"context"`
	Server     string              `json:"server"`
	AuditLog   string              `json:"auditLog"`
	Forge      ForgeState          `json:"forge"`
	ArgoCD     *ArgoCDState        `json:"argocd,omitempty"`
	Components []supervisor.Status `json:"components"`
	// Pods are the pods that a real process stands behind.
	Pods []PodState `json:"pods,omitempty"`
	// StandInLog has a JSON line for each object that a controller was stood in for, if any are.
	StandInLog string `json:"standInLog,omitempty"`
	// Off names what a cluster has and a sandbox has not.
	Off      []string          `json:"off"`
	Versions map[string]string `json:"versions"`
	Ports    map[string]int    `json:"ports"`
}

// off is what a report has to say of a cluster that came up in a sandbox.
var off = []string{
	"admission webhooks",
	"containers of pods without a program of the engine",
	"logs, exec and port-forward of pods",
	"network between pods",
	"Dex and the notifications of Argo CD",
}

// SupervisorState is the process that all others are children of.
type SupervisorState struct {
	Pid int `json:"pid"`
	// Started tells the process from any later one of that number.
	Started string `json:"started"`
}

// ForgeState says how the forge is reached, and where the files are that a client needs.
type ForgeState struct {
	API          string            `json:"api"`
	HTTP         string            `json:"http"`
	SSHHost      string            `json:"sshHost"`
	SSHPort      int               `json:"sshPort"`
	KnownHosts   string            `json:"knownHosts"`
	UserKey      string            `json:"userKey"`
	Tokens       map[string]string `json:"tokens"`
	RequestLog   string            `json:"requestLog"`
	Repositories string            `json:"repositories"`
}

// ArgoCDState says how the Argo CD in the sandbox is opened, once there is one.
type ArgoCDState struct {
	URL       string `json:"url"`
	Namespace string `json:"namespace"`
	Ready     bool   `json:"ready"`
}

// PodState is a pod with a real process.
type PodState struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Program   string `json:"program"`
	Pid       int    `json:"pid"`
	Restarts  int    `json:"restarts"`
	Ready     bool   `json:"ready"`
	Log       string `json:"log"`
}

// WorkloadState is what the workload component tells of itself in its own file.
type WorkloadState struct {
	ArgoCD *ArgoCDState `json:"argocd,omitempty"`
	Pods   []PodState   `json:"pods"`
}

// ErrNoSandbox says that the folder holds no sandbox.
var ErrNoSandbox = errors.New("there is no sandbox")

// ReadState returns what was last written of the sandbox in the folder.
func ReadState(folder Folder) (*State, error) {
	state := &State{}
	switch err := readJSON(folder.Path(fileState), state); {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w in %s", ErrNoSandbox, folder)
	case err != nil:
		return nil, err
	}
	return state, nil
}

// Write replaces sandbox.json.
func (s *State) Write(folder Folder) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the sandbox's state: %w", err)
	}
	return writeFile(folder.Path(fileState), append(content, '\n'), 0o600)
}

// WorkloadFile is where the workload component writes its state.
func (f Folder) WorkloadFile() string { return f.Path("pods/state.json") }

// WriteWorkload replaces the workload component's file.
func (w *WorkloadState) WriteWorkload(folder Folder) error {
	content, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("encoding the state of the pods: %w", err)
	}
	return writeFile(folder.WorkloadFile(), content, 0o600)
}

func readJSON(path string, value any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := json.Unmarshal(content, value); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}

// Command gitops-bootstrap-engine is a whole Kubernetes control plane, Argo CD and a Git forge in one binary.
//
// Each real program is a process of its own, started from this same binary: the name it is called by (argv[0], or else
// the first argument) chooses the program. Any other first argument is a command of the engine itself.
package main

import (
	"os"
	"path/filepath"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cli"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/component"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/supervisor"
)

// sources is the hash of the sources of this build, stamped by the linker; empty if nobody told cmd/build.
var sources string

func main() {
	supervisor.EndWithParent()
	if run, found := component.Find(filepath.Base(os.Args[0])); found {
		os.Exit(run())
	}
	// kubectl is a command of the engine (it takes the sandbox's folder), so only argv[0] reaches the plain one.
	if len(os.Args) > 1 && os.Args[1] != "kubectl" {
		if run, found := component.Find(os.Args[1]); found {
			os.Args = os.Args[1:]
			os.Exit(run())
		}
	}
	os.Exit(cli.Execute(cli.Programs{
		Versions: component.Versions(), Sources: sources, Kubectl: component.Kubectl, Render: component.Render,
	}))
}

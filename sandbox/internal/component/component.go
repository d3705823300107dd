// Package component holds the real programs that the engine is made of, one file each.
//
// A program reads os.Args as if it had been started alone, and its result is the exit status of the process. Programs
// share global flags and loggers, so a process runs exactly one of them.
package component

import (
	"fmt"
	"os"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

// Program runs one real program to its end and returns the exit status of the process.
type Program func() int

var programs = map[string]Program{
	"argocd":                           argocd,
	"argocd-application-controller":    applicationController,
	"argocd-applicationset-controller": applicationSetController,
	"argocd-repo-server":               repoServer,
	"argocd-server":                    argocdServer,
	"etcd":                             etcd,
	"git-daemon":                       gitDaemon,
	cluster.GitProxy:                   gitProxy,
	"helm":                             helm,
	"kube-apiserver":                   apiServer,
	"kube-controller-manager":          controllerManager,
	"kube-scheduler":                   scheduler,
	"kubectl":                          Kubectl,
	"kubeseal":                         Kubeseal,
	"kustomize":                        kustomize,
	"kwok":                             kwok,
	"redis":                            redis,
	"sealed-secrets-controller":        sealedSecretsController,
}

// Find returns the program of that name, as `ps` and the components of a sandbox call it.
func Find(name string) (Program, bool) {
	program, found := programs[name]
	return program, found
}

// status maps the error of a program that does not exit by itself to an exit status, and reports it.
func status(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

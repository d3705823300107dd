package component

import (
	"os"

	applicationcontroller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	applicationset "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	gitaskpass "github.com/argoproj/argo-cd/v3/cmd/argocd-git-ask-pass/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	server "github.com/argoproj/argo-cd/v3/cmd/argocd-server/commands"
	"github.com/argoproj/argo-cd/v3/cmd/argocd/commands/admin"
	"github.com/argoproj/argo-cd/v3/common"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/kevinburke/ssh_config"
	"github.com/spf13/cobra"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

func applicationController() int {
	leadGitToServices()
	return status(applicationcontroller.NewCommand().Execute())
}

func applicationSetController() int {
	sealSSH()
	leadGitToServices()
	return status(applicationset.NewCommand().Execute())
}

func repoServer() int {
	sealSSH()
	leadGitToServices()
	return status(reposerver.NewCommand().Execute())
}

func argocdServer() int {
	sealSSH()
	leadGitToServices()
	return status(server.NewCommand().Execute())
}

// argocd answers to the two ways in which Argo CD's own pods call the program of that name: git asks it for a password
// (ARGOCD_BINARY_NAME says so, as in argo-cd's cmd/main.go), and an init container makes the password of Redis.
func argocd() int {
	if os.Getenv("ARGOCD_BINARY_NAME") == common.CommandGitAskPass {
		return status(gitaskpass.NewCommand().Execute())
	}
	root := &cobra.Command{Use: common.CommandCLI, SilenceUsage: true}
	group := &cobra.Command{Use: "admin"}
	group.AddCommand(admin.NewRedisInitialPasswordCommand())
	root.AddCommand(group)
	return status(root.Execute())
}

// sealSSH makes go-git read the sandbox's ssh_config instead of the one of the account in the password file, which it
// finds whatever HOME says.
func sealSSH() {
	ssh.DefaultSSHConfig = emptySSHConfig{}
	file, err := os.Open(os.Getenv(cluster.VariableSSHConfig))
	if err != nil {
		return
	}
	defer file.Close()
	if config, err := ssh_config.Decode(file); err == nil {
		ssh.DefaultSSHConfig = sandboxSSHConfig{config}
	}
}

// emptySSHConfig has no value for any host.
type emptySSHConfig struct{}

func (emptySSHConfig) Get(string, string) string { return "" }

// sandboxSSHConfig is one parsed file and nothing else.
type sandboxSSHConfig struct{ config *ssh_config.Config }

func (s sandboxSSHConfig) Get(host, key string) string {
	value, err := s.config.Get(host, key)
	if err != nil {
		return ""
	}
	return value
}

package component

import (
	"os"

	helmcmd "helm.sh/helm/v4/pkg/cmd"
	kustomizecmd "sigs.k8s.io/kustomize/kustomize/v5/commands"
)

func helm() int {
	command, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil {
		return status(err)
	}
	return status(command.Execute())
}

func kustomize() int {
	return status(kustomizecmd.NewDefaultCommand().Execute())
}

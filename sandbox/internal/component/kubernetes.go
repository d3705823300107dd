package component

import (
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubescheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func apiServer() int { return cli.Run(apiserver.NewAPIServerCommand()) }

func controllerManager() int { return cli.Run(controllermanager.NewControllerManagerCommand()) }

func scheduler() int { return cli.Run(kubescheduler.NewSchedulerCommand()) }

// Kubectl runs the real kubectl on os.Args.
func Kubectl() int { return cli.Run(kubectl.NewDefaultKubectlCommand()) }

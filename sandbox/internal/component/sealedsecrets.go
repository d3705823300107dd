package component

import (
	goflag "flag"
	"os"

	"github.com/spf13/pflag"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/generated/kubeseal"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/generated/sealedcontroller"
)

// controllerFlags are the flags that the controller's packages define before its command exists.
var controllerFlags = []string{"listen-addr", "listen-metrics-addr", "read-timeout", "write-timeout"}

// The other programs list global flags in their help, where these have no meaning.
func init() {
	for _, name := range controllerFlags {
		if flag := pflag.Lookup(name); flag != nil {
			flag.Hidden = true
		}
	}
}

func sealedSecretsController() int {
	ownFlags(controllerFlags...)
	sealedcontroller.Main()
	return 0
}

// Kubeseal runs the real kubeseal on os.Args.
func Kubeseal() int {
	ownFlags()
	kubeseal.Main()
	return 0
}

// ownFlags leaves the process with no global flags but the named ones: what the other programs define collides.
func ownFlags(names ...string) {
	flags := pflag.NewFlagSet(os.Args[0], pflag.ExitOnError)
	for _, name := range names {
		if flag := pflag.Lookup(name); flag != nil {
			flags.AddFlag(flag)
		}
	}
	pflag.CommandLine = flags
	goflag.CommandLine = goflag.NewFlagSet(os.Args[0], goflag.ExitOnError)
}

package component

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwokcmd "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
)

// kwok plays the nodes and the pods that are nobody else's. Its context is built as in its own main.go, which keeps the
// flags that are read before the command exists.
func kwok() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ = kwoklog.InitFlags(ctx, flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err != nil {
		return status(err)
	}
	command := kwokcmd.NewCommand(ctx)
	// A version makes cobra add a flag that collides with one of kwok's.
	command.Version = ""
	command.PersistentFlags().AddFlagSet(flags)
	return status(command.ExecuteContext(ctx))
}

package cli

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/workload"
)

// resolverPath is where programs ask for the loopback address of a Service.
const resolverPath = "/service"

// healthPath is where the supervisor asks whether a component is up.
const healthPath = "/healthz"

// newWorkload is the component that runs the processes behind pods.
func newWorkload() *cobra.Command {
	command := &cobra.Command{Use: "workload", Hidden: true, Args: cobra.NoArgs}
	folderOf := folderFlag(command)
	kubeconfig := command.Flags().String("kubeconfig", "", "kubeconfig of the component")
	port := command.Flags().Int("health-port", 0, "loopback port of the health endpoint")
	hosts := workload.Hosts{}
	command.Flags().StringArrayVar(&hosts.Names, "serve-host", nil, "host that the forge answers for")
	command.Flags().IntVar(&hosts.ProxyPort, "proxy-port", 0, "loopback port of the proxy that leads them to the forge")
	command.RunE = func(command *cobra.Command, _ []string) error {
		folder, err := folderOf()
		if err != nil {
			return err
		}
		executable, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding the engine itself: %w", err)
		}
		lines := log.New(os.Stderr, "", log.LstdFlags)
		resolver := fmt.Sprintf("http://127.0.0.1:%d%s", *port, resolverPath)
		runner, err := workload.New(folder, *kubeconfig, executable, hosts, resolver, func(line string) { lines.Println(line) })
		if err != nil {
			return err
		}
		routes := http.NewServeMux()
		routes.Handle(resolverPath, runner.Resolver())
		synced, err := serveHealth(command.Context(), *port, routes)
		if err != nil {
			return err
		}
		return runner.Run(command.Context(), synced)
	}
	return command
}

// serveHealth answers on a loopback port whether the component is up, which it is once the returned function was called.
// From then on it also serves the routes, if there are any.
func serveHealth(ctx context.Context, port int, routes *http.ServeMux) (func(), error) {
	listener, err := listen(ctx, port)
	if err != nil {
		return nil, err
	}
	var synced atomic.Bool
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			switch {
			case !synced.Load():
				writer.WriteHeader(http.StatusServiceUnavailable)
			case routes != nil && request.URL.Path != healthPath:
				routes.ServeHTTP(writer, request)
			}
		}))
	}()
	return func() { synced.Store(true) }, nil
}

package cli

import (
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

// newWorkload is the component that runs the processes behind pods.
func newWorkload() *cobra.Command {
	command := &cobra.Command{Use: "workload", Hidden: true, Args: cobra.NoArgs}
	folderOf := folderFlag(command)
	kubeconfig := command.Flags().String("kubeconfig", "", "kubeconfig of the component")
	port := command.Flags().Int("health-port", 0, "loopback port of the health endpoint")
	host := command.Flags().String("serve-host", "", "host name that the forge answers for")
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
		runner, err := workload.New(folder, *kubeconfig, executable, *host, resolver, func(line string) { lines.Println(line) })
		if err != nil {
			return err
		}
		var synced atomic.Bool
		listener, err := listen(command.Context(), *port)
		if err != nil {
			return err
		}
		go func() {
			_ = http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
				switch {
				case !synced.Load():
					writer.WriteHeader(http.StatusServiceUnavailable)
				case request.URL.Path == resolverPath:
					runner.Resolver().ServeHTTP(writer, request)
				}
			}))
		}()
		return runner.Run(command.Context(), func() { synced.Store(true) })
	}
	return command
}

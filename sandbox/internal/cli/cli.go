// Package cli is the command line of the engine. Data goes to standard output, everything else to standard error.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

// Program is a real program of the engine, run on os.Args.
type Program func() int

// Programs are what the command line needs of the real programs.
type Programs struct {
	// Versions by name.
	Versions map[string]string
	// Sources is the hash of what the engine was built of, or empty.
	Sources string
	Kubectl Program
	// Render returns the manifest of a Helm chart with its default values, CRDs included.
	Render func(ctx context.Context, chart fs.FS, release, namespace string) ([]byte, error)
}

// errReported ends the process with status 1; the reason was already told.
var errReported = errors.New("already reported")

// Execute runs the command in os.Args and returns the exit status of the process.
func Execute(programs Programs) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot(programs)
	if err := root.ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
		return 1
	}
	return 0
}

func newRoot(programs Programs) *cobra.Command {
	root := &cobra.Command{
		Use:           "gitops-bootstrap-engine",
		Short:         "A Kubernetes control plane, Argo CD and a Git forge on this machine, without containers",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		newUp(programs), newSupervise(programs), newDown(), newStatus(), newLogs(), newKubectl(programs),
		newManifest(programs), newVersion(programs), newComponent(), newForge(), newStandIns(), newWorkload(),
	)
	return root
}

// folderFlag adds --folder and returns the function that reads it.
func folderFlag(command *cobra.Command) func() (cluster.Folder, error) {
	path := command.Flags().String("folder", "", "folder that the sandbox lives in")
	return func() (cluster.Folder, error) { return cluster.NewFolder(*path) }
}

// outputFlag adds --output and returns the function that says whether JSON is wanted.
func outputFlag(command *cobra.Command, fallback string) func() (bool, error) {
	format := command.Flags().StringP("output", "o", fallback, "text or json")
	return func() (bool, error) {
		switch *format {
		case "json":
			return true, nil
		case "text":
			return false, nil
		}
		return false, fmt.Errorf("--output is %q, expected text or json", *format)
	}
}

func printJSON(writer io.Writer, value any) error {
	encoder := json.NewEncoder(writer)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// progress tells a person what happens, on a plain line.
func progress(line string) { fmt.Fprintln(os.Stderr, line) }

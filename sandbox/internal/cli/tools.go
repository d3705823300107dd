package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/assets"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

func newKubectl(programs Programs) *cobra.Command {
	command := &cobra.Command{
		Use:   "kubectl --folder DIR -- ARGUMENTS",
		Short: "Run kubectl against the sandbox in a folder",
	}
	folderOf := folderFlag(command)
	command.RunE = func(_ *cobra.Command, arguments []string) error {
		folder, err := folderOf()
		if err != nil {
			return err
		}
		state, err := cluster.ReadState(folder)
		if err != nil {
			return err
		}
		if err := os.Setenv("KUBECONFIG", state.Kubeconfig); err != nil {
			return fmt.Errorf("setting KUBECONFIG: %w", err)
		}
		os.Args = append([]string{"kubectl"}, arguments...)
		if programs.Kubectl() != 0 {
			return errReported
		}
		return nil
	}
	return command
}

func newManifest(programs Programs) *cobra.Command {
	command := &cobra.Command{Use: "manifest", Short: "Print a manifest of what the engine has the programs of"}
	argocd := &cobra.Command{Use: "argocd", Short: "Print Argo CD's install manifest, to the byte", Args: cobra.NoArgs}
	ha := argocd.Flags().Bool("ha", false, "the highly available one")
	argocd.RunE = func(command *cobra.Command, _ []string) error {
		content, err := assets.ArgoCDManifest(*ha)
		if err != nil {
			return err
		}
		_, err = command.OutOrStdout().Write(content)
		return err
	}
	sealedSecrets := &cobra.Command{
		Use: "sealed-secrets", Short: "Print what its chart installs of Sealed Secrets into the namespace kube-system", Args: cobra.NoArgs,
	}
	sealedSecrets.RunE = func(command *cobra.Command, _ []string) error {
		chart, err := assets.SealedSecretsChart()
		if err != nil {
			return err
		}
		// The release has the name that kubeseal expects of the controller.
		content, err := programs.Render(command.Context(), chart, "sealed-secrets-controller", "kube-system")
		if err != nil {
			return err
		}
		_, err = command.OutOrStdout().Write(content)
		return err
	}
	command.AddCommand(argocd, sealedSecrets)
	return command
}

func newVersion(programs Programs) *cobra.Command {
	command := &cobra.Command{Use: "version", Short: "Print the versions of the programs in the engine", Args: cobra.NoArgs}
	asJSON := outputFlag(command, "text")
	command.RunE = func(command *cobra.Command, _ []string) error {
		machine, err := asJSON()
		if err != nil {
			return err
		}
		versions := maps.Clone(programs.Versions)
		if programs.Sources != "" {
			versions["sources"] = programs.Sources
		}
		if machine {
			return printJSON(command.OutOrStdout(), versions)
		}
		for _, name := range slices.Sorted(maps.Keys(versions)) {
			fmt.Fprintln(command.OutOrStdout(), name, versions[name])
		}
		return nil
	}
	return command
}

func newLogs() *cobra.Command {
	command := &cobra.Command{
		Use:   "logs --folder DIR [COMPONENT]",
		Short: "Print the log of a component or of a pod's process, else list what has one",
		Args:  cobra.MaximumNArgs(1),
	}
	folderOf := folderFlag(command)
	follow := command.Flags().BoolP("follow", "f", false, "go on as the log grows")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		folder, err := folderOf()
		if err != nil {
			return err
		}
		logs, err := filepath.Glob(folder.Path("logs/*.log"))
		if err != nil {
			return err
		}
		names := []string{}
		for _, log := range logs {
			names = append(names, strings.TrimSuffix(filepath.Base(log), ".log"))
		}
		switch {
		case len(names) == 0:
			return fmt.Errorf("%w in %s", cluster.ErrNoSandbox, folder)
		case len(arguments) == 0:
			fmt.Fprintln(command.OutOrStdout(), strings.Join(names, "\n"))
			return nil
		case !slices.Contains(names, arguments[0]):
			return fmt.Errorf("%q has no log; these have one: %s", arguments[0], strings.Join(names, ", "))
		}
		return printLog(command.Context(), command.OutOrStdout(), folder.Log(arguments[0]), *follow)
	}
	return command
}

func printLog(ctx context.Context, writer io.Writer, path string, follow bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer file.Close()
	for {
		if _, err := io.Copy(writer, file); err != nil {
			return fmt.Errorf("printing the log: %w", err)
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
}

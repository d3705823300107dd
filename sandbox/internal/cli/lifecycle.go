package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

func newDown() *cobra.Command {
	command := &cobra.Command{
		Use:   "down --folder DIR",
		Short: "End the sandbox in a folder, and remove it with everything that it holds",
		Args:  cobra.NoArgs,
	}
	folderOf := folderFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		folder, err := folderOf()
		if err != nil {
			return err
		}
		switch err := cluster.Remove(command.Context(), folder); {
		case errors.Is(err, cluster.ErrNoSandbox):
			progress(fmt.Sprintf("there was no sandbox in %s", folder))
		case err != nil:
			return err
		default:
			progress(fmt.Sprintf("the sandbox in %s is gone", folder))
		}
		return nil
	}
	return command
}

func newStatus() *cobra.Command {
	command := &cobra.Command{
		Use:   "status --folder DIR",
		Short: "Print the state of the sandbox in a folder",
		Args:  cobra.NoArgs,
	}
	folderOf := folderFlag(command)
	asJSON := outputFlag(command, "text")
	command.RunE = func(command *cobra.Command, _ []string) error {
		machine, err := asJSON()
		if err != nil {
			return err
		}
		folder, err := folderOf()
		if err != nil {
			return err
		}
		state, err := currentState(command.Context(), folder)
		if err != nil {
			return err
		}
		return printState(command.OutOrStdout(), state, machine)
	}
	return command
}

// currentState asks the supervisor; of a sandbox that does not run it says so in the last state that was written.
func currentState(ctx context.Context, folder cluster.Folder) (*cluster.State, error) {
	running := folder.Running()
	if running {
		if state, err := cluster.NewControl(folder).State(ctx); err == nil {
			return state, nil
		}
	}
	state, err := cluster.ReadState(folder)
	if err != nil || running {
		// A supervisor that does not answer yet is starting.
		return state, err
	}
	state.Ready, state.Supervisor, state.Pods, state.ArgoCD = false, cluster.SupervisorState{}, nil, nil
	for i := range state.Components {
		state.Components[i].Pid, state.Components[i].Ready = 0, false
	}
	return state, nil
}

func printState(writer io.Writer, state *cluster.State, machine bool) error {
	if machine {
		return printJSON(writer, state)
	}
	table := tabwriter.NewWriter(writer, 0, 0, 2, ' ', 0)
	running := "stopped"
	if state.Ready {
		running = "ready"
	} else if state.Supervisor.Pid != 0 {
		running = "starting"
	}
	fmt.Fprintf(table, "sandbox\t%s (%s)\n", state.Name, running)
	fmt.Fprintf(table, "folder\t%s\n", state.Folder)
	fmt.Fprintf(table, "kubeconfig\t%s (context %s)\n", state.Kubeconfig, state.Context)
	fmt.Fprintf(table, "API server\t%s (Kubernetes %s)\n", state.Server, state.Versions["kubernetes"])
	fmt.Fprintf(table, "forge\t%s, ssh://git@%s:%d\n", state.Forge.API, state.Forge.SSHHost, state.Forge.SSHPort)
	if state.ArgoCD != nil {
		fmt.Fprintf(table, "Argo CD\t%s\n", state.ArgoCD.URL)
	}
	fmt.Fprintf(table, "\nCOMPONENT\tPROCESS\tREADY\tRESTARTS\tSINCE\n")
	for _, component := range state.Components {
		fmt.Fprintf(table, "%s\t%d\t%t\t%d\t%s\n", component.Name, component.Pid, component.Ready, component.Restarts,
			component.Since.Format(time.TimeOnly))
	}
	for _, pod := range state.Pods {
		fmt.Fprintf(table, "%s/%s\t%d\t%t\t%d\t\n", pod.Namespace, pod.Name, pod.Pid, pod.Ready, pod.Restarts)
	}
	return table.Flush()
}

func newComponent() *cobra.Command {
	command := &cobra.Command{Use: "component", Short: "Stop, start or restart one component of a sandbox, to see what then happens"}
	for _, action := range []string{"stop", "start", "restart"} {
		sub := &cobra.Command{Use: action + " NAME --folder DIR", Short: action + " a component", Args: cobra.ExactArgs(1)}
		folderOf := folderFlag(sub)
		sub.RunE = func(command *cobra.Command, arguments []string) error {
			folder, err := folderOf()
			if err != nil {
				return err
			}
			return cluster.NewControl(folder).Component(command.Context(), arguments[0], action)
		}
		command.AddCommand(sub)
	}
	return command
}

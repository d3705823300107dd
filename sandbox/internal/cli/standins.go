package cli

import (
	"fmt"
	"io/fs"
	"log"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/assets"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/standin"
)

// openStandIns returns the folders of stages that are meant, a person's before the engine's own, each checked.
func openStandIns(given []string) ([]fs.FS, error) {
	own, folders := false, []fs.FS{}
	for _, name := range given {
		if name == standin.Default {
			own = true
			continue
		}
		if _, err := os.ReadDir(name); err != nil {
			return nil, fmt.Errorf("--stand-ins is neither %q nor a folder: %w", standin.Default, err)
		}
		folder := os.DirFS(name)
		if _, err := standin.Read(folder); err != nil {
			return nil, fmt.Errorf("--stand-ins %s: %s", name, strings.ReplaceAll(err.Error(), "\n", "\n  "))
		}
		folders = append(folders, folder)
	}
	if own {
		folder, err := assets.StandIns()
		if err != nil {
			return nil, err
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

// newStandIns is the component that stands in for controllers that cannot run here.
func newStandIns() *cobra.Command {
	command := &cobra.Command{Use: "stand-ins", Hidden: true, Args: cobra.NoArgs}
	folderOf := folderFlag(command)
	kubeconfig := command.Flags().String("kubeconfig", "", "kubeconfig of the component")
	port := command.Flags().Int("health-port", 0, "loopback port of the health endpoint")
	command.RunE = func(command *cobra.Command, _ []string) error {
		folder, err := folderOf()
		if err != nil {
			return err
		}
		folders, err := folder.StandIns()
		if err != nil {
			return err
		}
		stages := []*standin.Stage{}
		for _, path := range folders {
			read, err := standin.Read(os.DirFS(path))
			if err != nil {
				return err
			}
			stages = append(stages, read...)
		}
		config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
		if err != nil {
			return fmt.Errorf("reading the kubeconfig of the stand-ins: %w", err)
		}
		lines := log.New(os.Stderr, "", log.LstdFlags)
		controller, err := standin.New(config, stages, folder.StandInLog(), func(line string) { lines.Println(line) })
		if err != nil {
			return err
		}
		synced, err := serveHealth(command.Context(), *port, nil)
		if err != nil {
			return err
		}
		return controller.Run(command.Context(), synced)
	}
	return command
}

// Package assets holds the files inside the engine: Argo CD's own manifests, kwok's own stages and the chart of Sealed
// Secrets, which cmd/build copies out of their modules and checks (they are not under version control), and the stages
// that are ours.
package assets

import (
	"embed"
	"io/fs"
)

//go:embed argocd kwok stages stand-ins all:sealed-secrets
var files embed.FS

// ArgoCDManifest returns Argo CD's install manifest to the byte; ha asks for the highly available one.
func ArgoCDManifest(ha bool) ([]byte, error) {
	if ha {
		return files.ReadFile("argocd/ha/install.yaml")
	}
	return files.ReadFile("argocd/install.yaml")
}

// GitVerifyWrapper returns the script of that name that Argo CD's repo-server looks for on its PATH.
func GitVerifyWrapper() ([]byte, error) {
	return files.ReadFile("argocd/git-verify-wrapper.sh")
}

// SealedSecretsChart returns the Helm chart of Sealed Secrets, without what only people read.
func SealedSecretsChart() (fs.FS, error) { return fs.Sub(files, "sealed-secrets") }

// StandIns returns the folder of stages for controllers that cannot run in a sandbox.
func StandIns() (fs.FS, error) { return fs.Sub(files, "stand-ins") }

// Stages returns the configuration of kwok: every stage, as one stream of YAML documents.
func Stages() ([]byte, error) {
	var stream []byte
	for _, folder := range []string{"kwok", "stages"} {
		entries, err := files.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			content, err := files.ReadFile(folder + "/" + entry.Name())
			if err != nil {
				return nil, err
			}
			stream = append(append(stream, "---\n"...), content...)
		}
	}
	return stream, nil
}

package component

import (
	"context"
	"fmt"
	"io/fs"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/component-base/version"
)

// Render returns the manifest of a Helm chart with its default values, as `helm template --include-crds` prints it.
func Render(ctx context.Context, chart fs.FS, name, namespace string) ([]byte, error) {
	files := []*archive.BufferedFile{}
	err := fs.WalkDir(chart, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(chart, path)
		files = append(files, &archive.BufferedFile{Name: path, Data: content})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the chart of %s: %w", name, err)
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("reading the chart of %s: %w", name, err)
	}
	kubernetes, err := common.ParseKubeVersion(version.Get().GitVersion)
	if err != nil {
		return nil, fmt.Errorf("reading the version of Kubernetes: %w", err)
	}
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy, install.IncludeCRDs, install.KubeVersion = action.DryRunClient, true, kubernetes
	install.ReleaseName, install.Namespace = name, namespace
	rendered, err := install.RunWithContext(ctx, loaded, map[string]any{})
	if err != nil {
		return nil, fmt.Errorf("rendering the chart of %s: %w", name, err)
	}
	result, is := rendered.(*release.Release)
	if !is {
		return nil, fmt.Errorf("rendering the chart of %s: helm answers with a %T", name, rendered)
	}
	return []byte(result.Manifest), nil
}

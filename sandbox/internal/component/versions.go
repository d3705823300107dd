package component

import (
	"runtime/debug"

	argocdcommon "github.com/argoproj/argo-cd/v3/common"
	"k8s.io/component-base/version"
)

// Versions returns the version of each real program, by its name.
func Versions() map[string]string {
	versions := map[string]string{
		"argocd":     argocdcommon.GetVersion().String(),
		"kubernetes": version.Get().GitVersion,
	}
	modules := map[string]string{
		"go.etcd.io/etcd/server/v3":          "etcd",
		"helm.sh/helm/v4":                    "helm",
		"sigs.k8s.io/kustomize/kustomize/v5": "kustomize",
		"sigs.k8s.io/kwok":                   "kwok",
		"github.com/alicebob/miniredis/v2":   "miniredis",
		"github.com/bitnami/sealed-secrets":  "sealed-secrets",
	}
	if info, found := debug.ReadBuildInfo(); found {
		for _, module := range info.Deps {
			if name, known := modules[module.Path]; known {
				versions[name] = module.Version
			}
		}
	}
	return versions
}

package main

// An asset is a file of a module that is embedded in the engine, pinned to its content.
type asset struct {
	module string // module path
	source string // path inside the module
	target string // path inside assets/
	sha256 string // of the content, in hexadecimal
}

const (
	argocdModule = "github.com/argoproj/argo-cd/v3"
	kwokModule   = "sigs.k8s.io/kwok"
)

// When a module is upgraded the build refuses the new content: read what changed, then change its line here.
var assets = []asset{
	{argocdModule, "manifests/install.yaml", "argocd/install.yaml",
		"09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77"},
	{argocdModule, "manifests/ha/install.yaml", "argocd/ha/install.yaml",
		"d7b75669da63dc218de0ea67ac00183783cebabd52147c3cf012250faa5ced85"},
	{argocdModule, "hack/git-verify-wrapper.sh", "argocd/git-verify-wrapper.sh",
		"e5271467f0d070e24ef690318206eb6a3d23ec002c9fd17d1c5cb2a52792001e"},
	{kwokModule, "kustomize/stage/node/fast/node-initialize.yaml", "kwok/node-initialize.yaml",
		"bb38f752d90248528b579a0ae8f0f660ff3428457eb5c1ebe6345c3246cc7ee5"},
	{kwokModule, "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml", "kwok/node-heartbeat-with-lease.yaml",
		"9becfc93321222915bd1ec8ab103fe769afe4b23e1386bf40553deb02e332c9c"},
	{kwokModule, "kustomize/stage/volume/fast/pv-bind.yaml", "kwok/pv-bind.yaml",
		"747eba6defd437d6d1bdf847ef744fb8fc7527f4ba8d8c27656025e0376fb9ce"},
	{kwokModule, "kustomize/stage/volume/fast/pv-delete.yaml", "kwok/pv-delete.yaml",
		"4746963af0734ea8175b4562042075848412d8888f2345d8afa1a3058160d52d"},
	{kwokModule, "kustomize/stage/volume/fast/pvc-delete.yaml", "kwok/pvc-delete.yaml",
		"554cbb324b752baf8c72d9f2fa973c0825fd3eb67cf30b8e871a4b6c4509d7a1"},
	{kwokModule, "kustomize/stage/volume/fast/pvc-provision.yaml", "kwok/pvc-provision.yaml",
		"1a4983eb79c325bfea0e201f382c8c1b8e95e27862eac6da0b2cdffc67603773"},
}

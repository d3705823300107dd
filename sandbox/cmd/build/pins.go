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
	// sealedSecretsModule is what go.mod and the sources themselves call it; go.mod replaces it by the one that is published.
	sealedSecretsModule = "github.com/bitnami/sealed-secrets"
	// engineModule is this module.
	engineModule = "github.com/gitops-bootstrap/gitops-bootstrap/sandbox"
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
	{sealedSecretsModule, "helm/sealed-secrets/.helmignore", "sealed-secrets/.helmignore",
		"0a1e8ed08a372234d8af441442044a88c27dc4409e039dbd3e113fec1ee91024"},
	{sealedSecretsModule, "helm/sealed-secrets/Chart.yaml", "sealed-secrets/Chart.yaml",
		"a18b789eb4fc81db1eb5283bbdca8b79b48882277019100eac817b7ff82ce1cc"},
	{sealedSecretsModule, "helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml", "sealed-secrets/crds/bitnami.com_sealedsecrets.yaml",
		"6ccc74ae40a65ec4a1ab95baaf34b0beef0591d343fe3aea1104a36a4f283fab"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/_helpers.tpl", "sealed-secrets/templates/_helpers.tpl",
		"52e76265b32dab5a84faf36dc5afafbc26f843d2e8b24a9e706cfd4c93f75d24"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/cluster-role-binding.yaml", "sealed-secrets/templates/cluster-role-binding.yaml",
		"3b099409f69dc423c0eff41768e5e419712c67d3568c482c529977fb1ab7eb3f"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/cluster-role.yaml", "sealed-secrets/templates/cluster-role.yaml",
		"fbbb4ca50eff8a02ab381439e5c5393fd36f7d2c20752cfc8f8891492d435bed"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/configmap-dashboards.yaml", "sealed-secrets/templates/configmap-dashboards.yaml",
		"8a4a1376454255f506f9d3dde958dcc8dfea6ce653c4bec850f20851f23c3030"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/deployment.yaml", "sealed-secrets/templates/deployment.yaml",
		"e20a15214f9efb67a4603b2323b6491eaa78f6c5d80faa2cc1987ee8b7111b7d"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/extra-list.yaml", "sealed-secrets/templates/extra-list.yaml",
		"23b003e6a6b761f3950b31a219abd8af0f295d803f6c907f80295b640d02a9dd"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/ingress.yaml", "sealed-secrets/templates/ingress.yaml",
		"12b78ef9826a6d3f7fba8883bb548761e668a61518a8169fc62c6ec534aab51c"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/networkpolicy.yaml", "sealed-secrets/templates/networkpolicy.yaml",
		"07b3d9ddc582d45e2d4db98ddd2339874c16da4afa915a6e09691f35b7121597"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/pdb.yaml", "sealed-secrets/templates/pdb.yaml",
		"5b777953fe9de649eec6040a6ba25d86284bf926232ac65f5ac5a0dbc162dc23"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/prometheusrule.yaml", "sealed-secrets/templates/prometheusrule.yaml",
		"4d3f3632320a5a84297d1ae5b47da8c8c9756144cab4db285a8d471243eb3f19"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/psp-clusterrole.yaml", "sealed-secrets/templates/psp-clusterrole.yaml",
		"d37d3b5203b2de5491b33865c0f28b12d571d48522389b62121ef0464e6dcd43"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/psp-clusterrolebinding.yaml", "sealed-secrets/templates/psp-clusterrolebinding.yaml",
		"50f6d2945fcb33d9cea871abf116c9b45fa1a87d470e2f33298b5e06d305de9a"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/psp.yaml", "sealed-secrets/templates/psp.yaml",
		"15ed9c4ad0005a734503e212bccb22e9b1e1a92e25f7a202b69dbf6efe4494a7"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/role-binding.yaml", "sealed-secrets/templates/role-binding.yaml",
		"926faf1082710d61ae763f493f1ca88d79c9afeb8f6d29ab783344ab5945a27d"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/role.yaml", "sealed-secrets/templates/role.yaml",
		"52f88d379a018c9ae7d63da849a34f914b6f7462b014957ee3aa5cbfdc6de2b6"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/service-account.yaml", "sealed-secrets/templates/service-account.yaml",
		"0a2e5275a26029b9c20a2b5701243e662a0ddf6ec51b35b1f8505a899ae7a7a9"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/service.yaml", "sealed-secrets/templates/service.yaml",
		"980e8090ff728c349c194b2145a6d11095e9f4c9b4a4a5000354e99b08b803a2"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/servicemonitor.yaml", "sealed-secrets/templates/servicemonitor.yaml",
		"e4cb319cf08694d7c49d5dfc1b26cd4b2e3e3b1fd5d9064466558a387bac45ac"},
	{sealedSecretsModule, "helm/sealed-secrets/templates/tls-secret.yaml", "sealed-secrets/templates/tls-secret.yaml",
		"c209cf7638d19b23bf436f38b087555d5b88e5084b008284f3c269c6d04cbb4a"},
	{sealedSecretsModule, "helm/sealed-secrets/values.yaml", "sealed-secrets/values.yaml",
		"77b736e8d9192c1bf4d255c7f76819eebab4927cb304a9cbabbd201762f39ad6"},
}

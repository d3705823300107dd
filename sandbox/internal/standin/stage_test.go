package standin

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func defaults(t *testing.T) []*Stage {
	t.Helper()
	stages, err := Read(os.DirFS("../../assets/stand-ins"))
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	content := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &content); err != nil {
		t.Fatal(err)
	}
	result := &unstructured.Unstructured{Object: content}
	result.SetNamespace("demo")
	result.SetName("web")
	result.SetGeneration(3)
	return result
}

// standsHealthy says what Argo CD's own health check makes of the object with its status.
func standsHealthy(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	status, err := health.GetResourceHealth(object, lua.ResourceHealthOverrides(nil))
	if err != nil || status == nil || status.Status != health.HealthStatusHealthy {
		t.Errorf("%s %s: %+v, %v\n%v", object.GetAPIVersion(), object.GetKind(), status, err, object.Object["status"])
	}
}

func TestArgoCDCallsEveryKindHealthyThatIsStoodInFor(t *testing.T) {
	stages := defaults(t)
	for _, text := range []string{
		"{apiVersion: cert-manager.io/v1, kind: Certificate, spec: {secretName: web-tls, dnsNames: [web.example.org]}}",
		"{apiVersion: cert-manager.io/v1, kind: Certificate, spec: {secretName: web-tls, commonName: web}}",
		"{apiVersion: cert-manager.io/v1, kind: Issuer, spec: {acme: {}}}",
		"{apiVersion: cert-manager.io/v1, kind: ClusterIssuer, spec: {acme: {}}}",
		"{apiVersion: external-secrets.io/v1, kind: ExternalSecret, spec: {data: [{secretKey: a}]}}",
		"{apiVersion: external-secrets.io/v1beta1, kind: SecretStore, spec: {}}",
		"{apiVersion: external-secrets.io/v1, kind: ClusterSecretStore, spec: {}}",
		"{apiVersion: external-secrets.io/v1, kind: ClusterExternalSecret, spec: {}}",
		"{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, spec: {}}",
		"{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, spec: {instances: 3}}",
		"{apiVersion: karpenter.sh/v1, kind: NodePool, spec: {}}",
		"{apiVersion: karpenter.k8s.aws/v1, kind: EC2NodeClass, spec: {}}",
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, spec: {}}",
		"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, spec: {listeners: [{name: web}, {name: secure}]}}",
		"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, spec: {parentRefs: [{name: web}]}}",
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, spec: {parentRefs: [{name: web, namespace: other}]}}",
		"{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, spec: {targetRefs: [{kind: Service, name: web}]}}",
		"{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, spec: {replicas: 2}}",
		"{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, spec: {}}",
		"{apiVersion: keda.sh/v1alpha1, kind: ScaledJob, spec: {}}",
		"{apiVersion: argoproj.io/v1alpha1, kind: Rollout, spec: {replicas: 2, strategy: {canary: {}}}}",
		"{apiVersion: pkg.crossplane.io/v1, kind: Provider, spec: {}}",
		"{apiVersion: s3.aws.upbound.io/v1beta1, kind: Bucket, spec: {}}",
		"{apiVersion: rds.aws.crossplane.io/v1beta1, kind: DBInstance, spec: {}}",
	} {
		object := object(t, text)
		stage := find(stages, object.GetAPIVersion(), object.GetKind())
		if stage == nil {
			t.Errorf("nobody stands in for %s", text)
			continue
		}
		status, err := stage.renderStatus(object)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		object.Object["status"] = status
		standsHealthy(t, object)
		if _, err := stage.renderSecrets(object); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestEveryTemplateOfOursMakesAStatusOfABareObject(t *testing.T) {
	for _, stage := range defaults(t) {
		kind := strings.ReplaceAll(stage.Kind, "*", "")
		object := object(t, "{apiVersion: example.org/v1, kind: '"+kind+"', spec: {secretName: bare}}")
		if _, err := stage.renderStatus(object); err != nil {
			t.Errorf("%s: %v", stage.standIn, err)
		}
		if _, err := stage.renderSecrets(object); err != nil {
			t.Errorf("%s: %v", stage.standIn, err)
		}
	}
}

func TestAnExternalSecretGetsTheKeysThatItNames(t *testing.T) {
	stages := defaults(t)
	for text, want := range map[string]string{
		"{data: [{secretKey: user}, {secretKey: password}]}":                                                   "web: password user",
		"{target: {name: other}, data: [{secretKey: user}]}":                                                   "other: user",
		"{target: {template: {data: {url: '{{ .user }}'}}}, data: [{secretKey: user}]}":                        "web: url",
		"{target: {template: {mergePolicy: Merge, data: {url: x}}}, data: [{secretKey: user}]}":                "web: url user",
		"{target: {creationPolicy: Merge}, data: [{secretKey: user}]}":                                         "",
		"{dataFrom: [{extract: {key: a}}]}":                                                                    "web: stand-in",
		"{target: {template: {type: kubernetes.io/tls}}, data: [{secretKey: tls.crt}, {secretKey: tls.key}]}":  "web: tls.crt tls.key",
		"{target: {template: {type: kubernetes.io/dockerconfigjson}}, data: [{secretKey: .dockerconfigjson}]}": "web: .dockerconfigjson",
	} {
		object := object(t, "{apiVersion: external-secrets.io/v1, kind: ExternalSecret, spec: "+text+"}")
		secrets, err := find(stages, "external-secrets.io/v1", "ExternalSecret").renderSecrets(object)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := ""
		for _, secret := range secrets {
			keys := []string{}
			for _, key := range []string{".dockerconfigjson", "password", "stand-in", "tls.crt", "tls.key", "url", "user"} {
				if _, found := secret.StringData[key]; found {
					keys = append(keys, key)
				}
			}
			got = secret.Name + ": " + strings.Join(keys, " ")
			if len(keys) != len(secret.StringData) || secret.Namespace != "demo" || len(secret.OwnerReferences) != 1 {
				t.Errorf("%s: %+v", text, secret)
			}
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestWhereARealControllerRunsNobodyStandsIn(t *testing.T) {
	everything, err := Read(fstest.MapFS{"all.yaml": {Data: []byte("stages:\n- {apiVersion: '*/*', kind: '*', status: '{}'}\n")}})
	if err != nil {
		t.Fatal(err)
	}
	for apiVersion, kind := range map[string]string{"bitnami.com/v1alpha1": "SealedSecret", "argoproj.io/v1alpha1": "Application"} {
		if find(everything, apiVersion, kind) != nil {
			t.Errorf("%s is stood in for", kind)
		}
	}
	if find(everything, "example.org/v1", "Thing") == nil {
		t.Error("a pattern does not mean every other kind")
	}
}

func TestWhatIsWrongWithAFileIsSaidWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":            "my.yaml:1: the file is empty",
		"stage: []\n": "my.yaml:1: field stage not found",
		"stages:\n- apiVersion: a/v1\n  kind: A\n  statsu: x\n":                                      `my.yaml:4: a stage has no "statsu"`,
		"stages:\n- apiVersion: a/v1\n  kind: A\n":                                                   "my.yaml:2: a stage needs",
		"stages:\n- apiVersion: v1\n  kind: A\n  status: x\n":                                        "my.yaml:2: apiVersion is \"v1\"",
		"stages:\n- apiVersion: bitnami.com/v1\n  kind: SealedSecret\n  status: x\n":                 "my.yaml:2: the real controller",
		"stages:\n- apiVersion: a/[\n  kind: A\n  status: x\n":                                       `my.yaml:2: "a/[" is no pattern`,
		"stages:\n- apiVersion: a/v1\n  kind: [A]\n  status: x\n":                                    "my.yaml:3: cannot unmarshal",
		"stages:\n- apiVersion: a/v1\n  kind: A\n  status: |\n    a: b\n    c: {{ env \"HOME\" }}\n": "my.yaml:6: function \"env\" not defined",
		"stages:\n- apiVersion: a/v1\n   kind: A\n":                                                  "my.yaml:",
	} {
		_, err := Read(fstest.MapFS{"my.yaml": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, err := Read(fstest.MapFS{}); err == nil {
		t.Error("a folder without stages was accepted")
	}
}

func TestTheFirstStageThatMeansAKindCounts(t *testing.T) {
	mine, err := Read(fstest.MapFS{"mine.yaml": {Data: []byte("stages:\n- {apiVersion: cert-manager.io/v1, kind: Issuer, status: 'a: {{ .metadata.name }}'}\n")}})
	if err != nil {
		t.Fatal(err)
	}
	stages := append(mine, defaults(t)...)
	if found := find(stages, "cert-manager.io/v1", "Issuer"); found.standIn != "mine" {
		t.Errorf("%s counts", found.standIn)
	}
	if found := find(stages, "cert-manager.io/v1", "ClusterIssuer"); found.standIn != "cert-manager" {
		t.Errorf("%s counts", found.standIn)
	}
	if found := find(stages, "pkg.crossplane.io/v1", "Lock"); found != nil {
		t.Errorf("%s counts for a kind that it excepts", found.APIVersion)
	}
}

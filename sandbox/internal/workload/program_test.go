package workload

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func podOf(name string, command, arguments []string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "pod", Labels: map[string]string{"app.kubernetes.io/name": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Command: command, Args: arguments}}},
	}
}

func imagePod(image string, command ...string) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image, Command: command}}}}
}

func TestEveryPodHasExactlyOneKeeper(t *testing.T) {
	expressions := stageExpressions(t)
	if len(expressions) != 2 || expressions[0] != expressions[1] {
		t.Fatalf("the stages for pods have the expressions %q", expressions)
	}
	environment, err := cel.NewEnv(cel.Variable("self", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	parsed, issues := environment.Compile(expressions[0])
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := environment.Program(parsed)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		pod   *corev1.Pod
		owned bool
	}{
		{podOf("argocd-server", nil, []string{"/usr/local/bin/argocd-server"}), true},
		{podOf("argocd-server", []string{"entrypoint.sh"}, []string{"argocd-server", "--insecure"}), true},
		{podOf("any", []string{"/usr/local/bin/argocd-repo-server"}, nil), true},
		{podOf("any", nil, []string{"/usr/local/bin/argocd-application-controller"}), true},
		{podOf("any", nil, []string{"/usr/local/bin/argocd-applicationset-controller"}), true},
		{podOf("argocd-redis", nil, []string{"--save", ""}), true},
		{podOf("argocd-redis-ha-haproxy", nil, nil), true},
		{podOf("argocd-redis-ha", []string{"redis-server"}, nil), false},
		{podOf("argocd-dex-server", []string{"/shared/argocd-dex", "rundex"}, nil), false},
		{podOf("argocd-notifications-controller", nil, []string{"/usr/local/bin/argocd-notifications"}), false},
		{podOf("web", nil, []string{"--upstream=argocd-server:443"}), false},
		{podOf("any", []string{"/usr/bin/git", "daemon"}, []string{"--export-all"}), true},
		{podOf("any", []string{"git", "clone"}, nil), false},
		{podOf("any", []string{"git"}, []string{"daemon"}), false},
		{imagePod("docker.io/bitnami/sealed-secrets-controller:0.40.0", "controller"), true},
		{imagePod("registry.example:5000/mirror/sealed-secrets-controller@sha256:00"), true},
		{imagePod("bitnami/sealed-secrets-kubeseal:0.40.0"), false},
		{imagePod("example/controller:1", "controller"), false},
		{&corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "bare"}}}}, false},
	} {
		if Owned(test.pod) != test.owned {
			t.Errorf("%v: Owned is %v", test.pod.Spec.Containers, !test.owned)
		}
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(test.pod)
		if err != nil {
			t.Fatal(err)
		}
		left, _, err := program.Eval(map[string]any{"self": object})
		if err != nil {
			t.Fatalf("%v: %v", test.pod.Spec.Containers, err)
		}
		if left.Value() == test.owned {
			t.Errorf("%v: kwok takes it: %v", test.pod.Spec.Containers, left.Value())
		}
	}
}

// stageExpressions returns the CEL expressions of the stages for pods.
func stageExpressions(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile("../../assets/stages/pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(string(content), -1) {
		var stage struct {
			Spec struct {
				Selector struct {
					MatchExpressions []struct {
						CEL struct{ Expression string }
					}
				}
			}
		}
		if err := yaml.Unmarshal([]byte(document), &stage); err != nil {
			t.Fatal(err)
		}
		for _, expression := range stage.Spec.Selector.MatchExpressions {
			if expression.CEL.Expression != "" {
				found = append(found, expression.CEL.Expression)
			}
		}
	}
	return found
}

func TestPortsAndPeersMoveToLoopback(t *testing.T) {
	program, container := find(podOf("any", nil, []string{"/usr/local/bin/argocd-server", "--port", "9000", "--loglevel=debug"}))
	if got := program.declaredPorts(container.Args); !slices.Equal(got, []int{9000, 8083}) {
		t.Fatalf("declared ports %v", got)
	}
	asked := []string{}
	line := program.commandLine(container.Args, map[string]string{"ARGOCD_SERVER_REPO_SERVER": "repo.other.svc:1"},
		map[int]int{9000: 40001, 8083: 40002}, func(address string) string {
			asked = append(asked, address)
			return "127.0.0.1:" + address[strings.LastIndexByte(address, ':')+1:]
		})
	want := "argocd-server --port 9000 --loglevel=debug --port=40001 --metrics-port=40002 --repo-server=127.0.0.1:1 " +
		"--dex-server=127.0.0.1:5556 --redis=127.0.0.1:6379 --address=127.0.0.1 --metrics-address=127.0.0.1"
	if got := strings.Join(line, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if want := []string{"repo.other.svc:1", standardDex, standardRedis}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v", asked)
	}
}

func TestAGitDaemonListensOnLoopbackAlone(t *testing.T) {
	program, container := find(podOf("any", []string{"git", "daemon"}, []string{"--export-all", "--listen=0.0.0.0", "--port=1", "/srv"}))
	arguments := slices.Concat(container.Command, container.Args)
	if got := program.declaredPorts(arguments); !slices.Equal(got, []int{1}) {
		t.Fatalf("declared ports %v", got)
	}
	line := program.commandLine(arguments, nil, map[int]int{1: 40001}, func(address string) string { return address })
	want := "git-daemon --export-all --port=1 --port=40001 --listen=127.0.0.1 /srv"
	if got := strings.Join(line, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnArgumentWinsOverAVariable(t *testing.T) {
	program, container := find(podOf("any", nil, []string{"argocd-repo-server", "--redis", "argocd-redis-ha-haproxy:6379"}))
	program.commandLine(container.Args, map[string]string{"REDIS_SERVER": "other:1"}, nil, func(address string) string {
		if address != "argocd-redis-ha-haproxy:6379" {
			t.Errorf("asked for %s", address)
		}
		return address
	})
}

func TestOnlyNamesOfServicesAreServices(t *testing.T) {
	for address, want := range map[string]string{
		"argocd-redis:6379":                         "argocd/argocd-redis:6379",
		"argocd-redis.other:6379":                   "other/argocd-redis:6379",
		"argocd-redis.other.svc:6379":               "other/argocd-redis:6379",
		"argocd-redis.other.svc.cluster.local:6379": "other/argocd-redis:6379",
		"https://argocd-dex-server:5556":            "argocd/argocd-dex-server:5556",
		"10.0.0.1:6379":                             "",
		"localhost:6379":                            "",
		"cache.example.amazonaws.com:6379":          "",
		"argocd-redis":                              "",
	} {
		_, service, found := parseServiceAddress(address, "argocd")
		if got := service.String(); found != (want != "") || found && got != want {
			t.Errorf("%s is %s, %v", address, got, found)
		}
	}
}

func TestTheSealedSecretsControllerListensOnLoopback(t *testing.T) {
	for _, command := range [][]string{nil, {"controller"}, {"/usr/local/bin/controller"}} {
		program, container := find(imagePod("bitnami/sealed-secrets-controller:0.40.0", command...))
		words := append(slices.Clone(container.Command), "--key-prefix", "key", "--listen-addr", ":9090")
		line := program.commandLine(words, nil, map[int]int{9090: 40001, 8081: 40002}, nil)
		want := "sealed-secrets-controller --key-prefix key --listen-addr :9090 " +
			"--listen-addr=127.0.0.1:40001 --listen-metrics-addr=127.0.0.1:40002"
		if got := strings.Join(line, " "); got != want {
			t.Errorf("%v: got  %s\nwant %s", command, got, want)
		}
	}
}

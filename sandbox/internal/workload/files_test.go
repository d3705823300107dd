package workload

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

// fakeCluster has objects of one namespace, and counts the tokens that it issues.
type fakeCluster struct {
	configMaps map[string]map[string]string
	secrets    map[string]map[string][]byte
	issued     int
	life       time.Duration
}

func (f *fakeCluster) ConfigMap(_, name string) (*corev1.ConfigMap, error) {
	data, found := f.configMaps[name]
	if !found {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, name)
	}
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, nil
}

func (f *fakeCluster) Secret(_, name string) (*corev1.Secret, error) {
	data, found := f.secrets[name]
	if !found {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, nil
}

func (f *fakeCluster) Token(context.Context, *corev1.Pod, *corev1.ServiceAccountTokenProjection) (string, time.Time, error) {
	f.issued++
	return "token-" + string(rune('0'+f.issued)), time.Now().Add(f.life), nil
}

func TestVariablesAreResolvedAsAKubeletDoes(t *testing.T) {
	cluster := &fakeCluster{
		configMaps: map[string]map[string]string{"params": {"level": "debug"}},
		secrets:    map[string]map[string][]byte{"redis": {"auth": []byte("hunter2")}},
	}
	selectorC := func(key string, optional bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "params"}, Key: key, Optional: &optional}}
	}
	container := &corev1.Container{
		EnvFrom: []corev1.EnvFromSource{{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "params"}}}},
		Env: []corev1.EnvVar{
			{Name: "LEVEL", ValueFrom: selectorC("level", false)},
			{Name: "ABSENT", ValueFrom: selectorC("absent", true)},
			{Name: "NAMESPACE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}},
			{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "redis"}, Key: "auth"}}},
			{Name: "BOTH", Value: "$(LEVEL) in $(NAMESPACE), not $(LATER)"},
		},
	}
	pod := podOf("any", nil, nil)
	got, err := resolveEnvironment(pod, container, cluster)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"P_level": "debug", "LEVEL": "debug", "NAMESPACE": "argocd", "PASSWORD": "hunter2",
		"BOTH": "debug in argocd, not $(LATER)",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if _, found := got["ABSENT"]; found {
		t.Error("an optional variable without a source is set")
	}
}

func TestWhatIsMissingIsToldInAKubeletsWords(t *testing.T) {
	pod := podOf("any", nil, nil)
	secret := &corev1.Container{Env: []corev1.EnvVar{{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "argocd-redis"}, Key: "auth"}}}}}
	_, err := resolveEnvironment(pod, secret, &fakeCluster{})
	if err == nil || err.Error() != `secret "argocd-redis" not found` || !isConfiguration(err) {
		t.Errorf("got %v", err)
	}
	_, err = resolveEnvironment(pod, secret, &fakeCluster{secrets: map[string]map[string][]byte{"argocd-redis": {}}})
	if err == nil || err.Error() != "couldn't find key auth in Secret argocd/argocd-redis" || !isConfiguration(err) {
		t.Errorf("got %v", err)
	}
}

func TestVolumesFollowTheirSources(t *testing.T) {
	cluster := &fakeCluster{configMaps: map[string]map[string]string{"hosts": {"ssh_known_hosts": "one", "other": "x"}}}
	pod := podOf("any", nil, nil)
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "hosts", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "hosts"}, DefaultMode: ptr.To(int32(0o644))}}},
		{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "tls", DefaultMode: ptr.To(int32(0o644)), Optional: ptr.To(true)}}},
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	folder := t.TempDir()
	volumes := newVolumes(pod, folder, cluster, cluster)
	update := func() {
		t.Helper()
		if err := volumes.update(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	update()
	file := filepath.Join(folder, "hosts", "ssh_known_hosts")
	content := func() string { text, _ := os.ReadFile(file); return string(text) }
	if content() != "one" {
		t.Fatalf("content %q", content())
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	before, err := os.Readlink(filepath.Join(folder, "hosts", "..data"))
	if err != nil {
		t.Fatal(err)
	}
	// What a program has opened stays whole: the new content is another folder, and one symlink changes.
	os.WriteFile(filepath.Join(folder, "tmp", "kept"), nil, 0o600)
	cluster.configMaps["hosts"] = map[string]string{"ssh_known_hosts": "two"}
	update()
	after, _ := os.Readlink(filepath.Join(folder, "hosts", "..data"))
	if content() != "two" || before == after {
		t.Errorf("content %q, %s then %s", content(), before, after)
	}
	if _, err := os.Stat(filepath.Join(folder, "hosts", "other")); err == nil {
		t.Error("a removed key is still there")
	}
	if _, err := os.Stat(filepath.Join(folder, "tmp", "kept")); err != nil {
		t.Error("an emptyDir lost a file")
	}
	delete(cluster.configMaps, "hosts")
	if err := volumes.update(t.Context()); err == nil {
		t.Error("a missing ConfigMap was accepted")
	}
	cluster.secrets = map[string]map[string][]byte{"tls": {"tls.crt": []byte("certificate")}}
	cluster.configMaps["hosts"] = map[string]string{"ssh_known_hosts": "three"}
	update()
	if _, err := os.Stat(filepath.Join(folder, "tls", "tls.crt")); err != nil {
		t.Error("an optional Secret that came later is not mounted")
	}
}

func TestTokensAreRenewedOnlyWhenDue(t *testing.T) {
	cluster := &fakeCluster{life: time.Hour}
	pod := podOf("any", nil, nil)
	pod.Spec.Volumes = []corev1.Volume{{Name: "api", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(int32(0o644)),
		Sources:     []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
	}}}}
	folder := t.TempDir()
	volumes := newVolumes(pod, folder, cluster, cluster)
	for range 2 {
		if err := volumes.update(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if cluster.issued != 1 || time.Until(volumes.renewal()) > 49*time.Minute || time.Until(volumes.renewal()) < 47*time.Minute {
		t.Errorf("%d tokens, the next in %s", cluster.issued, time.Until(volumes.renewal()))
	}
	volumes.issued["api/token"] = issuedToken{"old", time.Now().Add(-time.Second)}
	if err := volumes.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(filepath.Join(folder, "api", "token")); cluster.issued != 2 || string(text) != "token-2" {
		t.Errorf("%d tokens, the file has %q", cluster.issued, text)
	}
}

func TestMountsNestAndPathsFollowThem(t *testing.T) {
	folder := t.TempDir()
	volume := func(name string) string {
		path := filepath.Join(folder, "volumes", name)
		os.MkdirAll(path, 0o700)
		return path
	}
	container := &corev1.Container{VolumeMounts: []corev1.VolumeMount{
		{Name: "params", MountPath: "/home/argocd/params"}, {Name: "home", MountPath: "/home/argocd"},
		{Name: "hosts", MountPath: "/app/config/ssh"},
	}}
	for range 2 {
		root, err := newRoot(filepath.Join(folder, "root"), container, volume)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(volume("params"), "file"), []byte("x"), 0o600)
		if text, _ := os.ReadFile(root.path("/home/argocd/params/file")); string(text) != "x" {
			t.Error("the inner mount is not reached")
		}
		for value, want := range map[string]string{
			"/app/config/ssh":             root.path("/app/config/ssh"),
			"/app/config/ssh/known":       root.path("/app/config/ssh/known"),
			"--path=/home/argocd/params":  "--path=" + root.path("/home/argocd/params"),
			"/app/config/sshd":            "/app/config/sshd",
			"https://host/app/config/ssh": "https://host/app/config/ssh",
		} {
			if got := root.translate(value); got != want {
				t.Errorf("%s becomes %s", value, got)
			}
		}
	}
}

func TestTheForgeIsTrustedWhereItsHostIs(t *testing.T) {
	const forge = "[127.0.0.1]:2222 ssh-ed25519 AAAA\n"
	hosts := Hosts{Names: []string{"git.example.org", "github.com"}}
	trusting := &corev1.ConfigMap{Data: map[string]string{knownHostsKey: "gitlab.com,github.com ssh-rsa BBBB"}}
	if got := hosts.trust(trusting, forge, "").Data[knownHostsKey]; got != "gitlab.com,github.com ssh-rsa BBBB\n"+forge {
		t.Errorf("got %q", got)
	}
	if trusting.Data[knownHostsKey] != "gitlab.com,github.com ssh-rsa BBBB" {
		t.Error("the watched object was changed")
	}
	strict := &corev1.ConfigMap{Data: map[string]string{knownHostsKey: "gitlab.com ssh-rsa BBBB"}}
	if hosts.trust(strict, forge, "") != strict {
		t.Error("the forge is trusted although its host is not")
	}
}

func TestTheSandboxIsTrustedForTheCertificatesOfServedHostsAlone(t *testing.T) {
	hosts := Hosts{Names: []string{"github.com", "git.example.org"}}
	own := &corev1.ConfigMap{Data: map[string]string{"git.example.org": "own\n", "other.example.org": "other\n"}}
	own.Name = certificatesName
	got := hosts.trust(own, "", "sandbox\n").Data
	want := map[string]string{"github.com": "sandbox\n", "git.example.org": "own\nsandbox\n", "other.example.org": "other\n"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	if empty := (&corev1.ConfigMap{ObjectMeta: own.ObjectMeta}); hosts.trust(empty, "", "sandbox\n").Data["github.com"] != "sandbox\n" {
		t.Error("a ConfigMap without data trusts nobody")
	}
}

func TestAHostIsKnownAtAnyPort(t *testing.T) {
	for line, want := range map[string]bool{
		"github.com ssh-rsa A": true, "a,github.com ssh-rsa A": true, "[github.com]:443 ssh-rsa A": true,
		"github.com.example.org ssh-rsa A": false, "# github.com": false, "": false,
	} {
		if knows(line, "github.com") != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}

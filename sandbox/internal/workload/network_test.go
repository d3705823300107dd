package workload

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// answer is a backend that writes a word and hangs up.
func answer(t *testing.T, word string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(connection, word)
			connection.Close()
		}
	}()
	return listener.Addr().String()
}

func TestAServiceKeepsItsPortWhileItsPodsChange(t *testing.T) {
	record := filepath.Join(t.TempDir(), "services.json")
	var backend atomic.Value
	backend.Store("")
	services := newServices(record, func(serviceAddress) (string, bool) {
		address := backend.Load().(string)
		return address, address != ""
	})
	address, err := services.resolve("argocd-redis:6379", "argocd")
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		t.Helper()
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		text, _ := io.ReadAll(connection)
		return string(text)
	}
	if got := ask(); got != "" {
		t.Errorf("without a pod the answer is %q", got)
	}
	for _, word := range []string{"first", "second"} {
		backend.Store(answer(t, word))
		if got := ask(); got != word {
			t.Errorf("got %q, want %q", got, word)
		}
	}
	services.close()
	again := newServices(record, func(serviceAddress) (string, bool) { return "", false })
	defer again.close()
	if later, err := again.resolve("argocd-redis.argocd.svc:6379", "other"); err != nil || later != address {
		t.Errorf("a restarted runner gives %s instead of %s, %v", later, address, err)
	}
	if outside, err := again.resolve("10.0.0.1:1", "argocd"); err != nil || outside != "10.0.0.1:1" {
		t.Errorf("got %s, %v", outside, err)
	}
}

func TestAProgramIsToldWhereAServiceIsServed(t *testing.T) {
	services := newServices(filepath.Join(t.TempDir(), "services.json"), func(serviceAddress) (string, bool) { return "", false })
	defer services.close()
	resolver := services.resolver(func(service serviceAddress) bool { return service.name == "git" })
	ask := func(address string) (int, string) {
		recorder := httptest.NewRecorder()
		resolver.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/service?namespace=argocd&address="+address, nil))
		return recorder.Code, recorder.Body.String()
	}
	want, err := services.resolve("git.argocd.svc:9418", "argocd")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"git:9418", "git.argocd.svc.cluster.local:9418"} {
		if status, got := ask(address); status != http.StatusOK || got != want {
			t.Errorf("%s is %d %s instead of %s", address, status, got, want)
		}
	}
	if status, got := ask("forge.example:9418"); status != http.StatusOK || got != "forge.example:9418" {
		t.Errorf("an address that is not a Service's becomes %d %s", status, got)
	}
	if status, got := ask("other.argocd.svc:9418"); status != http.StatusNotFound {
		t.Errorf("a Service that is not there is %d %s", status, got)
	}
}

func TestReadyIsWhatTheProbeSays(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusServiceUnavailable)
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.URL.String() != "/healthz?full=true" {
			t.Errorf("asked for %s", request.URL)
		}
		writer.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	container := &corev1.Container{
		Ports: []corev1.ContainerPort{{Name: "probe", ContainerPort: 8082}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz?full=true", Port: intstr.FromString("probe")}},
			PeriodSeconds: 1, FailureThreshold: 1,
		},
	}
	prober, err := newProber(container, map[int]int{8082: server.Listener.Addr().(*net.TCPAddr).Port}, 0)
	if err != nil {
		t.Fatal(err)
	}
	prober.period = 5 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reports := make(chan bool)
	go prober.watch(ctx, func(ready bool) {
		select {
		case reports <- ready:
		case <-ctx.Done():
		}
	})
	select {
	case <-reports:
		t.Error("ready although the probe fails")
	case <-time.After(3 * eagerPeriod):
	}
	status.Store(http.StatusOK)
	if !<-reports {
		t.Error("the first report is not ready")
	}
	status.Store(http.StatusInternalServerError)
	if <-reports {
		t.Error("ready although the probe fails again")
	}
}

func TestWithoutAProbeThePortCounts(t *testing.T) {
	address := answer(t, "")
	_, text, _ := net.SplitHostPort(address)
	var port int
	fmt.Sscan(text, &port)
	prober, err := newProber(&corev1.Container{}, map[int]int{6379: port}, 6379)
	if err != nil {
		t.Fatal(err)
	}
	if err := prober.ask(t.Context()); err != nil {
		t.Error(err)
	}
}

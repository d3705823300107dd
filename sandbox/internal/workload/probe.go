package workload

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// eagerPeriod is how often a process that was never ready is asked. A kubelet waits initialDelaySeconds and then
// periodSeconds, which are guesses at how long a start takes; here nobody gains by waiting longer.
const eagerPeriod = 100 * time.Millisecond

// prober asks a process whether it serves, as the readiness probe of its container says.
type prober struct {
	ask              func(ctx context.Context) error
	period           time.Duration
	failureThreshold int
}

var probeClient = &http.Client{
	Transport: &http.Transport{
		Proxy: nil, DisableKeepAlives: true,
		// A kubelet does not verify the certificate of a probe either.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// newProber returns the prober of a container whose declared ports became others. Without an HTTP or TCP probe a
// connection to the program's first port is the probe: no such container is Ready before its program listens.
func newProber(container *corev1.Container, ports map[int]int, first int) (*prober, error) {
	result := &prober{period: 10 * time.Second, failureThreshold: 3}
	probe := container.ReadinessProbe
	timeout := time.Second
	if probe != nil {
		result.period = time.Duration(max(probe.PeriodSeconds, 1)) * time.Second
		result.failureThreshold = int(max(probe.FailureThreshold, 1))
		timeout = time.Duration(max(probe.TimeoutSeconds, 1)) * time.Second
	}
	ask, err := question(container, probe, ports, first)
	if err != nil {
		return nil, err
	}
	result.ask = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return ask(ctx)
	}
	return result, nil
}

func question(container *corev1.Container, probe *corev1.Probe, ports map[int]int, first int) (func(context.Context) error, error) {
	switch {
	case probe != nil && probe.HTTPGet != nil:
		port, err := mapped(container, probe.HTTPGet.Port, ports)
		if err != nil {
			return nil, err
		}
		scheme := "http"
		if probe.HTTPGet.Scheme == corev1.URISchemeHTTPS {
			scheme = "https"
		}
		address := fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, probe.HTTPGet.Path)
		return func(ctx context.Context) error { return askHTTP(ctx, address) }, nil
	case probe != nil && probe.TCPSocket != nil:
		port, err := mapped(container, probe.TCPSocket.Port, ports)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return askTCP(ctx, port) }, nil
	}
	return func(ctx context.Context) error { return askTCP(ctx, ports[first]) }, nil
}

// mapped returns the loopback port that stands for a port of the container, given by number or by name.
func mapped(container *corev1.Container, port intstr.IntOrString, ports map[int]int) (int, error) {
	number := port.IntValue()
	for _, declared := range container.Ports {
		if port.Type == intstr.String && declared.Name == port.StrVal {
			number = int(declared.ContainerPort)
		}
	}
	if ports[number] == 0 {
		return 0, fmt.Errorf("container %s has no port %s", container.Name, port.String())
	}
	return ports[number], nil
}

func askHTTP(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := probeClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("the probe answers %s", response.Status)
	}
	return nil
}

func askTCP(ctx context.Context, port int) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	return connection.Close()
}

// watch reports each change between ready and not, until the context ends.
func (p *prober) watch(ctx context.Context, report func(ready bool)) {
	ready, failures, wait := false, 0, eagerPeriod
	for {
		switch err := p.ask(ctx); {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures, wait = 0, p.period
			if !ready {
				ready = true
				report(true)
			}
		case ready:
			if failures++; failures >= p.failureThreshold {
				ready, wait = false, eagerPeriod
				report(false)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

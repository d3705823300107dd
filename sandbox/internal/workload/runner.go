// Package workload is the kubelet of the pods that a real process stands behind.
//
// A process runs exactly while its pod exists and is scheduled, with that pod's arguments, variables, mounts and
// ServiceAccount, and the pod's status says what the process does. Every other pod is kwok's.
package workload

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

// Runner runs the processes of one sandbox.
type Runner struct {
	folder     cluster.Folder
	executable string
	hosts      Hosts
	resolver   string
	// variables are those of every program, before the pod's own.
	variables []string
	config    *rest.Config
	client    kubernetes.Interface
	report    func(string)
	services  *services

	configMaps corelisters.ConfigMapLister
	secrets    corelisters.SecretLister
	serviceSet corelisters.ServiceLister

	mutex     sync.Mutex
	pods      map[types.UID]*pod
	running   sync.WaitGroup
	publishes chan struct{}
}

// New returns a runner that reports each thing that happens, as a line, from any goroutine. The resolver is the address at
// which Resolver is served.
func New(folder cluster.Folder, kubeconfig, executable string, hosts Hosts, resolver string, variables []string, report func(string)) (*Runner, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of the workload: %w", err)
	}
	config.UserAgent = "gitops-bootstrap-engine/workload"
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	runner := &Runner{
		folder: folder, executable: executable, hosts: hosts, resolver: resolver, variables: variables, config: config, client: client, report: report,
		pods: map[types.UID]*pod{}, publishes: make(chan struct{}, 1),
	}
	runner.services = newServices(folder.Path("config/services.json"), runner.backend)
	return runner, nil
}

// Resolver answers programs that ask where a Service is served. It serves once Run has seen the whole cluster.
func (r *Runner) Resolver() http.Handler {
	return r.services.resolver(func(service serviceAddress) bool {
		_, err := r.serviceSet.Services(service.namespace).Get(service.name)
		return err == nil
	})
}

// Run runs pods until the context ends, then ends their processes. It calls synced when it has seen the whole cluster.
func (r *Runner) Run(ctx context.Context, synced func()) error {
	factory := informers.NewSharedInformerFactory(r.client, 0)
	r.configMaps = factory.Core().V1().ConfigMaps().Lister()
	r.secrets = factory.Core().V1().Secrets().Lister()
	r.serviceSet = factory.Core().V1().Services().Lister()
	change := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { r.sourceChanged(object) },
		UpdateFunc: func(_, object any) { r.sourceChanged(object) },
		DeleteFunc: func(object any) { r.sourceChanged(object) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().ConfigMaps().Informer(), factory.Core().V1().Secrets().Informer(),
	} {
		if _, err := informer.AddEventHandler(change); err != nil {
			return fmt.Errorf("watching ConfigMaps and Secrets: %w", err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	// Pods come last, so that what they refer to is known when they are seen.
	pods := factory.Core().V1().Pods().Informer()
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { r.podChanged(ctx, object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { r.podChanged(ctx, object.(*corev1.Pod)) },
		DeleteFunc: r.podGone,
	}); err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	synced()
	r.publish()
	r.keepPublished(ctx)

	r.mutex.Lock()
	for _, pod := range r.pods {
		pod.grace = min(pod.grace, 5*time.Second)
		pod.cancel()
	}
	r.mutex.Unlock()
	r.running.Wait()
	r.services.close()
	return nil
}

// podChanged starts, or ends, what a pod says.
func (r *Runner) podChanged(ctx context.Context, object *corev1.Pod) {
	if object.Spec.NodeName == "" || !Owned(object) || ctx.Err() != nil {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	current := r.pods[object.UID]
	if object.DeletionTimestamp != nil {
		if current == nil {
			current = newPod(r, object)
			close(current.done)
			current.cancel = func() {}
			r.pods[object.UID] = current
		}
		current.end(object)
		return
	}
	if current != nil || object.Status.Phase == corev1.PodFailed || object.Status.Phase == corev1.PodSucceeded {
		return
	}
	created := newPod(r, object)
	podContext, cancel := context.WithCancel(ctx)
	created.cancel = cancel
	r.pods[object.UID] = created
	r.running.Go(func() {
		if err := r.writeKubeconfig(created); err != nil {
			r.report(err.Error())
		}
		created.run(podContext)
	})
}

// end ends the pod's process and then removes the pod, once. The runner's mutex is held.
func (p *pod) end(object *corev1.Pod) {
	if p.ending {
		return
	}
	p.ending = true
	if object.DeletionGracePeriodSeconds != nil {
		p.grace = time.Duration(*object.DeletionGracePeriodSeconds) * time.Second
	}
	p.cancel()
	p.runner.running.Go(func() {
		<-p.done
		p.remove()
		p.runner.confirm(object)
	})
}

// confirm removes the pod from the API server, which has waited for its process to end.
func (r *Runner) confirm(object *corev1.Pod) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		now := int64(0)
		err := r.client.CoreV1().Pods(object.Namespace).Delete(ctx, object.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &object.UID},
		})
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		pause(ctx, time.Second)
	}
}

// podGone ends the process of a pod that was removed without waiting.
func (r *Runner) podGone(object any) {
	if unknown, is := object.(cache.DeletedFinalStateUnknown); is {
		object = unknown.Obj
	}
	gone, is := object.(*corev1.Pod)
	if !is {
		return
	}
	r.mutex.Lock()
	current := r.pods[gone.UID]
	delete(r.pods, gone.UID)
	if current != nil {
		if !current.ending {
			current.ending = true
			current.grace = time.Second
			current.cancel()
			r.running.Go(func() {
				<-current.done
				current.remove()
			})
		}
	}
	r.mutex.Unlock()
	r.publish()
}

// sourceChanged tells the pods of a namespace that one of its ConfigMaps or Secrets is another one now.
func (r *Runner) sourceChanged(object any) {
	if unknown, is := object.(cache.DeletedFinalStateUnknown); is {
		object = unknown.Obj
	}
	named, is := object.(metav1.Object)
	if !is {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, pod := range r.pods {
		if pod.object.Namespace == named.GetNamespace() {
			pod.sourceChanged()
		}
	}
}

// ConfigMap returns a ConfigMap as last seen.
func (r *Runner) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	configMap, err := r.configMaps.ConfigMaps(namespace).Get(name)
	if err != nil || len(r.hosts.Names) == 0 {
		return configMap, err
	}
	forge, err := os.ReadFile(r.folder.Path("forge/known_hosts"))
	if err != nil {
		return nil, fmt.Errorf("reading the forge's host keys: %w", err)
	}
	authority, err := os.ReadFile(r.folder.Authority())
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the sandbox's authority: %w", err)
	}
	return r.hosts.trust(configMap, string(forge), string(authority)), nil
}

// Secret returns a Secret as last seen.
func (r *Runner) Secret(namespace, name string) (*corev1.Secret, error) {
	return r.secrets.Secrets(namespace).Get(name)
}

// Token returns a new token of the pod's ServiceAccount, bound to the pod.
func (r *Runner) Token(ctx context.Context, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) (string, time.Time, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	account := pod.Spec.ServiceAccountName
	answer, err := r.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("asking for a token of ServiceAccount %s/%s: %w", pod.Namespace, account, err)
	}
	return answer.Status.Token, answer.Status.ExpirationTimestamp.Time, nil
}

// writeKubeconfig writes the kubeconfig of a pod. Without a mounted token the requests are anonymous, as in a cluster.
func (r *Runner) writeKubeconfig(pod *pod) error {
	const name = "pod"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: r.config.Host, CertificateAuthorityData: r.config.CAData}
	config.AuthInfos[name] = &api.AuthInfo{TokenFile: pod.tokenFile()}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name, Namespace: pod.object.Namespace}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, pod.kubeconfig()); err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", pod, err)
	}
	return os.Chmod(pod.kubeconfig(), 0o600)
}

// tokenFile returns the mounted token of the pod's ServiceAccount for the API server, or nothing.
func (p *pod) tokenFile() string {
	for _, volume := range p.object.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil && source.ServiceAccountToken.Audience == "" {
				return filepath.Join(p.volumes.path(volume.Name), source.ServiceAccountToken.Path)
			}
		}
	}
	return ""
}

func (r *Runner) setPort(pod *pod, declared, port int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	pod.ports[declared] = port
}

// backend returns the process behind a port of a Service: the one of the oldest Ready pod, so that every client of a
// Redis that is one of several sees the same.
func (r *Runner) backend(address serviceAddress) (string, bool) {
	service, err := r.serviceSet.Services(address.namespace).Get(address.name)
	if err != nil {
		return "", false
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	candidates := []*pod{}
	for _, pod := range r.pods {
		if pod.object.Namespace == address.namespace && !pod.ending && selects(service, pod.object) && pod.ready() {
			candidates = append(candidates, pod)
		}
	}
	slices.SortFunc(candidates, func(a, b *pod) int {
		return a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time)
	})
	for _, port := range service.Spec.Ports {
		if int(port.Port) != address.port {
			continue
		}
		for _, pod := range candidates {
			if local, err := mapped(pod.container, port.TargetPort, pod.ports); err == nil {
				return fmt.Sprintf("127.0.0.1:%d", local), true
			}
		}
	}
	return "", false
}

func selects(service *corev1.Service, pod *corev1.Pod) bool {
	return len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels))
}

// publish asks for the runner's state to be written.
func (r *Runner) publish() {
	select {
	case r.publishes <- struct{}{}:
	default:
	}
}

// keepPublished writes the state each time it has changed, until the context ends.
func (r *Runner) keepPublished(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.publishes:
		}
		if err := r.snapshot().WriteWorkload(r.folder); err != nil {
			r.report(err.Error())
		}
	}
}

func (r *Runner) snapshot() *cluster.WorkloadState {
	r.mutex.Lock()
	pods := []*pod{}
	for _, pod := range r.pods {
		pods = append(pods, pod)
	}
	r.mutex.Unlock()
	slices.SortFunc(pods, func(a, b *pod) int { return a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time) })
	state := &cluster.WorkloadState{Pods: []cluster.PodState{}}
	for _, pod := range pods {
		snapshot := pod.snapshot()
		state.Pods = append(state.Pods, snapshot)
		if pod.program.name == nameServer && (state.ArgoCD == nil || !state.ArgoCD.Ready) {
			state.ArgoCD = r.argocd(pod.object, snapshot.Ready)
		}
	}
	return state
}

// argocd returns how the Argo CD of that pod is opened: by the HTTPS port of its Service.
func (r *Runner) argocd(server *corev1.Pod, ready bool) *cluster.ArgoCDState {
	services, err := r.serviceSet.Services(server.Namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	for _, service := range services {
		for _, port := range service.Spec.Ports {
			if !selects(service, server) || port.Port != 443 && port.TargetPort != intstr.FromString("https") {
				continue
			}
			local, err := r.services.port(serviceAddress{service.Namespace, service.Name, int(port.Port)})
			if err != nil {
				r.report(err.Error())
				return nil
			}
			return &cluster.ArgoCDState{
				URL: fmt.Sprintf("https://127.0.0.1:%d", local), Namespace: server.Namespace, Ready: ready,
			}
		}
	}
	return nil
}

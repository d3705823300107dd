package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	crdinformers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	workers = 4
	// Between tries of an object that could not be stood in for.
	retryFirst = 200 * time.Millisecond
	retryLast  = 30 * time.Second
)

// Controller stands in for the controllers of all custom resources that its stages mean, as their kinds come and go.
type Controller struct {
	stages  []*Stage
	record  *record
	report  func(string)
	crds    apiextensions.Interface
	objects dynamic.Interface
	client  kubernetes.Interface
	queue   workqueue.TypedRateLimitingInterface[key]

	mutex sync.Mutex
	// kinds are the watched ones, by the name of their CustomResourceDefinition.
	kinds map[string]*kind
	// done is the generation of each object that has its status.
	done map[types.UID]int64
}

// kind is a kind of objects with a stage.
type kind struct {
	resource schema.GroupVersionResource
	stage    *Stage
	// subresource is where the status is written: "status", or nothing for a kind without that subresource.
	subresource []string
	store       cache.Store
	cancel      context.CancelFunc
}

// key is an object of a kind.
type key struct{ definition, object string }

// New returns a controller that writes each object that it stood in for to the log, a file. The report gets a line for
// each thing that goes wrong, from any goroutine.
func New(config *rest.Config, stages []*Stage, log string, report func(string)) (*Controller, error) {
	record, err := openRecord(log)
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.UserAgent = "gitops-bootstrap-engine/stand-ins"
	config.QPS, config.Burst = 200, 400
	result := &Controller{
		stages: stages, record: record, report: report, kinds: map[string]*kind{}, done: map[types.UID]int64{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[key](retryFirst, retryLast)),
	}
	if result.crds, err = apiextensions.NewForConfig(config); err == nil {
		result.objects, err = dynamic.NewForConfig(config)
	}
	if err == nil {
		result.client, err = kubernetes.NewForConfig(config)
	}
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	return result, nil
}

// Run stands in until the context ends. It calls synced when it has seen all kinds.
func (c *Controller) Run(ctx context.Context, synced func()) error {
	defer c.record.file.Close()
	factory := crdinformers.NewSharedInformerFactory(c.crds, 0)
	informer := factory.Apiextensions().V1().CustomResourceDefinitions().Informer()
	// Schemas are most of what definitions are, and nobody here reads them.
	if err := informer.SetTransform(withoutSchemas); err != nil {
		return fmt.Errorf("watching kinds: %w", err)
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { c.watch(ctx, object.(*apiextensionsv1.CustomResourceDefinition)) },
		UpdateFunc: func(_, object any) { c.watch(ctx, object.(*apiextensionsv1.CustomResourceDefinition)) },
		DeleteFunc: c.unwatch,
	}); err != nil {
		return fmt.Errorf("watching kinds: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { c.work(ctx) })
	}
	synced()
	<-ctx.Done()
	c.queue.ShutDown()
	running.Wait()
	return nil
}

func withoutSchemas(object any) (any, error) {
	if definition, is := object.(*apiextensionsv1.CustomResourceDefinition); is {
		for i := range definition.Spec.Versions {
			definition.Spec.Versions[i].Schema = nil
		}
		definition.ManagedFields = nil
	}
	return object, nil
}

// watch begins to watch the objects of an established kind that has a stage.
func (c *Controller) watch(ctx context.Context, definition *apiextensionsv1.CustomResourceDefinition) {
	version, stage := c.choose(definition)
	if stage == nil || !established(definition) || ctx.Err() != nil {
		return
	}
	resource := schema.GroupVersionResource{Group: definition.Spec.Group, Version: version.Name, Resource: definition.Spec.Names.Plural}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if before := c.kinds[definition.Name]; before != nil {
		if before.resource == resource {
			return
		}
		before.cancel()
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(c.objects, resource, metav1.NamespaceAll, 0,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, nil).Informer()
	watching, cancel := context.WithCancel(ctx)
	watched := &kind{resource: resource, stage: stage, store: informer.GetStore(), cancel: cancel}
	if version.Subresources != nil && version.Subresources.Status != nil {
		watched.subresource = []string{"status"}
	}
	add := func(object any) {
		if name, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			c.queue.Add(key{definition.Name, name})
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, object any) { add(object) }, DeleteFunc: c.forget,
	}); err != nil {
		cancel()
		c.report(fmt.Sprintf("watching %s: %v", definition.Name, err))
		return
	}
	c.kinds[definition.Name] = watched
	go informer.RunWithContext(watching)
}

// choose returns the version in which objects of the kind are watched: the stored one if a stage means it, since no
// webhook converts that.
func (c *Controller) choose(definition *apiextensionsv1.CustomResourceDefinition) (*apiextensionsv1.CustomResourceDefinitionVersion, *Stage) {
	var chosen *apiextensionsv1.CustomResourceDefinitionVersion
	var stage *Stage
	for i := range definition.Spec.Versions {
		version := &definition.Spec.Versions[i]
		found := find(c.stages, definition.Spec.Group+"/"+version.Name, definition.Spec.Names.Kind)
		if version.Served && found != nil && (chosen == nil || version.Storage) {
			chosen, stage = version, found
		}
	}
	return chosen, stage
}

func established(definition *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(definition.Status.Conditions, func(condition apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue
	})
}

func (c *Controller) unwatch(object any) {
	if unknown, is := object.(cache.DeletedFinalStateUnknown); is {
		object = unknown.Obj
	}
	definition, is := object.(*apiextensionsv1.CustomResourceDefinition)
	if !is {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if watched := c.kinds[definition.Name]; watched != nil {
		watched.cancel()
		delete(c.kinds, definition.Name)
	}
}

func (c *Controller) forget(object any) {
	if unknown, is := object.(cache.DeletedFinalStateUnknown); is {
		object = unknown.Obj
	}
	if gone, is := object.(metav1.Object); is {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		delete(c.done, gone.GetUID())
	}
}

func (c *Controller) work(ctx context.Context) {
	for {
		next, ended := c.queue.Get()
		if ended {
			return
		}
		if err := c.standIn(ctx, next); err != nil && ctx.Err() == nil {
			c.report(fmt.Sprintf("standing in for the controller of %s %s: %v", next.definition, next.object, err))
			c.queue.AddRateLimited(next)
		} else {
			c.queue.Forget(next)
		}
		c.queue.Done(next)
	}
}

// standIn does what the controller of the object would do, once for each generation of it.
func (c *Controller) standIn(ctx context.Context, next key) error {
	c.mutex.Lock()
	watched := c.kinds[next.definition]
	c.mutex.Unlock()
	if watched == nil {
		return nil
	}
	found, exists, err := watched.store.GetByKey(next.object)
	if err != nil || !exists {
		return err
	}
	object := found.(*unstructured.Unstructured)
	if object.GetDeletionTimestamp() != nil || c.isDone(object) {
		return nil
	}
	secrets, err := watched.stage.renderSecrets(object)
	if err != nil {
		return err
	}
	entry := Entry{
		APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName(),
		StandIn: watched.stage.standIn,
	}
	for _, secret := range secrets {
		// One that is there is the person's own, or was made up before.
		_, err := c.client.CoreV1().Secrets(secret.Namespace).Create(ctx, secret, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making Secret %s: %w", secret.Name, err)
		}
		if err == nil {
			entry.Secrets = append(entry.Secrets, secret.Name)
		}
	}
	status, err := watched.stage.renderStatus(object)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": object.GetUID()}, "status": status})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	changed, err := c.objects.Resource(watched.resource).Namespace(object.GetNamespace()).
		Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, watched.subresource...)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if err := c.record.add(entry); err != nil {
		return err
	}
	c.mutex.Lock()
	c.done[object.GetUID()] = changed.GetGeneration()
	c.mutex.Unlock()
	return nil
}

func (c *Controller) isDone(object *unstructured.Unstructured) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	generation, known := c.done[object.GetUID()]
	return known && generation >= object.GetGeneration()
}

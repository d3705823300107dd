package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// connect returns a client with the administrator's rights.
func connect(folder Folder) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", folder.kubeconfigOf(identityAdmin))
	if err != nil {
		return nil, fmt.Errorf("reading the sandbox's kubeconfig: %w", err)
	}
	config.UserAgent = "gitops-bootstrap-engine"
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	return client, nil
}

// seed makes what a cluster has before anyone uses it: nodes and a default StorageClass. What exists is left alone.
func seed(ctx context.Context, client kubernetes.Interface, nodes int) error {
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			// The name and the provisioner are the ones that kwok's stages for volumes look for.
			Name:        "kwok-volume",
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: "kwok.x-k8s.io/volume",
	}
	if _, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the default StorageClass: %w", err)
	}
	for number := range nodes {
		node := newNode(number)
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making node %s: %w", node.Name, err)
		}
	}
	return nil
}

// newNode returns a node as a kubelet would register it. kwok gives it capacity without limits that matter.
func newNode(number int) *corev1.Node {
	name := fmt.Sprintf("sandbox-node-%d", number)
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:        name,
		Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
		Labels: map[string]string{
			corev1.LabelHostname:       name,
			corev1.LabelOSStable:       "linux",
			corev1.LabelArchStable:     "amd64",
			corev1.LabelTopologyRegion: "sandbox",
			corev1.LabelTopologyZone:   fmt.Sprintf("sandbox-%c", 'a'+number%3),
		},
	}}
}

// waitUsable returns once a pod could be made and scheduled: every node is Ready and untainted, and the namespace
// `default` has its ServiceAccount.
func waitUsable(ctx context.Context, client kubernetes.Interface) error {
	for {
		missing := usable(ctx, client)
		if missing == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return missing
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func usable(ctx context.Context, client kubernetes.Interface) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the nodes: %w", err)
	}
	for _, node := range nodes.Items {
		ready := false
		for _, condition := range node.Status.Conditions {
			ready = ready || condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		}
		if !ready || len(node.Spec.Taints) > 0 {
			return fmt.Errorf("node %s is not ready", node.Name)
		}
	}
	if _, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("the ServiceAccount of the namespace `default` is not there: %w", err)
	}
	return nil
}

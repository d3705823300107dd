package workload

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
)

func condition(status corev1.PodStatus, kind corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return corev1.PodCondition{}
}

func TestAPodIsReadyWhenAllItsContainersAre(t *testing.T) {
	pod := podOf("any", nil, nil)
	pod.UID = "0a1b2c3d-0000-0000-0000-000000000000"
	pod.Spec.InitContainers = []corev1.Container{{Name: "before"}}
	state := newPodState(pod)
	status := state.status(pod)
	if status.Phase != corev1.PodPending || condition(status, corev1.PodInitialized).Status != corev1.ConditionFalse {
		t.Errorf("at first: %+v", status)
	}
	state.initialized = true
	state.containers["main"].started = true
	status = state.status(pod)
	if status.Phase != corev1.PodRunning || condition(status, corev1.PodReady).Message != "containers with unready status: [main]" {
		t.Errorf("started: %+v", status)
	}
	state.containers["main"].ready = true
	status = state.status(pod)
	if condition(status, corev1.PodReady).Status != corev1.ConditionTrue || condition(status, corev1.ContainersReady).Status != corev1.ConditionTrue {
		t.Errorf("ready: %+v", status)
	}
	since := condition(status, corev1.PodReady).LastTransitionTime
	if again := condition(state.status(pod), corev1.PodReady).LastTransitionTime; !again.Equal(&since) {
		t.Error("a condition that did not change has a new time")
	}
}

func TestAContainerThatRanUnderAnEarlierRunnerCountsAsRestarted(t *testing.T) {
	pod := podOf("any", nil, nil)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "main", RestartCount: 2, State: running(time.Now().Add(-time.Minute)), ContainerID: "sandbox://1",
	}}
	pod.Status.StartTime = &metav1.Time{Time: time.Now().Add(-time.Hour).Round(time.Second)}
	state := newPodState(pod)
	status := state.status(pod)
	container := status.ContainerStatuses[0]
	if container.RestartCount != 3 || container.LastTerminationState.Terminated.ExitCode != 137 || container.Ready {
		t.Errorf("got %+v", container)
	}
	if !status.StartTime.Equal(pod.Status.StartTime) {
		t.Error("the pod has another start")
	}
}

func TestNoListenerOfAPodTakesTheNewsOfAnother(t *testing.T) {
	pod := newPod(&Runner{folder: cluster.Folder(t.TempDir())}, podOf("argocd-server", nil, []string{"argocd-server"}))
	// The second one does not block although nobody has heard the first.
	pod.sourceChanged()
	pod.sourceChanged()
	for name, listener := range map[string]chan struct{}{"what the pod waits for": pod.changed, "its volumes": pod.stale} {
		select {
		case <-listener:
		default:
			t.Errorf("%s: nothing was heard", name)
		}
	}
}

package workload

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// hostAddress is the address of every node, as kwok is told it; it is reserved for documentation (RFC 5737).
const hostAddress = "192.0.2.1"

// podAddress returns an address for a pod, the same for its life. It only has to look like one: nothing answers on it.
func podAddress(uid types.UID) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(uid))
	sum := hash.Sum32()
	return fmt.Sprintf("10.245.%d.%d", sum>>8&0xff, 1+sum%254)
}

// containerState is what is known of one container.
type containerState struct {
	// started says that the container's process runs.
	started  bool
	ready    bool
	restarts int32
	id       string
	state    corev1.ContainerState
	last     corev1.ContainerState
}

// podState is what the pod's status is made of.
type podState struct {
	started     metav1.Time
	initialized bool
	init        map[string]*containerState
	containers  map[string]*containerState
	// since is when each condition last changed.
	since map[corev1.PodConditionType]metav1.Time
	was   map[corev1.PodConditionType]corev1.ConditionStatus
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func running(since time.Time) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)}}
}

func terminated(code int, from, to time.Time, id string) corev1.ContainerState {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: reason, StartedAt: metav1.NewTime(from), FinishedAt: metav1.NewTime(to), ContainerID: id,
	}}
}

// newPodState begins with what the status of the pod says, so that a restarted runner goes on counting.
func newPodState(pod *corev1.Pod) *podState {
	state := &podState{
		started: metav1.Now(), init: map[string]*containerState{}, containers: map[string]*containerState{},
		since: map[corev1.PodConditionType]metav1.Time{}, was: map[corev1.PodConditionType]corev1.ConditionStatus{},
	}
	if pod.Status.StartTime != nil {
		state.started = *pod.Status.StartTime
	}
	for _, condition := range pod.Status.Conditions {
		state.since[condition.Type], state.was[condition.Type] = condition.LastTransitionTime, condition.Status
	}
	for _, container := range pod.Spec.InitContainers {
		state.init[container.Name] = &containerState{state: waiting("PodInitializing", "")}
	}
	for _, container := range pod.Spec.Containers {
		state.containers[container.Name] = &containerState{state: waiting("ContainerCreating", "")}
	}
	for _, before := range pod.Status.ContainerStatuses {
		container, known := state.containers[before.Name]
		if !known {
			continue
		}
		container.restarts, container.last = before.RestartCount, before.LastTerminationState
		if before.State.Running != nil {
			// Its process ended with the runner that had started it.
			container.restarts++
			container.last = terminated(137, before.State.Running.StartedAt.Time, time.Now(), before.ContainerID)
		}
	}
	return state
}

// status returns the status as a kubelet writes it.
func (s *podState) status(pod *corev1.Pod) corev1.PodStatus {
	status := corev1.PodStatus{
		Phase: corev1.PodPending, StartTime: &s.started, HostIP: hostAddress, HostIPs: []corev1.HostIP{{IP: hostAddress}},
		PodIP: podAddress(pod.UID), PodIPs: []corev1.PodIP{{IP: podAddress(pod.UID)}}, QOSClass: pod.Status.QOSClass,
	}
	unready := []string{}
	for _, container := range pod.Spec.Containers {
		state := s.containers[container.Name]
		if state.started || state.restarts > 0 {
			status.Phase = corev1.PodRunning
		}
		if !state.ready {
			unready = append(unready, container.Name)
		}
		status.ContainerStatuses = append(status.ContainerStatuses, state.containerStatus(container))
	}
	for _, container := range pod.Spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, s.init[container.Name].containerStatus(container))
	}
	uninitialized := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if !s.initialized {
		uninitialized.Status, uninitialized.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	if len(unready) > 0 {
		ready.Status, ready.Reason = corev1.ConditionFalse, "ContainersNotReady"
		ready.Message = "containers with unready status: [" + strings.Join(unready, " ") + "]"
	}
	containersReady := ready
	containersReady.Type = corev1.ContainersReady
	for _, condition := range []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}, uninitialized, containersReady, ready,
	} {
		condition.LastTransitionTime = s.transition(condition)
		status.Conditions = append(status.Conditions, condition)
	}
	return status
}

// transition returns when the condition became what it is.
func (s *podState) transition(condition corev1.PodCondition) metav1.Time {
	if s.was[condition.Type] != condition.Status {
		s.was[condition.Type], s.since[condition.Type] = condition.Status, metav1.Now()
	}
	return s.since[condition.Type]
}

func (c *containerState) containerStatus(container corev1.Container) corev1.ContainerStatus {
	started := c.started
	return corev1.ContainerStatus{
		Name: container.Name, Image: container.Image, ImageID: "sandbox://" + container.Image, ContainerID: c.id,
		Ready: c.ready, Started: &started, RestartCount: c.restarts, State: c.state, LastTerminationState: c.last,
	}
}

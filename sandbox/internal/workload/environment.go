package workload

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// objects is where ConfigMaps and Secrets are read. Both answer with an error that apierrors.IsNotFound knows.
type objects interface {
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	Secret(namespace, name string) (*corev1.Secret, error)
}

// errConfiguration is what keeps a container from being made until the cluster has what it refers to. Its text is the
// one that a kubelet writes as the message of CreateContainerConfigError.
type errConfiguration struct{ message string }

func (e errConfiguration) Error() string { return e.message }

func isConfiguration(err error) bool {
	var missing errConfiguration
	return errors.As(err, &missing)
}

// resolveEnvironment returns the variables of a container, as a kubelet makes them: envFrom first, then env in its
// order, with $(NAME) replaced by what was defined before.
func resolveEnvironment(pod *corev1.Pod, container *corev1.Container, from objects) (map[string]string, error) {
	result := map[string]string{}
	for _, source := range container.EnvFrom {
		values, err := sourceValues(pod.Namespace, source, from)
		if err != nil {
			return nil, err
		}
		for key, value := range values {
			result[source.Prefix+key] = value
		}
	}
	mapping := expansion.MappingFuncFor(result)
	for _, variable := range container.Env {
		if variable.ValueFrom == nil {
			result[variable.Name] = expansion.Expand(variable.Value, mapping)
			continue
		}
		value, found, err := valueFrom(pod, container, variable.ValueFrom, from)
		if err != nil {
			return nil, err
		}
		if found {
			result[variable.Name] = value
		}
	}
	return result, nil
}

func sourceValues(namespace string, source corev1.EnvFromSource, from objects) (map[string]string, error) {
	values := map[string]string{}
	switch {
	case source.ConfigMapRef != nil:
		configMap, err := from.ConfigMap(namespace, source.ConfigMapRef.Name)
		if absent, err := checkObject(err, "configmap", source.ConfigMapRef.Name, source.ConfigMapRef.Optional); absent || err != nil {
			return nil, err
		}
		values = configMap.Data
	case source.SecretRef != nil:
		secret, err := from.Secret(namespace, source.SecretRef.Name)
		if absent, err := checkObject(err, "secret", source.SecretRef.Name, source.SecretRef.Optional); absent || err != nil {
			return nil, err
		}
		for key, value := range secret.Data {
			values[key] = string(value)
		}
	}
	return values, nil
}

func valueFrom(pod *corev1.Pod, container *corev1.Container, source *corev1.EnvVarSource, from objects) (string, bool, error) {
	switch {
	case source.FieldRef != nil:
		value, err := fieldValue(pod, source.FieldRef.FieldPath)
		return value, err == nil, err
	case source.ConfigMapKeyRef != nil:
		reference := source.ConfigMapKeyRef
		configMap, err := from.ConfigMap(pod.Namespace, reference.Name)
		if absent, err := checkObject(err, "configmap", reference.Name, reference.Optional); absent || err != nil {
			return "", false, err
		}
		value, found := configMap.Data[reference.Key]
		return value, found, checkKey(found, "ConfigMap", pod.Namespace, reference.Name, reference.Key, reference.Optional)
	case source.SecretKeyRef != nil:
		reference := source.SecretKeyRef
		secret, err := from.Secret(pod.Namespace, reference.Name)
		if absent, err := checkObject(err, "secret", reference.Name, reference.Optional); absent || err != nil {
			return "", false, err
		}
		value, found := secret.Data[reference.Key]
		return string(value), found, checkKey(found, "Secret", pod.Namespace, reference.Name, reference.Key, reference.Optional)
	case source.ResourceFieldRef != nil:
		value, err := fieldpathResource(container, source.ResourceFieldRef)
		return value, err == nil, err
	}
	return "", false, nil
}

// checkObject says whether an optional object is absent; a missing one that is not optional is an error.
func checkObject(err error, kind, name string, optional *bool) (bool, error) {
	switch {
	case err == nil:
		return false, nil
	case apierrors.IsNotFound(err) && optional != nil && *optional:
		return true, nil
	case apierrors.IsNotFound(err):
		return false, errConfiguration{fmt.Sprintf("%s %q not found", kind, name)}
	}
	return false, fmt.Errorf("reading %s %q: %w", kind, name, err)
}

func checkKey(found bool, kind, namespace, name, key string, optional *bool) error {
	if found || optional != nil && *optional {
		return nil
	}
	return errConfiguration{fmt.Sprintf("couldn't find key %s in %s %s/%s", key, kind, namespace, name)}
}

// fieldValue reads a field of the pod; those of its status are not known to fieldpath.
func fieldValue(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return podAddress(pod.UID), nil
	case "status.hostIP", "status.hostIPs":
		return hostAddress, nil
	}
	value, err := fieldpath.ExtractFieldPathAsString(pod, path)
	if err != nil {
		return "", errConfiguration{err.Error()}
	}
	return value, nil
}

// fieldpathResource reads a limit or a request of the container. Without one a kubelet would give the node's capacity,
// which has no meaning here: it is left to the program's own default.
func fieldpathResource(container *corev1.Container, selector *corev1.ResourceFieldSelector) (string, error) {
	for prefix, list := range map[string]corev1.ResourceList{
		"limits.": container.Resources.Limits, "requests.": container.Resources.Requests,
	} {
		for name, quantity := range list {
			if selector.Resource != prefix+string(name) {
				continue
			}
			divisor := selector.Divisor.AsApproximateFloat64()
			if divisor == 0 {
				divisor = 1
			}
			return fmt.Sprintf("%.0f", quantity.AsApproximateFloat64()/divisor), nil
		}
	}
	return "0", nil
}

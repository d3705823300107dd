package standin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// functions are what templates may call.
var functions = func() template.FuncMap {
	functions := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name)
	}
	functions["condition"] = condition
	return functions
}()

// condition returns a condition that is True since now and for this generation of the object, as JSON, which is YAML too.
func condition(object map[string]any, kind, reason, message string) (string, error) {
	content, err := json.Marshal(metav1.Condition{
		Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(time.Now()),
		ObservedGeneration: (&unstructured.Unstructured{Object: object}).GetGeneration(),
	})
	return string(content), err
}

// renderStatus returns the status that the object gets.
func (s *Stage) renderStatus(object *unstructured.Unstructured) (map[string]any, error) {
	status := map[string]any{}
	if err := render(s.status, object, &status); err != nil {
		return nil, fmt.Errorf("the status: %w", err)
	}
	return status, nil
}

// renderSecrets returns the Secrets that belong to the object, in its namespace and owned by it.
func (s *Stage) renderSecrets(object *unstructured.Unstructured) ([]*corev1.Secret, error) {
	if s.secrets == nil {
		return nil, nil
	}
	secrets := []*corev1.Secret{}
	if err := render(s.secrets, object, &secrets); err != nil {
		return nil, fmt.Errorf("the Secrets: %w", err)
	}
	for _, secret := range secrets {
		if secret.Name == "" {
			return nil, fmt.Errorf("the Secrets: one of %s has no name", s.standIn)
		}
		if secret.Namespace == "" {
			secret.Namespace = object.GetNamespace()
		}
		if secret.Namespace == object.GetNamespace() {
			secret.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Name: object.GetName(), UID: object.GetUID(),
			}}
		}
	}
	return secrets, nil
}

func render(template *template.Template, object *unstructured.Unstructured, value any) error {
	var output bytes.Buffer
	if err := template.Execute(&output, object.Object); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if err := yaml.UnmarshalStrict(output.Bytes(), value); err != nil {
		return fmt.Errorf("the template of %s makes no such thing: %w", template.Name(), err)
	}
	return nil
}

package workload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/secret"
	"k8s.io/kubernetes/pkg/volume/util"
)

// tokens makes tokens of a pod's ServiceAccount.
type tokens interface {
	Token(ctx context.Context, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) (token string, expires time.Time, err error)
}

// volumes are the volumes of one pod as folders, written by the kubelet's own code: a change is one swap of a symlink,
// so a reader sees the old content or the new one.
type volumes struct {
	pod    *corev1.Pod
	folder string
	from   objects
	tokens tokens

	// issued keeps tokens until they are due, by volume and path.
	issued map[string]issuedToken
}

type issuedToken struct {
	token string
	renew time.Time
}

func newVolumes(pod *corev1.Pod, folder string, from objects, tokens tokens) *volumes {
	return &volumes{pod: pod, folder: folder, from: from, tokens: tokens, issued: map[string]issuedToken{}}
}

// path returns the folder of a volume.
func (v *volumes) path(name string) string { return filepath.Join(v.folder, name) }

// update makes every volume what it should be now. It is called again whenever a ConfigMap or a Secret has changed.
func (v *volumes) update(ctx context.Context) error {
	for i := range v.pod.Spec.Volumes {
		volume := &v.pod.Spec.Volumes[i]
		folder := v.path(volume.Name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("making volume %s: %w", volume.Name, err)
		}
		payload, err := v.payload(ctx, volume)
		if err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", volume.Name, err)
		}
		// An empty folder stands in for any kind of storage.
		if payload == nil {
			continue
		}
		for file, projection := range payload {
			// Everything that a sandbox writes is for its owner alone, whatever mode a pod asks for.
			projection.Mode &= 0o700
			payload[file] = projection
		}
		writer, err := util.NewAtomicWriter(folder, "volume "+volume.Name)
		if err != nil {
			return fmt.Errorf("writing volume %s: %w", volume.Name, err)
		}
		if err := writer.Write(payload, nil); err != nil {
			return fmt.Errorf("writing volume %s: %w", volume.Name, err)
		}
	}
	return nil
}

// renewal returns when the first token is due, or the zero time.
func (v *volumes) renewal() time.Time {
	var first time.Time
	for _, issued := range v.issued {
		if first.IsZero() || issued.renew.Before(first) {
			first = issued.renew
		}
	}
	return first
}

// payload returns the files of a volume, or nil for one that has no files of its own.
func (v *volumes) payload(ctx context.Context, volume *corev1.Volume) (map[string]util.FileProjection, error) {
	switch {
	case volume.ConfigMap != nil:
		return v.configMap(volume.ConfigMap.Name, volume.ConfigMap.Items, volume.ConfigMap.DefaultMode, volume.ConfigMap.Optional)
	case volume.Secret != nil:
		return v.secret(volume.Secret.SecretName, volume.Secret.Items, volume.Secret.DefaultMode, volume.Secret.Optional)
	case volume.DownwardAPI != nil:
		return v.downward(volume.DownwardAPI.Items)
	case volume.Projected == nil:
		return nil, nil
	}
	files := map[string]util.FileProjection{}
	for i := range volume.Projected.Sources {
		source, err := v.source(ctx, volume.Name, &volume.Projected.Sources[i], volume.Projected.DefaultMode)
		if err != nil {
			return nil, err
		}
		for path, file := range source {
			files[path] = file
		}
	}
	return files, nil
}

func (v *volumes) source(ctx context.Context, volume string, source *corev1.VolumeProjection, mode *int32) (map[string]util.FileProjection, error) {
	switch {
	case source.ConfigMap != nil:
		return v.configMap(source.ConfigMap.Name, source.ConfigMap.Items, mode, source.ConfigMap.Optional)
	case source.Secret != nil:
		return v.secret(source.Secret.Name, source.Secret.Items, mode, source.Secret.Optional)
	case source.DownwardAPI != nil:
		return v.downward(source.DownwardAPI.Items)
	case source.ServiceAccountToken != nil:
		token, err := v.token(ctx, volume, source.ServiceAccountToken)
		if err != nil {
			return nil, err
		}
		return map[string]util.FileProjection{source.ServiceAccountToken.Path: {Data: []byte(token), Mode: 0o600}}, nil
	}
	return nil, nil
}

func (v *volumes) configMap(name string, items []corev1.KeyToPath, mode *int32, optional *bool) (map[string]util.FileProjection, error) {
	object, err := v.from.ConfigMap(v.pod.Namespace, name)
	if absent, err := absentVolume(err, "configmap", name, optional); err != nil {
		return nil, err
	} else if absent {
		object = &corev1.ConfigMap{}
	}
	return configmap.MakePayload(items, object, mode, optional != nil && *optional)
}

func (v *volumes) secret(name string, items []corev1.KeyToPath, mode *int32, optional *bool) (map[string]util.FileProjection, error) {
	object, err := v.from.Secret(v.pod.Namespace, name)
	if absent, err := absentVolume(err, "secret", name, optional); err != nil {
		return nil, err
	} else if absent {
		object = &corev1.Secret{}
	}
	return secret.MakePayload(items, object, mode, optional != nil && *optional)
}

func absentVolume(err error, kind, name string, optional *bool) (bool, error) {
	if err != nil && apierrors.IsNotFound(err) && (optional == nil || !*optional) {
		return false, fmt.Errorf("%s %q not found", kind, name)
	}
	return checkObject(err, kind, name, optional)
}

func (v *volumes) downward(items []corev1.DownwardAPIVolumeFile) (map[string]util.FileProjection, error) {
	files := map[string]util.FileProjection{}
	for _, item := range items {
		if item.FieldRef == nil {
			continue
		}
		value, err := fieldValue(v.pod, item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		files[item.Path] = util.FileProjection{Data: []byte(value), Mode: 0o600}
	}
	return files, nil
}

// token returns the token that was issued before, or a new one after four fifths of its life, as a kubelet does.
func (v *volumes) token(ctx context.Context, volume string, source *corev1.ServiceAccountTokenProjection) (string, error) {
	key := volume + "/" + source.Path
	if issued := v.issued[key]; time.Now().Before(issued.renew) {
		return issued.token, nil
	}
	token, expires, err := v.tokens.Token(ctx, v.pod, source)
	if err != nil {
		return "", fmt.Errorf("failed to fetch token: %w", err)
	}
	v.issued[key] = issuedToken{token, time.Now().Add(time.Until(expires) * 4 / 5)}
	return token, nil
}

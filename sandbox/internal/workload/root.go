package workload

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// root is a folder that looks like a container's file system as far as its mounts go: each mount path is a symlink to
// the volume. The program is told of it by its variables and arguments, for it is not confined to it.
type root struct {
	folder string
	mounts []string
}

// newRoot makes the folder for the container's mounts.
func newRoot(folder string, container *corev1.Container, volume func(name string) string) (*root, error) {
	mounts := slices.Clone(container.VolumeMounts)
	// A mount below another one is made inside the outer volume, as a container runtime does it.
	slices.SortFunc(mounts, func(a, b corev1.VolumeMount) int { return len(a.MountPath) - len(b.MountPath) })
	result := &root{folder: folder}
	for _, mount := range mounts {
		place := result.path(mount.MountPath)
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return nil, fmt.Errorf("making the mount point %s: %w", mount.MountPath, err)
		}
		target := filepath.Join(volume(mount.Name), filepath.FromSlash(mount.SubPath))
		if current, err := os.Readlink(place); err != nil || current != target {
			if err := os.RemoveAll(place); err != nil {
				return nil, fmt.Errorf("clearing the mount point %s: %w", mount.MountPath, err)
			}
			if err := os.Symlink(target, place); err != nil {
				return nil, fmt.Errorf("mounting %s at %s: %w", mount.Name, mount.MountPath, err)
			}
		}
		result.mounts = append(result.mounts, filepath.Clean(mount.MountPath))
	}
	for _, needed := range []string{"/tmp", "/home/argocd", "/app/config/gpg/keys", "/app/config/gpg/source"} {
		if err := os.MkdirAll(result.path(needed), 0o700); err != nil {
			return nil, fmt.Errorf("making %s of the container: %w", needed, err)
		}
	}
	return result, nil
}

// path returns where a path of the container is on this machine.
func (r *root) path(path string) string { return filepath.Join(r.folder, filepath.FromSlash(path)) }

// translate returns a value of a variable or an argument with a path below a mount replaced by where that is.
func (r *root) translate(value string) string {
	prefix, path := "", value
	// An argument may be --flag=/path.
	if strings.HasPrefix(value, "-") {
		if before, after, found := strings.Cut(value, "="); found {
			prefix, path = before+"=", after
		}
	}
	for _, mount := range r.mounts {
		if path == mount || strings.HasPrefix(path, mount+"/") {
			return prefix + r.path(path)
		}
	}
	return value
}

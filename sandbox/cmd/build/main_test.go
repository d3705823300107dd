package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAChangedFileOfAModuleIsRefused(t *testing.T) {
	module, target := t.TempDir(), t.TempDir()
	for _, asset := range assets {
		path := filepath.Join(module, filepath.FromSlash(asset.source))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("another content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := copyAssets(func(string) (string, error) { return module, nil }, target)
	if err == nil || !strings.Contains(err.Error(), "pinned is "+assets[0].sha256) {
		t.Fatalf("a changed file was accepted: %v", err)
	}
	if entries, _ := os.ReadDir(target); len(entries) != 0 {
		t.Fatalf("a refused file was written: %v", entries)
	}
}

func TestThePinsMatchTheModulesOfGoMod(t *testing.T) {
	target := t.TempDir()
	if err := copyAssets(moduleFolder, target); err != nil {
		t.Fatal(err)
	}
	for _, asset := range assets {
		if _, err := os.Stat(filepath.Join(target, asset.target)); err != nil {
			t.Error(err)
		}
	}
}

func TestVersionsAreStamped(t *testing.T) {
	flags, err := linkerFlags(func(module string) (string, error) {
		return map[string]string{"k8s.io/kubernetes": "v1.36.1", argocdModule: "v3.5.7"}[module], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"k8s.io/client-go/pkg/version.gitVersion=v1.36.1",
		"k8s.io/component-base/version.gitMinor=36",
		"argo-cd/v3/common.gitTag=v3.5.7",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q is not in %q", want, flags)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"slices"
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
		return map[string]string{"k8s.io/kubernetes": "v1.36.1", argocdModule: "v3.5.7", sealedSecretsModule: "v0.40.0"}[module], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"k8s.io/client-go/pkg/version.gitVersion=v1.36.1",
		"k8s.io/component-base/version.gitMinor=36",
		"argo-cd/v3/common.gitTag=v3.5.7",
		"sandbox/generated/kubeseal.VERSION=v0.40.0",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q is not in %q", want, flags)
		}
	}
}

func TestATextThatIsNotThereOnceFailsTheBuild(t *testing.T) {
	for _, file := range slices.Concat(generated, changed) {
		for _, edit := range file.edits {
			if _, err := file.apply([]byte(strings.Repeat(edit.old, 2))); err == nil || !strings.Contains(err.Error(), "expected once") {
				t.Errorf("%s: an ambiguous text was changed: %v", file.source, err)
			}
		}
		if _, err := file.apply(nil); err == nil || !strings.Contains(err.Error(), "0 times") {
			t.Errorf("%s: a missing text was not noticed: %v", file.source, err)
		}
	}
}

func TestTheEditsMatchTheModulesOfGoMod(t *testing.T) {
	if err := generate(moduleFolder, t.TempDir()); err != nil {
		t.Error(err)
	}
	for _, file := range changed {
		if _, err := file.read(moduleFolder); err != nil {
			t.Error(err)
		}
	}
}

func TestAChangedModuleIsCopiedAsFarAsItIsUsed(t *testing.T) {
	module, err := moduleFolder(argocdModule)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := os.WriteFile(name, []byte("module example.org/m\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := changed
	defer func() { changed = before }()
	changed = changed[:1]
	listed := listedPackage{Dir: filepath.Join(module, "controller"), GoFiles: []string{"appcontroller.go"}}
	listed.Module = &struct{ Path, Dir string }{argocdModule, module}
	os.MkdirAll(".build/left", 0o755)
	modfile, err := copyModules([]listedPackage{listed, {Dir: "/elsewhere", GoFiles: []string{"a.go"}}}, ".build")
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(filepath.Join(".build", argocdModule, "controller", "appcontroller.go"))
	if err != nil || !strings.Contains(string(copied), `"127.0.0.1:%d"`) || strings.Contains(string(copied), "0.0.0.0") {
		t.Errorf("the copy is not changed: %v", err)
	}
	if content, _ := os.ReadFile(modfile); !strings.Contains(string(content), argocdModule+" => ./.build/"+argocdModule) {
		t.Errorf("the modules are %s", content)
	}
	if _, err := os.Stat(".build/left"); err == nil {
		t.Error("what an ended build left is still there")
	}
}

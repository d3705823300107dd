package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An edit replaces a text of a source file that must be there exactly once.
type edit struct{ old, new string }

// A changedSource is a Go file of a module that the engine compiles with edits.
type changedSource struct {
	module string // module path
	source string // path inside the module
	target string // path inside this module, for a file of a package of ours
	edits  []edit
}

// generated are commands of modules that cannot be imported, since their package is main. Each becomes a package here that is not under
// version control, with the command as its function Main.
var generated = []changedSource{
	{sealedSecretsModule, "cmd/controller/main.go", "generated/sealedcontroller/main.go", importable("sealedcontroller")},
	{sealedSecretsModule, "cmd/kubeseal/main.go", "generated/kubeseal/main.go", importable("kubeseal")},
}

func importable(name string) []edit {
	return []edit{
		{"package main\n", "// Package " + name + " is a command of " + sealedSecretsModule + ", made importable by cmd/build.\npackage " + name + "\n"},
		{"func main() {", "// Main runs the command on os.Args.\nfunc Main() {"},
	}
}

// changed are files of modules that are compiled with edits. `go build -overlay` refuses files of the module cache, so the packages of their
// modules that the engine is made of are copied, and a go.mod of the build alone names the copies. Everything compiles without the edits
// too, so vet and tests do without.
var changed = []changedSource{
	{
		// There is no flag for the address.
		module: argocdModule, source: "controller/appcontroller.go",
		edits: []edit{{`fmt.Sprintf("0.0.0.0:%d", metricsPort)`, `fmt.Sprintf("127.0.0.1:%d", metricsPort)`}},
	},
	{
		// The files of a pod's ServiceAccount have a fixed place, which is no place of ours.
		module: sealedSecretsModule, source: "pkg/controller/main.go",
		edits: []edit{
			{`"k8s.io/client-go/rest"`, `"k8s.io/client-go/tools/clientcmd"`},
			{`rest.InClusterConfig()`, `clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))`},
		},
	},
}

// apply returns the content with each edit made.
func (c changedSource) apply(content []byte) ([]byte, error) {
	text := string(content)
	for _, edit := range c.edits {
		if count := strings.Count(text, edit.old); count != 1 {
			return nil, fmt.Errorf("%s of %s has the text %q %d times, expected once: "+
				"after an upgrade of the module, review the file and change cmd/build/sources.go", c.source, c.module, edit.old, count)
		}
		text = strings.Replace(text, edit.old, edit.new, 1)
	}
	return []byte(text), nil
}

func (c changedSource) read(folderOf func(module string) (string, error)) ([]byte, error) {
	content, err := readSource(folderOf, c.module, c.source)
	if err != nil {
		return nil, err
	}
	return c.apply(content)
}

// generate writes the packages that are made of other modules' commands below the folder of this module.
func generate(folderOf func(module string) (string, error), folder string) error {
	for _, command := range generated {
		content, err := command.read(folderOf)
		if err != nil {
			return err
		}
		if err := writeTarget(folder, command.target, content); err != nil {
			return err
		}
	}
	return nil
}

// workshop is the folder of the copies while the engine is compiled. It is a relative path, for the engine names it as where these modules
// came from, and the build is the same for the same sources. The go command passes over folders that begin with a dot.
const workshop = ".build"

// A listedPackage is what `go list -json` says of a package.
type listedPackage struct {
	Dir                             string
	Module                          *struct{ Path, Dir string }
	GoFiles, OtherFiles, EmbedFiles []string
}

// copyModules copies the modules with edits, as far as these packages are of them, below the folder and makes the edits there. It returns
// the go.mod file to build with.
func copyModules(packages []listedPackage, folder string) (string, error) {
	// A file that an ended build left behind may be in no package any more.
	if err := os.RemoveAll(folder); err != nil {
		return "", fmt.Errorf("clearing the folder of copied modules: %w", err)
	}
	modfile := filepath.Join(folder, "go.mod")
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("reading the list of modules: %w", err)
		}
		if err := writeTarget(folder, name, content); err != nil {
			return "", err
		}
	}
	edits := map[string][]changedSource{}
	for _, file := range changed {
		edits[file.module] = append(edits[file.module], file)
	}
	for _, listed := range packages {
		if listed.Module == nil || edits[listed.Module.Path] == nil {
			continue
		}
		copied := filepath.Join(folder, filepath.FromSlash(listed.Module.Path))
		within, err := filepath.Rel(listed.Module.Dir, listed.Dir)
		if err != nil {
			return "", fmt.Errorf("finding a package of %s: %w", listed.Module.Path, err)
		}
		for _, name := range slices.Concat(listed.GoFiles, listed.OtherFiles, listed.EmbedFiles) {
			if err := copyFile(listed.Module.Dir, copied, filepath.Join(within, filepath.FromSlash(name))); err != nil {
				return "", err
			}
		}
		if err := copyFile(listed.Module.Dir, copied, "go.mod"); err != nil {
			return "", err
		}
	}
	for module, files := range edits {
		copied := filepath.Join(folder, filepath.FromSlash(module))
		for _, file := range files {
			content, err := file.read(func(string) (string, error) { return copied, nil })
			if err != nil {
				return "", err
			}
			if err := writeTarget(copied, file.source, content); err != nil {
				return "", err
			}
		}
		if _, err := goCommand("mod", "edit", "-replace="+module+"=./"+filepath.ToSlash(copied), modfile); err != nil {
			return "", err
		}
	}
	return modfile, nil
}

func copyFile(from, to, name string) error {
	content, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		return fmt.Errorf("copying a module: %w", err)
	}
	return writeTarget(to, name, content)
}

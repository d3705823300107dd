// Command build makes the engine: it copies the embedded files out of the modules that own them, checks them, and
// compiles. Run it in the module's folder:
//
//	go run ./cmd/build -o gitops-bootstrap-engine
//
// Progress goes to standard error: first a line `packages N` with the number of packages to compile, then the
// compiler's own line for each package that is not cached yet.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

func main() {
	output := flag.String("o", "gitops-bootstrap-engine", "file to write the engine to")
	assetsOnly := flag.Bool("assets-only", false, "copy and check the embedded files, compile nothing")
	sources := flag.String("sources", "", "hash of these sources, for the engine to say of what it was built")
	flag.Parse()
	if err := build(*output, *sources, *assetsOnly); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func build(output, sources string, assetsOnly bool) error {
	if err := copyAssets(moduleFolder, "assets"); err != nil {
		return err
	}
	if err := generate(moduleFolder, "."); err != nil {
		return err
	}
	if assetsOnly {
		return nil
	}
	flags, err := linkerFlags(moduleVersion)
	if err != nil {
		return err
	}
	if sources != "" {
		flags += " -X main.sources=" + sources
	}
	packages, err := listPackages()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "packages %d\n", len(packages))
	defer os.RemoveAll(workshop)
	modfile, err := copyModules(packages, workshop)
	if err != nil {
		return err
	}
	compile := exec.Command("go", "build", "-v", "-trimpath", "-modfile", modfile, "-ldflags", flags, "-o", output, ".")
	compile.Stdout, compile.Stderr = os.Stderr, os.Stderr
	if err := compile.Run(); err != nil {
		return fmt.Errorf("compiling the engine: %w", err)
	}
	return nil
}

// copyAssets writes every pinned file into the folder. It writes nothing whose content is not the pinned one.
func copyAssets(folderOf func(module string) (string, error), folder string) error {
	for _, asset := range assets {
		content, err := readSource(folderOf, asset.module, asset.source)
		if err != nil {
			return err
		}
		if err := asset.check(content); err != nil {
			return err
		}
		if err := writeTarget(folder, asset.target, content); err != nil {
			return err
		}
	}
	return nil
}

// readSource reads a file of a module.
func readSource(folderOf func(module string) (string, error), module, source string) ([]byte, error) {
	folder, err := folderOf(module)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(source)))
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", source, module, err)
	}
	return content, nil
}

// writeTarget writes a file below the folder. One with that content already is left alone, so that what was compiled stays fresh.
func writeTarget(folder, name string, content []byte) error {
	target := filepath.Join(folder, filepath.FromSlash(name))
	if existing, err := os.ReadFile(target); err == nil && bytes.Equal(existing, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("making the folder of %s: %w", name, err)
	}
	if err := os.WriteFile(target, content, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (a asset) check(content []byte) error {
	sum := sha256.Sum256(content)
	if found := hex.EncodeToString(sum[:]); found != a.sha256 {
		return fmt.Errorf("%s of %s has SHA-256 %s, pinned is %s: "+
			"after an upgrade of the module, review the file and change cmd/build/pins.go", a.source, a.module, found, a.sha256)
	}
	return nil
}

// linkerFlags strips the symbol tables and stamps the versions that the programs report. Kubernetes clients fail to
// parse the default of an unstamped build, and Argo CD calls itself 99.99.99.
func linkerFlags(versionOf func(module string) (string, error)) (string, error) {
	kubernetes, err := versionOf("k8s.io/kubernetes")
	if err != nil {
		return "", err
	}
	argocd, err := versionOf(argocdModule)
	if err != nil {
		return "", err
	}
	numbers := strings.SplitN(strings.TrimPrefix(kubernetes, "v"), ".", 3)
	if len(numbers) != 3 {
		return "", fmt.Errorf("the version of k8s.io/kubernetes is %q, expected vMAJOR.MINOR.PATCH", kubernetes)
	}
	sealedSecrets, err := versionOf(sealedSecretsModule)
	if err != nil {
		return "", err
	}
	// The build is the same for the same sources, so the date is none.
	const date = "1970-01-01T00:00:00Z"
	stamps := []string{}
	for _, target := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		stamps = append(stamps,
			target+".gitVersion="+kubernetes, target+".gitMajor="+numbers[0], target+".gitMinor="+numbers[1],
			target+".gitCommit="+kubernetes, target+".gitTreeState=clean", target+".buildDate="+date)
	}
	// Argo CD reports the tag alone when the tree is clean and a commit is known.
	common := argocdModule + "/common"
	stamps = append(stamps,
		common+".version="+strings.TrimPrefix(argocd, "v"), common+".gitTag="+argocd, common+".gitCommit="+argocd,
		common+".gitTreeState=clean", common+".buildDate="+date)
	for _, program := range generated {
		stamps = append(stamps, engineModule+"/"+path.Dir(program.target)+".VERSION="+sealedSecrets)
	}
	return "-s -w -X " + strings.Join(stamps, " -X "), nil
}

// listPackages returns the packages that the engine is made of.
func listPackages() ([]listedPackage, error) {
	output, err := goCommand("list", "-deps", "-json=Dir,Module,GoFiles,OtherFiles,EmbedFiles", ".")
	if err != nil {
		return nil, err
	}
	packages := []listedPackage{}
	for decoder := json.NewDecoder(strings.NewReader(output)); decoder.More(); {
		var listed listedPackage
		if err := decoder.Decode(&listed); err != nil {
			return nil, fmt.Errorf("reading the list of packages: %w", err)
		}
		packages = append(packages, listed)
	}
	return packages, nil
}

func moduleFolder(module string) (string, error) { return moduleField(module, "Dir") }

func moduleVersion(module string) (string, error) { return moduleField(module, "Version") }

func moduleField(module, field string) (string, error) {
	value, err := goCommand("list", "-m", "-f", "{{."+field+"}}", module)
	if err == nil && value == "" {
		// A module that is not downloaded yet has no folder.
		if _, err = goCommand("mod", "download", module); err == nil {
			value, err = goCommand("list", "-m", "-f", "{{."+field+"}}", module)
		}
	}
	if err != nil {
		return "", fmt.Errorf("looking up module %s: %w", module, err)
	}
	return value, nil
}

func goCommand(arguments ...string) (string, error) {
	command := exec.Command("go", arguments...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(arguments, " "), err)
	}
	return strings.TrimSpace(string(output)), nil
}

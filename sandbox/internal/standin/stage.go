// Package standin gives custom resources the status that their controllers would give, where the controllers cannot run.
//
// What it does is written in files of stages, one for each controller that is stood in for:
//
//	stages:
//	- apiVersion: cert-manager.io/*     # patterns of path.Match, over group/version
//	  kind: Certificate
//	  except: [Kind, ...]               # kinds that a pattern does not mean
//	  status: |                         # a template of text/template over the object; its YAML is merged into the status
//	    conditions: [{{ condition . "Ready" "Issued" "a stand-in of the sandbox" }}]
//	  secrets: |                        # optional: a template whose YAML is a list of Secrets for the object's namespace
//	    - metadata: {name: {{ .spec.secretName | quote }}}
//	      stringData: {key: value}
//
// Templates have the functions of sprig that do not look at the machine, and `condition OBJECT TYPE REASON MESSAGE`, which
// makes a condition that is True. The first stage that means a kind counts.
package standin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// Default is the name of the stages that the engine holds.
const Default = "default"

// realKinds are those whose controllers run in a sandbox, and must not be stood in for, as KIND.GROUP.
var realKinds = []string{"Application.argoproj.io", "ApplicationSet.argoproj.io", "AppProject.argoproj.io", "SealedSecret.bitnami.com"}

// isReal says whether the controller of the kind runs in a sandbox.
func isReal(apiVersion, kind string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	return slices.Contains(realKinds, kind+"."+group)
}

// A Stage says what objects of some kinds get.
type Stage struct {
	// APIVersion and Kind are patterns of path.Match.
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Except     []string `yaml:"except"`
	Status     text     `yaml:"status"`
	Secrets    text     `yaml:"secrets"`

	// standIn is the controller that is stood in for: the name of the file.
	standIn string
	status  *template.Template
	secrets *template.Template
}

// text is a scalar that remembers on which line of its file its content begins.
type text struct {
	content string
	line    int
}

// UnmarshalYAML reads the scalar.
func (t *text) UnmarshalYAML(node *yaml.Node) error {
	if err := node.Decode(&t.content); err != nil {
		return err
	}
	t.line = node.Line
	if node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		t.line++
	}
	return nil
}

// compile parses the template. Its errors, now and when it is executed, name the file and the line in it.
func (t text) compile(file string) (*template.Template, error) {
	padded := strings.Repeat("\n", max(t.line-1, 0)) + t.content
	parsed, err := template.New(file).Funcs(functions).Parse(padded)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return parsed, nil
}

// Read reads every file of stages (*.yaml) in a folder, in the order of their names. Errors name the file and the line.
func Read(folder fs.FS) ([]*Stage, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the stand-ins: %w", err)
	}
	if len(names) == 0 {
		return nil, errors.New("no file there is named *.yaml")
	}
	stages, problems := []*Stage{}, []error{}
	for _, name := range names {
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, fmt.Errorf("reading a stand-in: %w", err)
		}
		read, err := parse(name, content)
		stages, problems = append(stages, read...), append(problems, err)
	}
	return stages, errors.Join(problems...)
}

func parse(name string, content []byte) ([]*Stage, error) {
	var file struct {
		Stages []yaml.Node `yaml:"stages"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1: the file is empty, expected `stages:`", name)
		}
		return nil, positioned(name, err)
	}
	stages, problems := []*Stage{}, []error{}
	for i := range file.Stages {
		stage, err := parseStage(name, &file.Stages[i])
		stages, problems = append(stages, stage), append(problems, err)
	}
	return stages, errors.Join(problems...)
}

func parseStage(name string, node *yaml.Node) (*Stage, error) {
	stage := &Stage{standIn: strings.TrimSuffix(name, ".yaml")}
	if err := known(name, node, "apiVersion", "kind", "except", "status", "secrets"); err != nil {
		return nil, err
	}
	if err := node.Decode(stage); err != nil {
		return nil, positioned(name, err)
	}
	var problem string
	switch {
	case stage.APIVersion == "" || stage.Kind == "" || stage.Status.content == "":
		problem = "a stage needs apiVersion, kind and status"
	case !strings.Contains(stage.APIVersion, "/"):
		problem = fmt.Sprintf("apiVersion is %q, expected GROUP/VERSION", stage.APIVersion)
	case isReal(stage.APIVersion, stage.Kind):
		problem = "the real controller of " + stage.Kind + " runs in the sandbox"
	}
	for _, pattern := range []string{stage.APIVersion, stage.Kind} {
		if _, err := path.Match(pattern, ""); err != nil && problem == "" {
			problem = fmt.Sprintf("%q is no pattern", pattern)
		}
	}
	if problem != "" {
		return nil, fmt.Errorf("%s:%d: %s", name, node.Line, problem)
	}
	var err error
	if stage.status, err = stage.Status.compile(name); err != nil {
		return nil, err
	}
	if stage.Secrets.content != "" {
		stage.secrets, err = stage.Secrets.compile(name)
	}
	return stage, err
}

// known refuses other keys than these: a node is decoded without the strictness of its decoder.
func known(name string, node *yaml.Node, keys ...string) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: a stage is a mapping with apiVersion, kind and status", name, node.Line)
	}
	for i := 0; i < len(node.Content); i += 2 {
		if key := node.Content[i]; !slices.Contains(keys, key.Value) {
			return fmt.Errorf("%s:%d: a stage has no %q; it has %s", name, key.Line, key.Value, strings.Join(keys, ", "))
		}
	}
	return nil
}

// positioned turns the places in an error of the YAML library ("yaml: line 3: ...") into FILE:LINE.
func positioned(name string, err error) error {
	var kinds *yaml.TypeError
	lines := []string{err.Error()}
	if errors.As(err, &kinds) {
		lines = kinds.Errors
	}
	problems := []error{}
	for _, line := range lines {
		line = strings.TrimPrefix(line, "yaml: ")
		if rest, found := strings.CutPrefix(line, "line "); found {
			problems = append(problems, fmt.Errorf("%s:%s", name, rest))
		} else {
			problems = append(problems, fmt.Errorf("%s: %s", name, line))
		}
	}
	return errors.Join(problems...)
}

// find returns the first stage that means the kind, or nil.
func find(stages []*Stage, apiVersion, kind string) *Stage {
	if isReal(apiVersion, kind) {
		return nil
	}
	for _, stage := range stages {
		if matches(stage.APIVersion, apiVersion) && matches(stage.Kind, kind) && !slices.Contains(stage.Except, kind) {
			return stage
		}
	}
	return nil
}

func matches(pattern, value string) bool {
	// The patterns were checked when they were read.
	found, _ := path.Match(pattern, value)
	return found
}

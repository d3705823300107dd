package forge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// service is one of the two halves of Git's protocol.
type service string

const (
	uploadPack  service = "git-upload-pack"
	receivePack service = "git-receive-pack"
)

// needs is the right that a service asks for.
func (s service) needs() right {
	if s == receivePack {
		return rightWrite
	}
	return rightRead
}

var (
	ownerPattern = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$`)
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// validName tells whether both parts may name a repository; what it lets through is also a safe file name.
func validName(owner, name string) bool {
	return ownerPattern.MatchString(owner) && namePattern.MatchString(name) &&
		name != "." && name != ".." && !strings.HasSuffix(name, ".git") && !strings.HasPrefix(name, "-")
}

// splitPath takes OWNER/NAME or OWNER/NAME.git apart, with at most one slash before it, and nothing else. The groups of
// other hosts are one owner here, with hyphens between them: GROUP/SUBGROUP/NAME is NAME of GROUP-SUBGROUP.
func splitPath(path string) (owner, name string, ok bool) {
	path = strings.TrimPrefix(path, "/")
	last := strings.LastIndexByte(path, '/')
	if last < 0 {
		return "", "", false
	}
	owner = strings.ReplaceAll(path[:last], "/", "-")
	name = strings.TrimSuffix(path[last+1:], ".git")
	return owner, name, validName(owner, name) && !strings.Contains(path, "//")
}

// findRepository finds a repository by the path of a Git request, also by a former name, as GitHub does.
func (s *server) findRepository(path string) *repository {
	owner, name, ok := splitPath(path)
	if !ok {
		return nil
	}
	known := s.store.current()
	if found := known.repository(owner, name); found != nil {
		return found
	}
	return known.renamed(owner, name)
}

// repositoryFolder is where a repository's bare clone lies. It is named by the id, so nothing of a request is in it and
// a new name moves nothing.
func (s *server) repositoryFolder(r *repository) string {
	return filepath.Join(s.options.Folder, RepositoriesFolder, decimal(r.ID)+".git")
}

// gitCommand prepares the installed git with a closed environment: no configuration, hooks or credentials of the
// person who runs the sandbox.
func (s *server) gitCommand(ctx context.Context, protocol string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "core.hooksPath=/dev/null"}, arguments...)...)
	command.Dir = s.options.Folder
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + s.options.Folder,
		"LANG=C.UTF-8",
		"TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0",
	}
	if protocol != "" {
		command.Env = append(command.Env, "GIT_PROTOCOL="+protocol)
	}
	command.WaitDelay = 2 * time.Second
	return command
}

// git runs one git command in a repository, feeds it input and returns its output without the last newline.
func (s *server) git(ctx context.Context, r *repository, input string, arguments ...string) (string, error) {
	command := s.gitCommand(ctx, "", append([]string{"--git-dir", s.repositoryFolder(r)}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	var output, complaint bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaint
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("git %s in %s: %w: %s", arguments[0], r.fullName(), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSuffix(output.String(), "\n"), nil
}

// initRepository makes the empty bare repository. What an interrupted creation left in its place is removed.
func (s *server) initRepository(ctx context.Context, r *repository) error {
	folder := s.repositoryFolder(r)
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("clear the place of %s: %w", r.fullName(), err)
	}
	command := s.gitCommand(ctx, "", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", folder)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git init of %s: %w: %s", r.fullName(), err, bytes.TrimSpace(output))
	}
	for name, value := range map[string]string{
		// A repack in the background would outlive the push, and the sandbox.
		"receive.autogc":                "false",
		"gc.auto":                       "0",
		"uploadpack.allowFilter":        "true",
		"uploadpack.allowAnySHA1InWant": "true",
		"core.logAllRefUpdates":         "true",
	} {
		if _, err := s.git(ctx, r, "", "config", name, value); err != nil {
			return err
		}
	}
	return nil
}

// talk connects one side of Git's protocol to streams and returns when it is over. Its exit status is that of git; an
// error means that git could not be run at all.
func (s *server) talk(ctx context.Context, r *repository, with service, protocol string, flags []string,
	input io.Reader, output, complaints io.Writer) (int, error) {
	arguments := append([]string{strings.TrimPrefix(string(with), "git-")}, flags...)
	command := s.gitCommand(ctx, protocol, append(arguments, s.repositoryFolder(r))...)
	command.Stdout, command.Stderr = output, complaints
	// With cmd.Stdin, Wait would wait for a client that keeps its side open after git has ended.
	stdin, err := command.StdinPipe()
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", with, err)
	}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", with, err)
	}
	go func() {
		defer stdin.Close()
		// An error here is the client's or git's end, which git's exit status tells.
		_, _ = io.Copy(stdin, input)
	}()
	err = command.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	default:
		return 128, nil
	}
	if with == receivePack {
		return 0, s.afterPush(ctx, r)
	}
	return 0, nil
}

// afterPush makes the first pushed branch the default one, as GitHub does for an empty repository.
func (s *server) afterPush(ctx context.Context, r *repository) error {
	branches, err := s.branches(ctx, r)
	if err != nil {
		return err
	}
	standard, err := s.defaultBranch(ctx, r)
	if err != nil {
		return err
	}
	for _, branch := range branches {
		if branch.name == standard {
			return nil
		}
	}
	if len(branches) > 0 {
		return s.setDefaultBranch(ctx, r, branches[0].name)
	}
	return nil
}

type branch struct{ name, commit string }

// branches lists a repository's branches by name.
func (s *server) branches(ctx context.Context, r *repository) ([]branch, error) {
	output, err := s.git(ctx, r, "", "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads/")
	if err != nil {
		return nil, err
	}
	var found []branch
	for line := range strings.Lines(output) {
		commit, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		found = append(found, branch{name, commit})
	}
	return found, nil
}

func (s *server) defaultBranch(ctx context.Context, r *repository) (string, error) {
	return s.git(ctx, r, "", "symbolic-ref", "--short", "HEAD")
}

func (s *server) setDefaultBranch(ctx context.Context, r *repository, name string) error {
	_, err := s.git(ctx, r, "", "symbolic-ref", "HEAD", "refs/heads/"+name)
	return err
}

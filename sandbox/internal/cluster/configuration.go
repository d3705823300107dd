package cluster

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed audit-policy.yaml
var auditPolicy []byte

// Assets are the embedded files that a sandbox writes into its folder.
type Assets struct {
	// Stages is the configuration of kwok.
	Stages []byte
	// GitVerifyWrapper is the script that Argo CD's repo-server calls for every revision.
	GitVerifyWrapper []byte
	// StandIns are folders of stages for controllers that cannot run here, those first that win; none are stood in for
	// without any.
	StandIns []fs.FS
}

// VariableSSHConfig names the ssh_config(5) file that go-git reads in the programs of a sandbox.
const VariableSSHConfig = "GITOPS_BOOTSTRAP_SSH_CONFIG"

// VariableResolver holds the address at which the programs of a sandbox ask where a Service is served.
const VariableResolver = "GITOPS_BOOTSTRAP_RESOLVER"

// GitProxy is the program by which git connects to git:// addresses.
const GitProxy = "git-proxy"

// tools are the programs of the engine that Argo CD and its git look for in the sandbox's bin.
var tools = []string{"argocd", GitProxy, "helm", "kubectl", "kustomize"}

// writeConfiguration writes all that the components read, anew each time: the ports or the engine may be others now.
func writeConfiguration(folder Folder, name, executable string, ports map[string]int, hosts []string, assets Assets) error {
	for _, sub := range []string{"bin", "config", "home", "tmp", "logs", "pods", "run", "forge"} {
		if err := os.MkdirAll(folder.Path(sub), 0o700); err != nil {
			return fmt.Errorf("making the sandbox's folder: %w", err)
		}
	}
	authority, err := os.ReadFile(folder.Path("pki/ca.crt"))
	if err != nil {
		return fmt.Errorf("reading the authority's certificate: %w", err)
	}
	for identity := range clients {
		certificate, err := os.ReadFile(folder.Path("pki/" + identity + ".crt"))
		if err != nil {
			return fmt.Errorf("reading the certificate of %s: %w", identity, err)
		}
		key, err := os.ReadFile(folder.Path("pki/" + identity + ".key"))
		if err != nil {
			return fmt.Errorf("reading the key of %s: %w", identity, err)
		}
		server := fmt.Sprintf("https://127.0.0.1:%d", ports[portAPIServer])
		if err := writeKubeconfig(folder.kubeconfigOf(identity), ContextName(name), server, authority, certificate, key); err != nil {
			return err
		}
	}
	for _, tool := range tools {
		link := folder.Path("bin/" + tool)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("linking %s: %w", tool, err)
		}
		if err := os.Symlink(executable, link); err != nil {
			return fmt.Errorf("linking %s: %w", tool, err)
		}
	}
	if err := writeStandIns(folder, assets.StandIns); err != nil {
		return err
	}
	ssh, err := sshWrapper(folder, hosts, ports[portForgeSSH])
	if err != nil {
		return err
	}
	for _, file := range []struct {
		path    string
		content []byte
		mode    os.FileMode
	}{
		{"config/audit-policy.yaml", auditPolicy, 0o600},
		{"config/stages.yaml", assets.Stages, 0o600},
		{"config/ssh_config", sshConfig(hosts, ports[portForgeSSH]), 0o600},
		{"bin/git-verify-wrapper.sh", assets.GitVerifyWrapper, 0o700},
		{"bin/ssh", ssh, 0o700},
	} {
		if err := writeFile(folder.Path(file.path), file.content, file.mode); err != nil {
			return err
		}
	}
	return nil
}

// writeStandIns replaces the folders of stages. What a person gave is copied, so that it is the same for the life of the
// sandbox's processes.
func writeStandIns(folder Folder, standIns []fs.FS) error {
	if err := os.RemoveAll(folder.Path("config/stand-ins")); err != nil {
		return fmt.Errorf("replacing the stand-ins: %w", err)
	}
	for number, stages := range standIns {
		sub := folder.Path(fmt.Sprintf("config/stand-ins/%02d", number))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return fmt.Errorf("copying the stand-ins: %w", err)
		}
		names, err := fs.Glob(stages, "*.yaml")
		if err != nil {
			return fmt.Errorf("listing the stand-ins: %w", err)
		}
		for _, name := range names {
			content, err := fs.ReadFile(stages, name)
			if err != nil {
				return fmt.Errorf("copying the stand-ins: %w", err)
			}
			if err := writeFile(filepath.Join(sub, name), content, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// sshWrapper returns a script that runs the machine's ssh with the sandbox's configuration alone. OpenSSH finds the
// account's own ~/.ssh through the password file, whatever HOME says (ssh(1), FILES).
//
// A port in a repository's address comes as an option, which wins over the configuration; the first one counts.
func sshWrapper(folder Folder, hosts []string, port int) ([]byte, error) {
	program, err := exec.LookPath("ssh")
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for ssh, which Argo CD fetches with: %w: install OpenSSH's client", err)
	}
	script := "#!/bin/sh\nunset SSH_AUTH_SOCK\n"
	if len(hosts) > 0 {
		patterns := []string{}
		for _, host := range hosts {
			patterns = append(patterns, host, "*@"+host)
		}
		script += fmt.Sprintf("for word in \"$@\"; do\n  case \"$word\" in %s) set -- -p %d \"$@\"; break ;; esac\ndone\n",
			strings.Join(patterns, "|"), port)
	}
	return fmt.Appendf(nil, "%sexec %s -F %s -o IdentityAgent=none -o GlobalKnownHostsFile=/dev/null \"$@\"\n",
		script, quote(program), quote(folder.Path("config/ssh_config"))), nil
}

// sshConfig leads the hosts that the forge stands in for, if any, to the forge.
func sshConfig(hosts []string, port int) []byte {
	if len(hosts) == 0 {
		return []byte("# No host is redirected.\n")
	}
	return fmt.Appendf(nil, "Host %s\n  HostName 127.0.0.1\n  Port %d\n", strings.Join(hosts, " "), port)
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// ContextName returns the name of the context in the kubeconfig of the sandbox of that name.
func ContextName(name string) string { return "sandbox-" + name }

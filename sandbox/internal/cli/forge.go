package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/cluster"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/forge"
	"github.com/gitops-bootstrap/gitops-bootstrap/sandbox/internal/loopback"
)

func newForge() *cobra.Command {
	command := &cobra.Command{Use: "forge", Short: "Change how the sandbox's forge behaves"}
	command.AddCommand(newForgeServe(), newForgeSet())
	return command
}

func newForgeServe() *cobra.Command {
	command := &cobra.Command{Use: "serve", Hidden: true, Args: cobra.NoArgs}
	folderOf := folderFlag(command)
	httpPort := command.Flags().Int("http-port", 0, "loopback port for HTTP")
	sshPort := command.Flags().Int("ssh-port", 0, "loopback port for SSH")
	proxyPort := command.Flags().Int("proxy-port", 0, "loopback port of the proxy for the hosts that it answers for")
	names := command.Flags().StringArray("serve-host", nil, "host that it answers for")
	command.RunE = func(command *cobra.Command, _ []string) error {
		folder, err := folderOf()
		if err != nil {
			return err
		}
		http, err := listen(command.Context(), *httpPort)
		if err != nil {
			return err
		}
		ssh, err := listen(command.Context(), *sshPort)
		if err != nil {
			return err
		}
		options := forge.Options{
			Folder: folder.Path("forge"), Owner: "demo", HTTP: http, SSH: ssh, RequestLog: folder.Path("logs/forge.jsonl"),
		}
		if len(*names) > 0 {
			certificate, err := tls.LoadX509KeyPair(folder.HostsCertificate())
			if err != nil {
				return fmt.Errorf("reading the certificate of the hosts: %w", err)
			}
			proxy, err := listen(command.Context(), *proxyPort)
			if err != nil {
				return err
			}
			options.Hosts = &forge.Hosts{Names: *names, Proxy: proxy, Certificate: certificate}
		}
		return forge.Serve(command.Context(), options)
	}
	return command
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("opening a loopback port: %w", err)
	}
	return listener, nil
}

func newForgeSet() *cobra.Command {
	command := &cobra.Command{
		Use:   "set --folder DIR SWITCH=VALUE...",
		Short: "Turn switches of the forge, and print all of them",
		Example: "  gitops-bootstrap-engine forge set --folder DIR deploy-keys-disabled=true\n" +
			"  gitops-bootstrap-engine forge set --folder DIR latency=50 'fail-next={\"n\":1,\"status\":502}'",
	}
	folderOf := folderFlag(command)
	command.RunE = func(command *cobra.Command, arguments []string) error {
		folder, err := folderOf()
		if err != nil {
			return err
		}
		state, err := cluster.ReadState(folder)
		if err != nil {
			return err
		}
		switches, err := parseSwitches(arguments)
		if err != nil {
			return err
		}
		token, err := os.ReadFile(state.Forge.Tokens[forge.TokenAdmin])
		if err != nil {
			return fmt.Errorf("reading the forge's token: %w", err)
		}
		answer, err := sendSwitches(command.Context(), state.Forge.HTTP, strings.TrimSpace(string(token)), switches)
		if err != nil {
			return err
		}
		_, err = command.OutOrStdout().Write(answer)
		return err
	}
	return command
}

// parseSwitches reads NAME=VALUE words. A value is JSON, or else a string.
func parseSwitches(words []string) (map[string]any, error) {
	switches := map[string]any{}
	for _, word := range words {
		name, text, found := strings.Cut(word, "=")
		if !found {
			return nil, fmt.Errorf("%q is not SWITCH=VALUE", word)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		switches[strings.ReplaceAll(name, "-", "_")] = value
	}
	return switches, nil
}

func sendSwitches(ctx context.Context, forge, token string, switches map[string]any) ([]byte, error) {
	body, err := json.Marshal(switches)
	if err != nil {
		return nil, fmt.Errorf("encoding the switches: %w", err)
	}
	header := http.Header{"Authorization": {"Bearer " + token}}
	answer, err := loopback.Ask(ctx, http.DefaultClient, "the forge", http.MethodPost, forge+"/_sandbox/switches", header, body)
	if err != nil {
		return nil, err
	}
	return append(bytes.TrimSpace(answer), '\n'), nil
}

package forge

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// What lies in a forge's folder, by path below it. Files are 0600, folders 0700.
const (
	// UserKeyFile is the OpenSSH private key of the sandbox's person, who may push to every repository.
	UserKeyFile = "user_key"
	// UserPublicKeyFile is its public half.
	UserPublicKeyFile = "user_key.pub"
	// KnownHostsFile has a known_hosts line for each host key at the address last served.
	KnownHostsFile = "known_hosts"
	// TokensFolder has one file for each token, named as in [TokenNames].
	TokensFolder = "tokens"
	// RepositoriesFolder has the bare repositories, each named by its id.
	RepositoriesFolder = "repositories"
	// SwitchesFile holds the [Switches]; it is read when serving starts.
	SwitchesFile = "switches.json"

	stateFile      = "state.json"
	hostKeysFolder = "host_keys"
)

// hostKeyKinds are the types of host key that GitHub has, and how one of each is made.
var hostKeyKinds = []struct {
	name     string
	generate func() (crypto.Signer, error)
}{
	{"ed25519", func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}},
	{"ecdsa", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	{"rsa", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) }},
}

// Prepare makes what is missing in the folder: host keys, the user's key and the tokens. What is there stays, so keys
// and tokens are the same for the life of the folder. sshAddress (HOST:PORT) is what known_hosts is written for; empty
// leaves that file alone.
func Prepare(folder, sshAddress string) error {
	for _, name := range []string{"", hostKeysFolder, TokensFolder, RepositoriesFolder} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			return fmt.Errorf("make the forge's folder: %w", err)
		}
	}
	for _, kind := range hostKeyKinds {
		if err := ensureKey(filepath.Join(folder, hostKeysFolder, kind.name), "sandbox-host", kind.generate); err != nil {
			return err
		}
	}
	if err := ensureKey(filepath.Join(folder, UserKeyFile), "sandbox-user", hostKeyKinds[0].generate); err != nil {
		return err
	}
	user, err := readSigner(folder, UserKeyFile)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(folder, UserPublicKeyFile), []byte(keyLine(user.PublicKey())+"\n")); err != nil {
		return err
	}
	if err := ensureTokens(folder); err != nil {
		return err
	}
	if sshAddress == "" {
		return nil
	}
	return writeKnownHosts(folder, sshAddress)
}

func ensureKey(path, comment string, generate func() (crypto.Signer, error)) error {
	if exists, err := fileExists(path); exists || err != nil {
		return err
	}
	key, err := generate()
	if err != nil {
		return fmt.Errorf("generate %s: %w", path, err)
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return writeFile(path, encodeKey(block))
}

// encodeKey writes a key with 70 columns a line, as ssh-keygen does (sshkey.c). Package pem writes 64, which strict
// readers of OpenSSH's format refuse.
func encodeKey(block *pem.Block) []byte {
	const columns = 70
	body := base64.StdEncoding.EncodeToString(block.Bytes)
	file := fmt.Appendf(nil, "-----BEGIN %s-----\n", block.Type)
	for ; len(body) > columns; body = body[columns:] {
		file = append(append(file, body[:columns]...), '\n')
	}
	return fmt.Appendf(file, "%s\n-----END %s-----\n", body, block.Type)
}

func readSigner(folder, name string) (ssh.Signer, error) {
	path := filepath.Join(folder, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a key of the forge: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("parse the key %s: %w", path, err)
	}
	return signer, nil
}

func readHostKeys(folder string) ([]ssh.Signer, error) {
	var keys []ssh.Signer
	for _, kind := range hostKeyKinds {
		key, err := readSigner(folder, filepath.Join(hostKeysFolder, kind.name))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func writeKnownHosts(folder, sshAddress string) error {
	if _, _, err := net.SplitHostPort(sshAddress); err != nil {
		return fmt.Errorf("write known_hosts for %q: %w", sshAddress, err)
	}
	keys, err := readHostKeys(folder)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, key := range keys {
		lines.WriteString(knownhosts.Line([]string{sshAddress}, key.PublicKey()) + "\n")
	}
	return writeFile(filepath.Join(folder, KnownHostsFile), []byte(lines.String()))
}

// keyLine is a public key as GitHub lists it: its type and base64, without a comment.
func keyLine(key ssh.PublicKey) string {
	return key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal())
}

func fileExists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a file of the forge: %w", err)
	}
	return true, nil
}

// writeFile replaces a file whole: after a crash it is the old one or the new one.
func writeFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

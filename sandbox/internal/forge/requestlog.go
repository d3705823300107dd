package forge

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Kinds of request in the log.
const (
	KindREST    = "rest"
	KindGitHTTP = "git-http"
	KindGitSSH  = "git-ssh"
)

// LogEntry is one line of the request log. It never holds a token or key material. The line of a REST request and of
// an SSH command is written before the client has the end of the answer, so who has the answer finds the line.
type LogEntry struct {
	// Time is when the request came in.
	Time time.Time `json:"time"`
	// Kind is rest, git-http or git-ssh.
	Kind string `json:"kind"`
	// Method is the HTTP method of a REST request, else the Git service: git-upload-pack reads, git-receive-pack
	// writes. "authenticate" is a refused SSH login and "shell" one without a command.
	Method string `json:"method"`
	// Path is the REST path without /api/v3, the path of Git over HTTP, or the repository as the SSH command named it.
	Path string `json:"path"`
	// Repository is OWNER/NAME when the request reached one that exists.
	Repository string `json:"repository,omitempty"`
	// Actor is a token's name or an SSH key's SHA256 fingerprint; empty when there was no valid credential.
	Actor string `json:"actor,omitempty"`
	// Status is the HTTP status, or for SSH the exit status that the client got.
	Status int `json:"status"`
	// Dropped is true when the connection was reset instead of answered.
	Dropped bool `json:"dropped,omitempty"`
	// UserAgent is the HTTP client's header or the SSH client's version.
	UserAgent string `json:"user_agent,omitempty"`
	// Bytes is the size of the answer without headers.
	Bytes int64 `json:"bytes"`
	// Duration is in milliseconds.
	Duration float64 `json:"duration_ms"`
}

type requestLog struct {
	tokens tokens
	mutex  sync.Mutex
	file   *os.File
}

func openRequestLog(path string, known tokens) (*requestLog, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the forge's request log: %w", err)
	}
	return &requestLog{tokens: known, file: file}, nil
}

// write appends one line, with the duration taken now.
func (l *requestLog) write(entry LogEntry) error {
	entry.Duration = float64(time.Since(entry.Time).Microseconds()) / 1000
	entry.Time = entry.Time.UTC()
	entry.Path = l.redact(entry.Path)
	entry.UserAgent = l.redact(entry.UserAgent)
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encode a line of the request log: %w", err)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the request log: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *requestLog) Close() error { return l.file.Close() }

var words = regexp.MustCompile(`[A-Za-z0-9_]+`)

// redact removes tokens from text that the client chose: a careless client may put one into an address.
func (l *requestLog) redact(text string) string {
	return words.ReplaceAllStringFunc(text, func(word string) string {
		if strings.HasPrefix(word, installationPrefix) || l.tokens[sha256.Sum256([]byte(word))] != nil {
			return "REDACTED"
		}
		return word
	})
}

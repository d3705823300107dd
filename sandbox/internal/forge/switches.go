package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Switches are the faults a forge can be told to have. They are read from [SwitchesFile] when serving starts, changed
// by POST /_sandbox/switches, and survive a restart. The zero value is a forge without faults.
type Switches struct {
	// DeployKeysDisabled is the organization's setting: no key can be added, and those there are let nobody in.
	DeployKeysDisabled bool `json:"deploy_keys_disabled"`
	// APIDown answers every REST request with 503.
	APIDown bool `json:"api_down"`
	// GitDown answers Git over HTTP with 503 and hangs up on SSH.
	GitDown bool `json:"git_down"`
	// Latency is added to each request, in milliseconds.
	Latency int `json:"latency"`
	// FailNext makes the next REST requests fail.
	FailNext *FailNext `json:"fail_next,omitempty"`
	// DropResponseAfterCommit is how many of the next successful changing REST requests take effect but get their
	// connection reset instead of an answer.
	DropResponseAfterCommit int `json:"drop_response_after_commit"`
	// KeyDelay is how many seconds pass until a newly registered key is let in over SSH.
	KeyDelay float64 `json:"key_delay"`
	// Moved answers REST requests of a repository with a redirect to anywhere.
	Moved []Moved `json:"moved,omitempty"`
}

// FailNext describes answers that stand in for the real ones; the requests have no effect.
type FailNext struct {
	// N is how many requests fail.
	N int `json:"n"`
	// Method and Path (a substring) restrict which requests fail; empty is any.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Status is the answer's; 0 resets the connection instead of answering.
	Status int `json:"status"`
	// RetryAfter is sent as Retry-After, in seconds, unless 0.
	RetryAfter int `json:"retry_after,omitempty"`
	// Headers are added to the answer.
	Headers map[string]string `json:"headers,omitempty"`
	// Message is the message of GitHub's error body; empty is the status text.
	Message string `json:"message,omitempty"`
	// Body is sent as it is, as text/html, instead of an error body.
	Body string `json:"body,omitempty"`
}

// Moved is a redirect of everything below a repository.
type Moved struct {
	// Repository is OWNER/NAME.
	Repository string `json:"repository"`
	// Location is what stands in for the address up to and including the repository's name.
	Location string `json:"location"`
	// Status is the answer's; 301 when 0.
	Status int `json:"status"`
}

// switchboard guards the switches and keeps them on disk.
type switchboard struct {
	path   string
	mutex  sync.Mutex
	values Switches
}

func openSwitches(folder string) (*switchboard, error) {
	board := &switchboard{path: filepath.Join(folder, SwitchesFile)}
	text, err := os.ReadFile(board.path)
	if errors.Is(err, fs.ErrNotExist) {
		return board, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the forge's switches: %w", err)
	}
	if err := decodeStrictly(text, &board.values); err != nil {
		return nil, fmt.Errorf("parse the forge's switches %s: %w", board.path, err)
	}
	return board, nil
}

func (b *switchboard) current() Switches {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.values
}

// merge changes the switches that the JSON object names and leaves the others.
func (b *switchboard) merge(text []byte) (Switches, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	next := b.values
	// Decoding into what a pointer or a slice refers to would change the values that readers hold.
	if next.FailNext != nil {
		copied := *next.FailNext
		next.FailNext = &copied
	}
	next.Moved = slices.Clone(next.Moved)
	if err := decodeStrictly(text, &next); err != nil {
		return b.values, err
	}
	return next, b.replace(next)
}

// takeFailure uses up one failure that a request is to have; nil when it is to have none.
func (b *switchboard) takeFailure(method, path string) (*FailNext, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	failure := b.values.FailNext
	if failure == nil || failure.N <= 0 {
		return nil, nil
	}
	if failure.Method != "" && failure.Method != method || !strings.Contains(path, failure.Path) {
		return nil, nil
	}
	next := b.values
	left := *failure
	left.N--
	next.FailNext = &left
	if left.N == 0 {
		next.FailNext = nil
	}
	return failure, b.replace(next)
}

// takeDrop uses up one dropped response and tells whether there was one to use.
func (b *switchboard) takeDrop() (bool, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.values.DropResponseAfterCommit <= 0 {
		return false, nil
	}
	next := b.values
	next.DropResponseAfterCommit--
	return true, b.replace(next)
}

// moved finds the redirect of a repository; nil when it has none.
func (s Switches) moved(fullName string) *Moved {
	for _, candidate := range s.Moved {
		if strings.EqualFold(candidate.Repository, fullName) {
			return &candidate
		}
	}
	return nil
}

func (b *switchboard) replace(next Switches) error {
	text, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the forge's switches: %w", err)
	}
	if err := writeFile(b.path, append(text, '\n')); err != nil {
		return err
	}
	b.values = next
	return nil
}

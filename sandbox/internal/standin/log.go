package standin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// An Entry is a line of the log: an object that was stood in for.
type Entry struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Namespace is empty for an object of the whole cluster.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// StandIn is the controller that would have done it.
	StandIn string `json:"standIn"`
	// Secrets are the names of the Secrets that were made up for it.
	Secrets []string `json:"secrets,omitempty"`
}

func (e Entry) key() string { return e.APIVersion + " " + e.Kind + " " + e.Namespace + " " + e.Name }

// record is the log, an object a line, each object once.
type record struct {
	mutex sync.Mutex
	file  *os.File
	known map[string]bool
}

// openRecord goes on with what the file holds.
func openRecord(path string) (*record, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of stand-ins: %w", err)
	}
	result := &record{file: file, known: map[string]bool{}}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var entry Entry
		// A line that was cut short is no entry; the object is written again.
		if json.Unmarshal(lines.Bytes(), &entry) == nil {
			result.known[entry.key()] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the log of stand-ins: %w", err), file.Close())
	}
	return result, nil
}

func (r *record) add(entry Entry) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.known[entry.key()] {
		return nil
	}
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encoding a line of the log of stand-ins: %w", err)
	}
	if _, err := r.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing the log of stand-ins: %w", err)
	}
	r.known[entry.key()] = true
	return nil
}

// Package cluster makes a sandbox out of a folder: keys, configuration, the components and their order, and its end.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Folder is the absolute path in which one sandbox lives. Everything that a sandbox writes is below it.
type Folder string

// The files and folders that other parts of the engine know by name.
const (
	fileState     = "sandbox.json"
	fileLock      = "lock"
	fileControl   = "control.sock"
	folderLogs    = "logs"
	folderRecords = "run"
)

// NewFolder returns the folder of that path, made absolute.
func NewFolder(path string) (Folder, error) {
	if path == "" {
		return "", errors.New("no folder was given: pass --folder DIR")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolving the sandbox's folder: %w", err)
	}
	return Folder(absolute), nil
}

// Path returns the path of a file below the folder, which is given with slashes.
func (f Folder) Path(file string) string { return filepath.Join(string(f), filepath.FromSlash(file)) }

// Log returns the log file of a component.
func (f Folder) Log(component string) string { return f.Path(folderLogs + "/" + component + ".log") }

// Authority returns the file with the certificate of the sandbox's own authority.
func (f Folder) Authority() string { return f.Path("pki/ca.crt") }

// HostsCertificate returns the certificate and the key of the hosts that the forge answers for.
func (f Folder) HostsCertificate() (certificate, key string) {
	return f.Path("pki/" + identityHosts + ".crt"), f.Path("pki/" + identityHosts + ".key")
}

// StandInLog returns the file that has a line for each object that a controller was stood in for.
func (f Folder) StandInLog() string { return f.Path("stand-ins.jsonl") }

// StandIns returns the folders of stages that count, those first that win over the others.
func (f Folder) StandIns() ([]string, error) {
	folders, err := filepath.Glob(f.Path("config/stand-ins/*"))
	if err != nil {
		return nil, fmt.Errorf("listing the stand-ins: %w", err)
	}
	return folders, nil
}

// Records returns the folder that holds a record of each running process.
func (f Folder) Records() string { return f.Path(folderRecords) }

// IsSandbox says whether a sandbox lives or lived in the folder. Only such a folder is ever removed.
func (f Folder) IsSandbox() bool {
	for _, file := range []string{fileState, fileLock} {
		if _, err := os.Lstat(f.Path(file)); err == nil {
			return true
		}
	}
	return false
}

// Prepare makes the folder, private to its owner, and marks it as a sandbox's. It refuses one that holds anything else.
func (f Folder) Prepare() error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("making the sandbox's folder: %w", err)
	}
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return fmt.Errorf("reading the sandbox's folder: %w", err)
	}
	if len(entries) > 0 && !f.IsSandbox() {
		return fmt.Errorf("%s holds other files and is not a sandbox's: choose an empty or a new folder", f)
	}
	if err := os.Chmod(string(f), 0o700); err != nil {
		return fmt.Errorf("making the sandbox's folder private: %w", err)
	}
	mark, err := os.OpenFile(f.Path(fileLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("marking the sandbox's folder: %w", err)
	}
	mark.Close()
	if err := os.MkdirAll(f.Path(folderLogs), 0o700); err != nil {
		return fmt.Errorf("making the sandbox's folder of logs: %w", err)
	}
	return nil
}

// errLocked says that another supervisor holds the folder.
var errLocked = errors.New("another supervisor runs this sandbox")

// lock takes the folder for this process until it ends or calls the returned function.
func (f Folder) lock() (func(), error) {
	file, err := os.OpenFile(f.Path(fileLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the sandbox's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("locking the sandbox's folder: %w", err)
	}
	return func() { file.Close() }, nil
}

// Running says whether a supervisor holds the folder.
func (f Folder) Running() bool {
	if !f.IsSandbox() {
		return false
	}
	unlock, err := f.lock()
	if err != nil {
		return errors.Is(err, errLocked)
	}
	unlock()
	return false
}

package knownhosts

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// How long to wait for another process that writes to the file, and how often to look.
const (
	lockWait  = 5 * time.Second
	lockEvery = 10 * time.Millisecond
)

// openLocked opens the file at path for reading and appending, made if need be, when no other process has it open that way. It is to
// be closed.
func openLocked(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockEvery) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		locked, err := lock(f)
		if err == nil && locked {
			// The one before may have put another file in its place.
			if locked, err = isAt(f, path); err == nil && locked {
				return f, nil
			}
		}
		_ = f.Close() // Nothing was written.
		if err != nil {
			return nil, err
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s: another process has kept it locked for %v", path, lockWait)
		}
	}
}

// isAt reports whether f is the file at path.
func isAt(f *os.File, path string) (bool, error) {
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if os.IsNotExist(err) {
		return false, nil
	}
	return err == nil && os.SameFile(opened, there), err
}

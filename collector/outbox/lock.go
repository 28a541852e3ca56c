package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"service_manager/publish"
)

// ErrInUse says that another process has the state file.
var ErrInUse = errors.New("is in use by another service_manager")

// lockFile takes the lock of the state file at path, or fails at once. It is a file of its own, because the state file is replaced at
// times. It stays there when the lock is given up, by closing it: another process may have opened it already.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	locked, err := lock(f)
	if err == nil && locked {
		return f, nil
	}
	_ = f.Close() // Nothing was written.
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return nil, fmt.Errorf("%s %w: stop that one, or give this one a state file of its own (collector.state)", path, ErrInUse)
}

// nextEpoch returns an epoch greater than that of each state file before, also where the clock was put back since: what damages the file
// may do that, too, and consumers take nothing of an epoch that is not greater. So the last one is kept in the lock file, which is never
// replaced.
func nextEpoch(lock *os.File) (string, error) {
	last, err := io.ReadAll(io.NewSectionReader(lock, 0, 256))
	if err != nil {
		return "", err
	}
	epoch := publish.NextEpoch(string(bytes.TrimSpace(last)), time.Now())
	if _, err := lock.WriteAt([]byte(epoch+"\n"), 0); err != nil { // All are of the same length.
		return "", err
	}
	return epoch, lock.Sync()
}

package outbox

import (
	"errors"
	"fmt"
	"os"
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

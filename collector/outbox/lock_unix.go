//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package outbox

import (
	"errors"
	"os"
	"syscall"
)

// lock takes flock(2)'s lock on f, which ends when f is closed. It reports false where another process has it.
func lock(f *os.File) (bool, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var taken error
	if err := conn.Control(func(fd uintptr) { taken = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) }); err != nil {
		return false, err
	}
	if errors.Is(taken, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return taken == nil, os.NewSyscallError("flock", taken)
}

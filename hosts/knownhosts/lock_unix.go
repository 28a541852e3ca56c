//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package knownhosts

import (
	"errors"
	"io/fs"
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

// keepOwner gives the file at path the owner that another one has. Only root may, and who may not has done what he could.
func keepOwner(path string, like fs.FileInfo) {
	if stat, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = os.Chown(path, int(stat.Uid), int(stat.Gid)) // As above.
	}
}

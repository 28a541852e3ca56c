//go:build unix

package main

import "golang.org/x/sys/unix"

// openFiles is how many files the process may have open. Go has raised it to the hard limit by then.
func openFiles() (limit uint64, ok bool) {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // Another type on FreeBSD.
}

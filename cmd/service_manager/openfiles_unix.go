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

// raiseOpenFiles is openFiles after an attempt to allow need, which above the hard limit only root can.
func raiseOpenFiles(need uint64) (limit uint64, ok bool) {
	if limit, ok = openFiles(); ok && limit < need {
		var r unix.Rlimit
		setLimit(&r.Cur, need)
		setLimit(&r.Max, need)
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // The limit then tells.
		limit, ok = openFiles()
	}
	return limit, ok
}

// setLimit knows both types that a limit has.
func setLimit[N int64 | uint64](limit *N, to uint64) { *limit = N(to) }

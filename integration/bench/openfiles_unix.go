//go:build unix

package bench

import "syscall"

// openFiles is how many files a process may have open at a time, connections included. Go allows itself all that it may.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err) // It has no way to fail.
	}
	return int(min(limit.Max, 1<<30))
}

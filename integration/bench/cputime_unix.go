//go:build unix

package bench

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used so far, in all its threads, in user space and in the kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // It has no way to fail.
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

//go:build !linux

package hosts

import "syscall"

// limitUnacknowledged does nothing where the kernel has no TCP_USER_TIMEOUT; keepalives and the poll's timeout remain.
func limitUnacknowledged(_, _ string, _ syscall.RawConn) error { return nil }

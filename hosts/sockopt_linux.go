package hosts

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout bounds how long sent data may stay unacknowledged before the kernel gives the connection up (tcp(7),
// TCP_USER_TIMEOUT); its own bound is about a quarter of an hour.
const userTimeout = 20 * time.Second

func limitUnacknowledged(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}

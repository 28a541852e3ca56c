//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// isJournal reports whether f is the stream to the journal that systemd names in $JOURNAL_STREAM. That the variable is set says nothing:
// whatever the unit starts has it too, with an stderr of its own.
func isJournal(f *os.File, stream string) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

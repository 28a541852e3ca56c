//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package outbox

import "os"

// lock does nothing where there is no flock(2): bbolt's own lock on the state file remains, which holds but for the moment in which the
// file is replaced.
func lock(*os.File) (bool, error) { return true, nil }

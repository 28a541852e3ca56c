package main

import (
	"os"
	"strconv"
	"syscall"
	"testing"
)

// Stderr is the journal if it is the very stream that the variable names, and not because there is a variable.
func TestIsJournal(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	journal, peer := os.NewFile(uintptr(pair[0]), "journal"), os.NewFile(uintptr(pair[1]), "peer")
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{journal, peer, r, pipe} {
		defer func() { _ = f.Close() }()
	}
	info, err := journal.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no inodes here")
	}
	named := strconv.FormatUint(stat.Dev, 10) + ":" + strconv.FormatUint(stat.Ino, 10)
	for name, test := range map[string]struct {
		f      *os.File
		stream string
		want   bool
	}{
		"the stream named":                   {journal, named, true},
		"a pipe of a program that it starts": {pipe, named, false},
		"another socket":                     {peer, named, false},
		"no variable":                        {journal, "", false},
		"garbage":                            {journal, "1:2:3", false},
	} {
		if got := isJournal(test.f, test.stream); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

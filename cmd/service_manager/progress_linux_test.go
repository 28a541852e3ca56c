package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// newTerminal opens a pseudo-terminal (pty(7)): what is written to the terminal can be read from the other end.
func newTerminal(t *testing.T) (end, terminal *os.File) {
	t.Helper()
	end, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = end.Close() })
	if err := unix.IoctlSetPointerInt(int(end.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(end.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return end, terminal
}

func TestProgressOnATerminal(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Setenv("TERM", "xterm")
	end, terminal := newTerminal(t)
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 50}); err != nil {
		t.Fatal(err)
	}
	p := newProgress(terminal, 500)
	if p == nil {
		t.Fatal("a terminal is not taken for one")
	}
	p.step(false)
	line, err := bufio.NewReader(end).ReadString('s')
	if want := clearLine + "[>                   ] 1/500 hos"; err != nil || line != want {
		t.Errorf("%q (%v), want %q", line, err, want)
	}
	p.end()
	t.Setenv("TERM", "dumb")
	if newProgress(terminal, 500) != nil {
		t.Error("a dumb terminal cannot redraw a line")
	}
}

func TestColours(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	_, terminal := newTerminal(t)
	if !colours(terminal) {
		t.Error("no colours on a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if colours(terminal) {
		t.Error("colours in spite of NO_COLOR")
	}
	t.Setenv("NO_COLOR", "")
	if colours(new(strings.Builder)) {
		t.Error("colours in what is no terminal")
	}
}

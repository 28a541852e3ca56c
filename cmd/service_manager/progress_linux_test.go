package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

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
	p := newProgress(terminal, numbered(500))
	if p == nil {
		t.Fatal("a terminal is not taken for one")
	}
	p.step("h0", false)
	line, err := bufio.NewReader(end).ReadString('s')
	if want := clearLine + "[>                   ] 1/500 hos"; err != nil || line != want {
		t.Errorf("%q (%v), want %q", line, err, want)
	}
	p.end()
	t.Setenv("TERM", "dumb")
	if newProgress(terminal, numbered(500)) != nil {
		t.Error("a dumb terminal cannot redraw a line")
	}
}

// All commands that may keep a person waiting for many hosts show how far they are.
func TestCommandsShowProgress(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, command := range []string{"doctor", "status", "trust"} {
		t.Run(command, func(t *testing.T) {
			inventory, _ := frozen(t)
			end, terminal := newTerminal(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ended := make(chan int, 1)
			go func() {
				ended <- execute(ctx, []string{command, "-i", inventory}, nil, io.Discard, terminal)
				_ = terminal.Close() // So that no one waits for more.
			}()
			r := bufio.NewReader(end)
			for line, bar := "", "[==========>         ] 1/2 hosts, 1 with trouble, "; !strings.Contains(line, bar); {
				part, err := r.ReadString(' ')
				if err != nil {
					t.Fatalf("%v after %q", err, line)
				}
				line += part
			}
			cancel()
			if code := <-ended; code != exitHost {
				t.Errorf("exit code %d, want %d", code, exitHost)
			}
		})
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

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"service_manager/integration/fleet"
)

// However it ends, the terminal is as it was, and the exit code is that of the last look.
func TestWatchLeavesTheTerminalAsItWas(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	defer goleak.VerifyNone(t)
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	for _, way := range []string{"q", "\x03", "context"} {
		t.Run(way, func(t *testing.T) {
			end, terminal := newTerminal(t)
			if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
				t.Fatal(err)
			}
			before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan int, 1)
			var stderr bytes.Buffer
			args := []string{"status", "--watch=1s", "-i", simulated.InventoryPath()}
			go func() { ended <- execute(ctx, args, terminal, terminal, &stderr) }()
			screen := newScreenText(end)
			screen.await(t, "5 hosts: 5 ok")
			screen.await(t, "q ends it")
			if way == "context" {
				cancel()
			} else if _, err := io.WriteString(end, way); err != nil {
				t.Fatal(err)
			}
			if code := <-ended; code != exitUnit {
				t.Errorf("exit code %d, want %d; it said:\n%s", code, exitUnit, stderr.String())
			}
			screen.await(t, "\x1b[?1049l") // the screen as it was before
			screen.await(t, "\x1b[?25h")   // the cursor
			after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *before != *after {
				t.Errorf("the terminal is set to %v, was %v", *after, *before)
			}
			_ = terminal.Close() // Ends the reading.
			<-screen.ended
		})
	}
}

// screenText is all that is written to a terminal.
type screenText struct {
	parts chan string
	text  string
	ended chan struct{}
}

func newScreenText(end io.Reader) *screenText {
	s := &screenText{parts: make(chan string, 10_000), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		buffer := make([]byte, 4096)
		for {
			n, err := end.Read(buffer)
			if err != nil {
				return
			}
			s.parts <- string(buffer[:n])
		}
	}()
	return s
}

// await reads until text has been written.
func (s *screenText) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(time.Minute)
	for !strings.Contains(s.text, text) {
		select {
		case part := <-s.parts:
			s.text += part
		case <-late:
			t.Fatalf("no %q in %q", text, s.text)
		}
	}
}

// In a real terminal, at 80 and at 200 columns, each change is seen, and what stood there before is there again at the end.
func TestWatchInTmux(t *testing.T) {
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	screen := newTmux(t)
	run, await := screen.run, screen.await
	run(t, "new-session", "-d", "-x", "80", "-y", "24", "-e", "FLEET="+simulated.InventoryPath(),
		`echo before; stty -g >"$FLEET.before"; service_manager status --watch=1s -i "$FLEET"; echo "exit code $?"; stty -g >"$FLEET.after"; cat`)

	await(t, `(?m)^\d\d:\d\d:\d\d  5 hosts: 5 ok$`)
	frame := await(t, `(?m)^   5 hosts +mount_controller\.service +active/running +`)
	if strings.Contains(frame, "before") || !strings.HasSuffix(strings.TrimSpace(frame), "q ends it; -o wide shows each unit") {
		t.Errorf("not a screen for itself:\n%s", frame)
	}
	if _, err := simulated.FailUnit("web-02", "nginx.service"); err != nil {
		t.Fatal(err)
	}
	await(t, `(?m)^!\* web-02 +nginx\.service +failed/failed +`)
	await(t, `(?m)^q ends it; \* changed just now`)
	run(t, "resize-window", "-x", "200", "-y", "50")
	await(t, `(?m)^\d\d:\d\d:\d\d  5 hosts: 5 ok  \d+ units: .*\d failed`) // on one line
	await(t, `(?m)^!\* web-02 +nginx\.service +failed/failed +\d+s +exit-code, exited 1$`)
	if _, err := simulated.Leave("db-01"); err != nil {
		t.Fatal(err)
	}
	await(t, `(?m)^!\* db-01 +(unreachable|timeout|throttled): `)
	run(t, "resize-window", "-x", "80", "-y", "10")
	await(t, `(?m)^q ends it; .*↑ ↓ PgUp PgDn: rows 1 to 6 of \d+`)
	run(t, "send-keys", "End")
	await(t, `(?m)^ +worker-01 +worker@\*\.service +`)
	run(t, "send-keys", "q")
	if frame := await(t, "exit code 2"); !strings.HasPrefix(frame, "before\n5 hosts: ") {
		t.Errorf("it ended with:\n%s", frame)
	}
	var settings [2]string
	for i, when := range []string{".before", ".after"} {
		var text []byte
		for began := time.Now(); len(text) == 0 && time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
			if text, err = os.ReadFile(simulated.InventoryPath() + when); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		settings[i] = string(text)
	}
	if settings[0] != settings[1] {
		t.Errorf("the terminal is set to %s, was %s", settings[1], settings[0])
	}
}

// A full screen in a terminal that has grown leaves nothing behind either.
func TestWatchThatGrewInTmux(t *testing.T) {
	simulated, err := fleet.Start(fleet.Config{Hosts: 10, Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	screen := newTmux(t)
	screen.run(t, "new-session", "-d", "-x", "80", "-y", "10", "-e", "FLEET="+simulated.InventoryPath(),
		`echo before; service_manager status --watch=1s -o wide -i "$FLEET"; echo "exit code $?"; cat`)
	screen.await(t, `(?m)^q ends it; .*rows 1 to \d+ of \d\d`)
	screen.run(t, "resize-window", "-x", "120", "-y", "20")
	screen.await(t, `(?m)^q ends it; .*rows 1 to 1\d of \d\d`)
	screen.run(t, "send-keys", "q")
	if frame := screen.await(t, "exit code 1"); !strings.HasPrefix(frame, "before\n10 hosts: ") {
		t.Errorf("it ended with:\n%s", frame)
	}
}

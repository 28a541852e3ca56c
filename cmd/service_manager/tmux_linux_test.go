package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// A tmux is a real terminal, with the program in its PATH.
type tmux struct {
	program string
	server  string
	env     []string
}

// newTmux returns one that ends with the test. The first command for it is to be new-session.
func newTmux(t *testing.T) tmux {
	t.Helper()
	program, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("tmux is not installed; integration/setup installs it")
	}
	x := tmux{program, filepath.Join(t.TempDir(), "tmux"), append(os.Environ(), "NO_COLOR=", "LC_ALL=C.UTF-8", "PATH="+programPath(t))}
	t.Cleanup(func() { x.run(t, "kill-server") })
	return x
}

// run runs a command of tmux.
func (x tmux) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), x.program, append([]string{"-S", x.server, "-f", os.DevNull}, args...)...)
	cmd.Env = x.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// await waits until the screen shows what matches, and returns all that it shows.
func (x tmux) await(t *testing.T, pattern string) string {
	t.Helper()
	return x.awaitIn(t, "", pattern)
}

// awaitIn is await for the pane of a window. Wrapped lines are joined.
func (x tmux) awaitIn(t *testing.T, window, pattern string) string {
	t.Helper()
	capture := []string{"capture-pane", "-p"}
	if window != "" {
		capture = append(capture, "-J", "-t", window)
	}
	seen := ""
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		if seen = x.run(t, capture...); regexp.MustCompile(pattern).MatchString(seen) {
			return seen
		}
	}
	t.Fatalf("%q is not on the screen:\n%s", pattern, seen)
	return ""
}

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

// A tmux is a real terminal of 80 columns and 24 lines, for a test.
type tmux struct {
	t       *testing.T
	program string
	server  string // its socket
}

// newTmux runs a shell command in a terminal, where service_manager is the program under test, with one more variable.
func newTmux(t *testing.T, variable, command string) *tmux {
	t.Helper()
	program, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("tmux is not installed; integration/setup installs it")
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(own, filepath.Join(dir, "service_manager")); err != nil { // By this name the test is the program, see TestMain.
		t.Fatal(err)
	}
	m := &tmux{t: t, program: program, server: filepath.Join(dir, "tmux")}
	t.Cleanup(func() { m.run("kill-server") })
	m.run("new-session", "-d", "-x", "80", "-y", "24", "-e", "PATH="+dir+":"+os.Getenv("PATH"), "-e", variable, command)
	return m
}

// run runs a command of tmux, and returns what that prints.
func (m *tmux) run(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(m.t.Context()), m.program, append([]string{"-S", m.server, "-f", os.DevNull}, args...)...)
	cmd.Env = append(os.Environ(), "NO_COLOR=", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// await waits until the screen looks like pattern, and returns what is on it.
func (m *tmux) await(pattern string) string {
	m.t.Helper()
	seen := ""
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		if seen = m.run("capture-pane", "-p"); regexp.MustCompile(pattern).MatchString(seen) {
			return seen
		}
	}
	m.t.Fatalf("%q is not on the screen:\n%s", pattern, seen)
	return ""
}

package systemctl

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The wrapper's surroundings in the tests: a systemctl that tells how it was called, and a logger that keeps what it is told.
const (
	tellingSystemctl = `#!/bin/sh
{ printf "<%s>" "$@"; echo; } | tee -a calls
`
	keepingLogger = `#!/bin/sh
printf "<%s>" "$@" >>log
`
)

// A wrapperHost runs the wrapper as sshd does: through a login shell, in a folder where it can be seen what it did.
type wrapperHost struct {
	dir   string
	login string   // that runs the wrapper, as an exec request would
	shell []string // that the wrapper is run by, in place of /bin/sh
	env   []string
	stdin string
}

func newWrapperHost(tb testing.TB, shell ...string) wrapperHost {
	tb.Helper()
	h := wrapperHost{dir: tb.TempDir(), login: "sh", shell: shell, stdin: "id\n"}
	bin := filepath.Join(h.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		tb.Fatal(err)
	}
	syscall.ForkLock.RLock() // A file that another test's child inherits open for writing could not be run.
	defer syscall.ForkLock.RUnlock()
	for name, text := range map[string]string{
		"bin/systemctl": tellingSystemctl, "bin/logger": keepingLogger, "wrapper": Wrapper(WrapperPath),
	} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	h.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "LOGNAME=monitor",
		"SSH_CONNECTION=192.0.2.7 50000 192.0.2.8 22", "IFS=x", "LC_ALL=C.UTF-8")
	return h
}

// A wrapped is what became of a command.
type wrapped struct {
	stdout, stderr string
	status         int
	calls, log     string // of systemctl and logger
}

// run hands command to the wrapper; with direct, the login shell runs it as it is.
func (h wrapperHost) run(tb testing.TB, command string, direct bool) wrapped {
	tb.Helper()
	line := strings.Join(h.shell, " ") + " ./wrapper"
	if direct {
		line = command
	}
	cmd := exec.CommandContext(tb.Context(), h.login, "-c", line)
	cmd.Dir = h.dir
	cmd.Env = append(slices.Clone(h.env), "SSH_ORIGINAL_COMMAND="+command)
	cmd.Stdin = strings.NewReader(h.stdin)
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); !ended {
			tb.Fatal(err)
		}
	}
	return wrapped{
		stdout: stdout.String(), stderr: stderr.String(), status: cmd.ProcessState.ExitCode(), calls: h.take(tb, "calls"), log: h.take(tb, "log"),
	}
}

// take returns what is in a file, and empties it.
func (h wrapperHost) take(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(h.dir, name)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// files are the names in the folder, which no command may change.
func (h wrapperHost) files(tb testing.TB) []string {
	tb.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// wrapperShells are the shells that /bin/sh is on one system or another. dash and bash must be there; others join in.
func wrapperShells(t *testing.T) [][]string {
	t.Helper()
	var shells [][]string
	known := map[string]bool{}
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}, {"mksh"}, {"ksh"}, {"yash"}} {
		path, err := exec.LookPath(shell[0])
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		switch {
		case err == nil && !known[path]:
			known[path] = true
			shells = append(shells, shell)
		case err != nil && (shell[0] == "dash" || shell[0] == "bash"):
			t.Error(err)
		}
	}
	return shells
}

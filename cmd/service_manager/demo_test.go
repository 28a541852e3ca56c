package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"service_manager/publish"
)

// A shownDemo is a demo in a process of its own, and what it printed.
type shownDemo struct {
	env      []string
	commands []string       // to try
	events   chan [3]string // event, host and unit
}

// startDemo starts a demo whose folder has a name that has to be quoted. At the end of the test it is told to end.
func startDemo(t *testing.T, args ...string) *shownDemo {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "it's a $HOME")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &shownDemo{env: append(os.Environ(), "PATH="+programPath(t), "TMPDIR="+folder), events: make(chan [3]string, 10_000)}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", append([]string{"-c", `exec service_manager demo "$@"`, "sh"}, args...)...)
	cmd.Env = d.env
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{}, 2)
	go func() {
		d.receive(stdout)
		read <- struct{}{}
	}()
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C ends it") {
		if command, ok := strings.CutPrefix(lines.Text(), "  "); ok {
			d.commands = append(d.commands, command)
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stderr) // So that it is not held up.
		read <- struct{}{}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // If it has ended, Wait tells.
		<-read
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo: %v", err)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("it left %v (%v)", left, err)
		}
	})
	return d
}

func (d *shownDemo) receive(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m struct {
			Body struct {
				Event string `json:"event"`
				Unit  string `json:"unit"`
				Host  struct {
					Name string `json:"name"`
				} `json:"host"`
			} `json:"body"`
		}
		if json.Unmarshal(lines.Bytes(), &m) == nil && m.Body.Event != "" {
			d.events <- [3]string{m.Body.Event, m.Body.Host.Name, m.Body.Unit}
		}
	}
}

// await waits for an event.
func (d *shownDemo) await(t *testing.T, event, host, unit string) {
	t.Helper()
	for late := time.After(20 * time.Second); ; {
		select {
		case e := <-d.events:
			if e == [3]string{event, host, unit} {
				return
			}
		case <-late:
			t.Fatalf("no %s of %s on %s", event, unit, host)
		}
	}
}

// try runs the command that matches, in another folder, with more behind it.
func (d *shownDemo) try(t *testing.T, pattern, more string) (printed string, code int) {
	t.Helper()
	for _, command := range d.commands {
		if !regexp.MustCompile(pattern).MatchString(command) {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", command+more)
		cmd.Env, cmd.Dir = d.env, t.TempDir()
		out, _ := cmd.CombinedOutput() // The exit code tells.
		return string(out), cmd.ProcessState.ExitCode()
	}
	t.Fatalf("nothing to try matches %s in %q", pattern, d.commands)
	return "", 0
}

// The commands that a demo prints work as they are in a shell, and the demo tells what they have changed.
func TestCommandsOfTheDemo(t *testing.T) {
	d := startDemo(t, "--hosts", "7", "--seed", "1")
	tried := 0
	for _, test := range []struct {
		command, more, prints string
		codes                 []int
		event                 []string
	}{
		{`^service_manager status -i '`, "", `(?m)^7 hosts: `, []int{1, 2}, nil},
		{`^service_manager status --failed -i '`, "", `(?m)^! +web-01 +promtail\.service +not-found `, []int{1, 2}, nil},
		{`^service_manager status --watch -i '`, " | cat", `--watch redraws a terminal`, []int{0}, nil},
		{`^service_manager restart nginx @web -i '`, "</dev/null", `run it again with --yes`, []int{3}, nil},
		{
			`^service_manager restart nginx @web -i '`, " --yes --settle 0s --batch 100%", `(?m)^web-01  done +active/running `,
			[]int{0, 1, 2},
			[]string{publish.UnitRestarted, "web-01", "nginx.service"},
		},
		{
			`^service_manager restart certbot web-01 -i '`, " --yes --settle 0s", `(?m)^web-01  failed +failed/failed .*Job for certbot\.service failed`,
			[]int{1},
			[]string{publish.UnitFailed, "web-01", "certbot.service"},
		},
		{`^service_manager logs certbot web-01 -i '`, "", `(?m)^web-01 .*systemd\[1\]: Failed to start certbot\.service - Certbot\.$`, []int{0}, nil},
		{`^service_manager logs -f nginx @web -i '`, " | head -n 20", `(?m)^web-01 .*nginx\[\d+\]: `, []int{0}, nil},
	} {
		printed, code := d.try(t, test.command, test.more)
		if !regexp.MustCompile(test.prints).MatchString(printed) || !slices.Contains(test.codes, code) {
			t.Errorf("%s%s: exit code %d of %v, wanted %q; it printed\n%s", test.command, test.more, code, test.codes, test.prints, printed)
			continue
		}
		if test.event != nil {
			d.await(t, test.event[0], test.event[1], test.event[2])
		}
		tried++
	}
	if tried != len(d.commands)+1 {
		t.Errorf("%d tried, but it prints %q", tried, d.commands)
	}
}

// What the open files allow is said before a host is started.
func TestFewFiles(t *testing.T) {
	for _, test := range []struct {
		limit         int
		warning, fail string
	}{
		{4064, "", ""},
		{3164, "from another terminal no more than 100 hosts can be read at a time; for all of them run ulimit -n 4064 before it", ""},
		{3063, "", "1000 simulated hosts want 4064 open files, and only 3063 may be open: run ulimit -n 4064 before it, as root if need be; or simulate fewer: --hosts 749"},
		{60, "", "only 60 may be open: run ulimit -n 4064 before it, as root if need be"},
	} {
		warning, err := fewFiles(1000, test.limit)
		if !strings.Contains(warning, test.warning) || (warning == "") != (test.warning == "") {
			t.Errorf("%d: it warns %q, want %q", test.limit, warning, test.warning)
		}
		switch {
		case (err == nil) != (test.fail == ""), err != nil && (exitOf(err) != exitOwn || !strings.HasSuffix(err.Error(), test.fail)):
			t.Errorf("%d: %v, want %q", test.limit, err, test.fail)
		}
	}
}

package systemctl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collectorCommands are commands of all kinds that Query and Listing write.
func collectorCommands(tb testing.TB) map[string]string {
	tb.Helper()
	units := []string{
		`system-a\x2db.slice`, "-.mount", `odd\\name\.slice`, `back\slash\n.slice`, "a:b@c_d-e.mount", "a.service", "b.socket", "c.target", "d.device",
		"e.automount", "f.swap", "g.timer", "h.path", "i.scope", `end\.service`,
	}
	commands := map[string]string{}
	add := func(name string, asked question) {
		command, err := asked.Command()
		if err != nil {
			tb.Fatal(name, err)
		}
		commands[name] = command
	}
	for _, version := range []int{0, 219, 220, 228, 231, 232} {
		add(fmt.Sprintf("units, %d", version), Query{Nonce: NewNonce(), Units: units, Version: version, Limit: 72 * time.Second})
	}
	add("no units", Query{Nonce: NewNonce(), Limit: time.Minute})
	for _, limit := range []time.Duration{3 * time.Second, 7250 * time.Millisecond, 10*time.Minute - 1, 999 * time.Second} {
		add("listing, limit "+limit.String(), Listing{Nonce: NewNonce(), Globs: []string{"*"}, Limit: limit})
	}
	add("globs", Listing{Nonce: NewNonce(), Limit: time.Minute, Globs: []string{
		"*", "?", "[a-c]*.service", "[!a]*", "[^a]*", `a\x2d*`, "[-]x*", `\\*`, "w@[1-4]",
	}})
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf(`dev-disk-by\x2did-%04d\x2dpart.device`, i)
	}
	add("many units", Query{Nonce: NewNonce(), Units: many, Limit: time.Minute})
	return commands
}

// TestWrapperLetsTheCollectorThrough compares with what the same command does without a wrapper.
func TestWrapperLetsTheCollectorThrough(t *testing.T) {
	t.Parallel()
	commands := collectorCommands(t)
	for _, shell := range wrapperShells(t) {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			h := newWrapperHost(t, shell...)
			for name, command := range commands {
				want := h.run(t, command, true)
				if want.status != 0 || want.calls == "" || want.stderr != "" {
					t.Fatalf("%s: without wrapper %+v", name, want)
				}
				if diff := cmp.Diff(want, h.run(t, command, false), cmp.AllowUnexported(wrapped{})); diff != "" {
					t.Errorf("%s (-without +with wrapper):\n%s", name, diff)
				}
			}
		})
	}
}

func TestWrapperRefuses(t *testing.T) {
	t.Parallel()
	commands := hostileCommands(t)
	line := regexp.MustCompile(`^service_manager-report: refused \([a-z ]+\): this key may only report status; [^\n]*authorized-keys --wrapper\n$`)
	logged := regexp.MustCompile(`^<-t><service_manager-report><-p><authpriv.warning><refused to monitor from 192\.0\.2\.7 \([a-z ]+\): [ -~]{0,600}>$`)
	for _, shell := range wrapperShells(t) {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			h := newWrapperHost(t, shell...)
			before := h.files(t)
			for name, command := range commands {
				got := h.run(t, command, false)
				if got.status != 126 || got.stdout != "" || got.calls != "" || !line.MatchString(got.stderr) || len(got.stderr) > 200 {
					t.Errorf("%s: %+v", name, got)
				}
				if !IsWrapperRefusal("Welcome!\n"+got.stderr) || !logged.MatchString(got.log) {
					t.Errorf("%s: it said %q and logged %q", name, got.stderr, got.log)
				}
			}
			if diff := cmp.Diff(before, h.files(t)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
}

// TestWrapperLogs checks that the entry in the log tells what was tried, and that no wrapper waits or fails for want of a logger.
func TestWrapperLogs(t *testing.T) {
	t.Parallel()
	h := newWrapperHost(t, "sh")
	if got := h.run(t, "rm -rf /\n<x>", false); !strings.HasSuffix(got.log, "(another command): rm -rf /?<x>>") {
		t.Errorf("it logged %q", got.log)
	}
	command := strings.Replace(agreementSeeds(t)[1], "/a.service", "/$(reboot).service", 1)
	got := h.run(t, command, false)
	if !strings.Contains(got.log, "(a character): "+testNonce+" Version,") || !strings.Contains(got.log, "/$(reboot).service") {
		t.Errorf("it logged %q", got.log)
	}
	h.env = append(h.env, "LOGNAME=", "SSH_CONNECTION=")
	if got := h.run(t, "id", false); got.status != 126 || !strings.Contains(got.log, "refused to  from  (") {
		t.Errorf("without surroundings: %+v", got)
	}
	logger := filepath.Join(h.dir, "bin", "logger")
	if err := os.WriteFile(logger, []byte("#!/bin/sh\necho trouble; echo trouble >&2; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	expect := func(name string) {
		t.Helper()
		if got := h.run(t, "id", false); got.status != 126 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !IsWrapperRefusal(got.stderr) {
			t.Errorf("%s logger: %+v", name, got)
		}
	}
	expect("a failing")
	h.env = append(h.env, "PATH="+h.without(t, "logger")) // Whatever logger this machine has must not be told of a test.
	expect("no")
}

// without returns a folder for the PATH with what the wrapper needs but that.
func (h wrapperHost) without(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range slices.DeleteFunc([]string{"sh", "timeout", "sed", "tr", "logger"}, func(tool string) bool { return tool == name }) {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestWrapperOfAnotherVersion has a collector whose script, or whose properties, this wrapper does not know.
func TestWrapperOfAnotherVersion(t *testing.T) {
	t.Parallel()
	command, err := testQuery("a.service").Command()
	if err != nil {
		t.Fatal(err)
	}
	h := newWrapperHost(t, "sh")
	for _, newer := range []string{
		strings.Replace(command, "b boot;", "b uptime; e uptime; b boot;", 1), strings.Replace(command, "Names,", "Names,OOMKills,", 1),
	} {
		got := h.run(t, newer, false)
		if newer == command || got.status != 126 || !strings.Contains(got.stderr, "after an upgrade of the collector install this script anew") {
			t.Errorf("%+v", got)
		}
	}
}

func TestIsWrapperRefusal(t *testing.T) {
	t.Parallel()
	for stderr, want := range map[string]bool{
		"": false, "sh: 1: systemctl: not found\n": false, "see service_manager-report: refused\n": false,
		"service_manager-report: refused (no command): x\n": true, "motd\nservice_manager-report: refused": true,
	} {
		if got := IsWrapperRefusal(stderr); got != want {
			t.Errorf("IsWrapperRefusal(%q) = %v", stderr, got)
		}
	}
}

// TestWrapperIsFilled looks for places in the text that were left empty.
func TestWrapperIsFilled(t *testing.T) {
	t.Parallel()
	text := Wrapper("/opt/report")
	if found := regexp.MustCompile(`@[A-Z_]+@`).FindString(text); found != "" || !strings.Contains(text, `command="/opt/report"`) {
		t.Errorf("%q is left in:\n%s", found, text)
	}
}

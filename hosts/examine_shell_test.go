package hosts_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
)

// A key that may only report status is a good thing, and what it hides is not taken for trouble.
func TestExamineBehindAForcedCommand(t *testing.T) {
	for name, refuse := range map[string]func(string, io.Writer, io.Writer) int{
		"with words": func(_ string, _, stderr io.Writer) int { fmt.Fprintln(stderr, "only status"); return 1 },
		"silently":   func(string, io.Writer, io.Writer) int { return 126 },
	} {
		t.Run(name, func(t *testing.T) {
			poll := systemd("252")
			var refused []string
			r := examine(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
				if _, err := systemctl.ParseCommand(command); err == nil {
					return poll(ctx, command, stdout, stderr)
				}
				refused = append(refused, command)
				return refuse(command, stdout, stderr)
			}}, nil, 0)
			if got := trouble(r); got != nil || r.Outcome != hosts.OK {
				t.Errorf("outcome %s, trouble %q", r.Outcome, got)
			}
			if diff := cmp.Diff([]string{"true"}, refused); diff != "" {
				t.Errorf("commands that were refused, and logged there (-want +got):\n%s", diff)
			}
			if r.Shell != 0 || r.ClockOffset != nil {
				t.Errorf("measured %v, %v, want nothing", r.Shell, r.ClockOffset)
			}
		})
	}
}

// A slow or talkative login shell.
func TestExamineTheShell(t *testing.T) {
	for name, test := range map[string]struct {
		stdout, stderr string
		in             string
	}{
		"on stdout": {stdout: "Welcome to \x1b[31mweb-01\n", in: `stdout: "Welcome to ·[31mweb-01"`},
		"on stderr": {stderr: "setlocale: cannot change\n", in: "stderr"},
	} {
		t.Run(name, func(t *testing.T) {
			exec := commands(seen(well()))
			r := examine(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
				if command == "true" {
					_, _ = io.WriteString(stdout, test.stdout)
					_, _ = io.WriteString(stderr, test.stderr)
				}
				return exec(ctx, command, stdout, stderr)
			}}, nil, 0)
			if f := finding(t, r, "shell_noise"); !strings.Contains(f.Detail, test.in) {
				t.Errorf("detail %q, want %q in it", f.Detail, test.in)
			}
		})
	}
	t.Run("slow", func(t *testing.T) {
		exec := commands(seen(well()))
		r := examine(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
			if command == "true" {
				wait(ctx, 300*time.Millisecond)
			}
			return exec(ctx, command, stdout, stderr)
		}}, nil, 0)
		if f := finding(t, r, "slow_shell"); !strings.Contains(f.Remedy, "usermod --shell /bin/sh monitor") {
			t.Errorf("remedy %q", f.Remedy)
		}
		if r.Shell < 100*time.Millisecond {
			t.Errorf("the shell took %v", r.Shell)
		}
	})
}

// wait is a host that takes its time.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

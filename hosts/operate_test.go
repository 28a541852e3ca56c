package hosts_test

import (
	"context"
	"errors"
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

func restartNginx() systemctl.Operation {
	return systemctl.Operation{Verb: systemctl.Restart, Unit: "nginx.service", Sudo: true}
}

// operates runs one operation, bounded by ctx, on a host whose shell is exec, over a new connection.
func operates(ctx context.Context, t *testing.T, exec func(context.Context, string, io.Writer, io.Writer) int) error {
	t.Helper()
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: exec}) //nolint:contextcheck // The server outlives the call.
	s.know(t, server, server.HostKey())
	pool := newPool(t, hosts.Config{})
	if err := pool.Connect(t.Context(), s.host(server)); err != nil { //nolint:contextcheck // Likewise.
		t.Fatal(err)
	}
	return pool.Operate(ctx, s.host(server), restartNginx())
}

func TestOperateRunsTheCommandOnce(t *testing.T) {
	var commands []string
	err := operates(t.Context(), t, func(_ context.Context, command string, _, _ io.Writer) int {
		commands = append(commands, command)
		return 0
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"exec env LC_ALL=C sudo -n systemctl --no-ask-password restart -- nginx.service"}, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestOperateExplains(t *testing.T) {
	for _, test := range []struct {
		stderr string
		status int
		want   hosts.Outcome
		cause  systemctl.Cause
		tells  string
	}{
		{"Failed to restart nginx.service: Access denied\n", 4, hosts.Denied, systemctl.CauseNotPermitted, "not permitted: Failed to"},
		{"sudo: a password is required\n", 1, hosts.Denied, systemctl.CauseNoSudo, "sudo does not run it: sudo: a password is required"},
		{"Failed to restart nginx.service: Unit nginx.service not found.\n", 5, hosts.CommandFailed, systemctl.CauseNotFound, "Unit nginx.service not found."},
		{"Job for nginx.service failed because of \x1b[31mred\n", 1, hosts.CommandFailed, systemctl.CauseJobFailed, "failed because of ·[31mred"},
		{"sudo: systemctl: command not found\n", 1, hosts.NoSystemd, systemctl.CauseOther, "command not found"},
		{"Failed to connect to bus: Host is down\n", 1, hosts.NoSystemd, systemctl.CauseOther, "Host is down"},
		{"This account is currently not available.\n", 1, hosts.Denied, systemctl.CauseOther, "not available"},
		{"", 9, hosts.CommandFailed, systemctl.CauseOther, "exit status 9 and not a word"},
	} {
		err := operates(t.Context(), t, script("", test.stderr, test.status))
		failed, ok := errors.AsType[*systemctl.OperationError](err)
		if !ok || failed.Cause != test.cause || hosts.OutcomeOf(err) != test.want || !strings.Contains(err.Error(), test.tells) ||
			!strings.HasPrefix(err.Error(), "monitor@127.0.0.1:") || hosts.Unsent(err) {
			t.Errorf("%q: %s, %v (unsent: %v); want %s, %s", test.stderr, hosts.OutcomeOf(err), err, hosts.Unsent(err), test.want, test.tells)
		}
	}
}

// A key that is bound to reporting can only report.
func TestOperateWithABoundKey(t *testing.T) {
	err := operates(t.Context(), t, script("", "service_manager-report: refused (another command): this key may only report status\n", 126))
	if hosts.OutcomeOf(err) != hosts.Denied || !strings.Contains(err.Error(), "bound to reporting status there (authorized-keys), so it cannot restart") {
		t.Errorf("%s: %v", hosts.OutcomeOf(err), err)
	}
}

// A name that must not be sent is not, nor is anything where there is no connection.
func TestOperateSendsNothing(t *testing.T) {
	s := newSite(t)
	sent := false
	server := s.start(t, sshtest.Config{Exec: func(context.Context, string, io.Writer, io.Writer) int {
		sent = true
		return 0
	}})
	s.know(t, server, server.HostKey())
	h, pool := s.host(server), newPool(t, hosts.Config{})
	if err := pool.Operate(t.Context(), h, restartNginx()); !errors.Is(err, hosts.ErrNotConnected) || !hosts.Unsent(err) {
		t.Errorf("without a connection: %v (unsent: %v)", err, hosts.Unsent(err))
	}
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	evil := systemctl.Operation{Verb: systemctl.Stop, Unit: "$(reboot).service"}
	if err := pool.Operate(t.Context(), h, evil); !errors.Is(err, systemctl.ErrUnitName) || !hosts.Unsent(err) {
		t.Errorf("a bad name: %v (unsent: %v)", err, hosts.Unsent(err))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pool.Operate(ended, h, restartNginx()); !hosts.Unsent(err) {
		t.Errorf("after the end of the context: %v", err)
	}
	pool.Close()
	if err := pool.Operate(t.Context(), h, restartNginx()); !hosts.Unsent(err) {
		t.Errorf("a closed pool: %v", err)
	}
	server.Close()
	if sent {
		t.Error("a command was sent")
	}
}

// sshd refuses the command: nothing was done.
func TestOperateWhereNoCommandIsAccepted(t *testing.T) {
	err := operates(t.Context(), t, nil)
	if hosts.OutcomeOf(err) != hosts.Denied || !hosts.Unsent(err) {
		t.Errorf("%s: %v (unsent: %v)", hosts.OutcomeOf(err), err, hosts.Unsent(err))
	}
}

// When the time is up, or the person does not want to wait, what was begun goes on on the host, and is said to.
func TestOperateGivesUp(t *testing.T) {
	hang := func(ctx context.Context, _ string, _, _ io.Writer) int {
		<-ctx.Done()
		return -1
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := operates(ctx, t, hang)
	if hosts.OutcomeOf(err) != hosts.Timeout || hosts.Unsent(err) || !strings.Contains(err.Error(), "what it began goes on there") {
		t.Errorf("late: %s: %v", hosts.OutcomeOf(err), err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	err = operates(ctx, t, func(c context.Context, command string, stdout, stderr io.Writer) int {
		cancel()
		return hang(c, command, stdout, stderr)
	})
	if hosts.OutcomeOf(err) != hosts.Timeout || hosts.Unsent(err) || !strings.Contains(err.Error(), "interrupted while sudo -n systemctl") {
		t.Errorf("interrupted: %s: %v", hosts.OutcomeOf(err), err)
	}
}

// After a connection that broke on the way no one knows whether it was done, and it is not done twice.
func TestOperateLosesTheConnection(t *testing.T) {
	s := newSite(t)
	var server *sshtest.Server
	runs := 0
	server = s.start(t, sshtest.Config{Exec: func(context.Context, string, io.Writer, io.Writer) int {
		runs++
		server.Disconnect()
		return -1
	}})
	s.know(t, server, server.HostKey())
	pool := newPool(t, hosts.Config{})
	if err := pool.Connect(t.Context(), s.host(server)); err != nil {
		t.Fatal(err)
	}
	err := pool.Operate(t.Context(), s.host(server), restartNginx())
	if err == nil || hosts.Unsent(err) || !strings.Contains(err.Error(), "whether it was done is not known") {
		t.Errorf("%s: %v (unsent: %v)", hosts.OutcomeOf(err), err, hosts.Unsent(err))
	}
	pool.Close()
	server.Close()
	if runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
}

// A flood is cut off, as that of a poll is.
func TestOperateIsBounded(t *testing.T) {
	err := operates(t.Context(), t, func(_ context.Context, _ string, stdout, _ io.Writer) int {
		for range 1 << 20 {
			if _, err := fmt.Fprintln(stdout, strings.Repeat("x", 1<<10)); err != nil {
				return -1
			}
		}
		return 0
	})
	if hosts.OutcomeOf(err) != hosts.ProtocolError {
		t.Errorf("%s: %v", hosts.OutcomeOf(err), err)
	}
}

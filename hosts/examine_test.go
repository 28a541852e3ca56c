package hosts_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// commands answers the command of a poll like a host with systemd 252, "true" with nothing, and everything else by other.
func commands(other func(command string, stdout, stderr io.Writer) int) func(context.Context, string, io.Writer, io.Writer) int {
	poll := systemd("252")
	return func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		if _, err := systemctl.ParseCommand(command); err == nil {
			return poll(ctx, command, stdout, stderr)
		}
		if command == "true" {
			return 0
		}
		return other(command, stdout, stderr)
	}
}

// seen answers the command that looks around with these facts, in place of a shell.
func seen(facts map[string]string) func(command string, stdout, stderr io.Writer) int {
	return func(command string, stdout, stderr io.Writer) int {
		_, nonce, ok := strings.Cut(command, "; n=")
		if !ok {
			fmt.Fprintln(stderr, "unexpected command", command)
			return 127
		}
		nonce, _, _ = strings.Cut(nonce, ";")
		for name, text := range facts {
			fmt.Fprintf(stdout, "\n--%s %s\n%s\n", nonce, name, text)
		}
		return 0
	}
}

// well are the facts of a host on which nothing is wrong.
func well(changes ...string) map[string]string {
	now := time.Now()
	facts := map[string]string{
		"begun": stamp(now), "ended": stamp(now), "user": "1000", "groups": "monitor systemd-journal",
		"timeout": "/usr/bin/timeout", "connection": "192.0.2.7 40000 192.0.2.1 22", "shell": "/bin/sh",
		"config /etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
	}
	for i := 0; i < len(changes); i += 2 {
		facts[changes[i]] = changes[i+1]
	}
	return facts
}

// stamp is a moment as date +%s.%N prints it.
func stamp(moment time.Time) string {
	return fmt.Sprintf("%d.%09d", moment.Unix(), moment.Nanosecond())
}

// examine examines a host with the given server.
func examine(t *testing.T, config sshtest.Config, change func(*inventory.Host), behind int) hosts.Report {
	t.Helper()
	s := newSite(t)
	server := s.start(t, config)
	s.know(t, server, server.HostKey())
	h := s.host(server)
	h.Units = []string{"nginx.service"}
	if change != nil {
		change(&h)
	}
	return newPool(t, hosts.Config{}).Examine(t.Context(), h, behind)
}

// trouble lists the findings that are more than a note, as "step: code".
func trouble(r hosts.Report) []string {
	var found []string
	for _, f := range r.Findings {
		if f.Severity > hosts.SeverityNote {
			found = append(found, f.Step+": "+f.Code)
		}
	}
	return found
}

func finding(t *testing.T, r hosts.Report, code string) hosts.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Code == code {
			return f
		}
	}
	t.Fatalf("no finding %s among %+v", code, r.Findings)
	return hosts.Finding{}
}

func TestExamineAHostThatIsWell(t *testing.T) {
	r := examine(t, sshtest.Config{Exec: commands(seen(well()))}, nil, 0)
	if got := trouble(r); got != nil || r.Outcome != hosts.OK {
		t.Errorf("outcome %s, trouble %q, want none", r.Outcome, got)
	}
	var steps []string
	for _, f := range r.Findings {
		steps = append(steps, f.Step)
	}
	want := []string{
		"resolve", "connect", "server", "host key", "algorithms", "authentication", "round trip", "shell", "query", "systemd", "account",
		"clock", "sshd", "sessions",
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if r.Systemd != "252" || r.Server != "Go" || r.RoundTrip <= 0 || r.Query <= 0 || r.Took <= 0 || r.ClockOffset == nil {
		t.Errorf("measures %+v", r)
	}
}

func TestExamineFacts(t *testing.T) {
	old, coming := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		facts  map[string]string
		change func(*inventory.Host)
		behind int
		want   string // code
		in     string // detail or remedy
	}{
		"root":                {facts: well("user", "0"), want: "root", in: "useradd"},
		"no journal":          {facts: well("groups", "monitor"), want: "no_journal", in: "usermod --append --groups systemd-journal monitor"},
		"no timeout":          {facts: well("timeout", ""), want: "no_timeout_command", in: "coreutils"},
		"clock behind":        {facts: well("begun", stamp(old), "ended", stamp(old)), want: "clock_offset", in: "1h0m"},
		"clock without %N":    {facts: well("begun", fmt.Sprint(old.Unix(), ".%N"), "ended", fmt.Sprint(old.Unix(), ".%N")), want: "clock_offset", in: "behind ours"},
		"clock far ahead":     {facts: well("begun", stamp(coming), "ended", stamp(coming)), want: "clock_offset", in: "ahead of ours"},
		"connections are cut": {facts: well("config /etc/ssh/sshd_config", "UnusedConnectionTimeout 5s"), want: "unused_connection_timeout", in: "Match User monitor"},
		"a drop-in comes first": {
			facts: well("config /etc/ssh/sshd_config.d/10.conf", "unusedconnectiontimeout=10s\n",
				"config /etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUnusedConnectionTimeout none"),
			want: "unused_connection_timeout", in: "10s",
		},
		"tunnels are cut": {
			facts: well("config /etc/ssh/sshd_config", "ChannelTimeout session=1h direct-tcpip=5s"), behind: 3, want: "channel_timeout",
			in: "direct-tcpip=5s, for a jump host of 3 hosts",
		},
		"sudo": {
			facts: well("sudo", "1"), change: func(h *inventory.Host) { h.SSH.Become = "sudo" }, want: "no_sudo",
			in: "monitor ALL=(root) NOPASSWD",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, sshtest.Config{Exec: commands(seen(test.facts))}, test.change, test.behind)
			f := finding(t, r, test.want)
			if !strings.Contains(f.Detail+"\n"+f.Remedy, test.in) || f.Problem == "" || f.Why == "" || f.Severity == hosts.SeverityOK {
				t.Errorf("%+v, want %q in it, a problem and why", f, test.in)
			}
			if r.Outcome != hosts.OK {
				t.Errorf("outcome %s", r.Outcome)
			}
		})
	}
}

// The command that looks around works in a real shell, as the login shell's argument.
func TestExamineRunsARealShell(t *testing.T) {
	dir := t.TempDir()
	const list = "#!/bin/sh\necho 'postgresql.service enabled enabled'\necho 'postgresql@.service disabled enabled'\necho 'ngnix.service static -'\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(list), 0o700); err != nil {
		t.Fatal(err)
	}
	shell := func(command string, stdout, stderr io.Writer) int {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22")
		cmd.Stdout, cmd.Stderr = stdout, stderr
		_ = cmd.Run() // What it printed counts.
		return cmd.ProcessState.ExitCode()
	}
	r := examine(t, sshtest.Config{Version: "SSH-2.0-OpenSSH_9.9", Exec: commands(shell)}, func(h *inventory.Host) {
		h.Units = []string{"ghost.service", "nginx.service"}
	}, 0)
	if r.ClockOffset == nil || r.ClockOffset.Abs() > time.Minute {
		t.Errorf("clock offset %v of the same machine", r.ClockOffset)
	}
	if f := finding(t, r, "not_exempt"); !strings.Contains(f.Remedy, "192.0.2.7") {
		t.Errorf("remedy %q, want our address as the host sees it", f.Remedy)
	}
	for _, f := range r.Findings {
		if f.Code == "no_timeout_command" || strings.HasPrefix(f.Detail, "not visible") {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, r, "unit_not_found"); f.Detail != "ghost.service" {
		t.Errorf("missing units %q", f.Detail)
	}
}

//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// An examined is what doctor -o json says of a host, the broker or the collector.
type examined struct {
	About       string   `json:"about"`
	Name        string   `json:"name"`
	Severity    string   `json:"severity"`
	Outcome     *string  `json:"outcome"`
	Server      *string  `json:"server"`
	Systemd     *string  `json:"systemd"`
	RoundTripMS *float64 `json:"round_trip_ms"`
	ShellMS     *float64 `json:"shell_ms"`
	ClockOffset *float64 `json:"clock_offset_seconds"`
	Findings    []struct {
		Step     string `json:"step"`
		Code     string `json:"code"`
		Severity string `json:"severity"`
		Detail   string `json:"detail"`
		Problem  string `json:"problem"`
		Why      string `json:"why"`
		Remedy   string `json:"remedy"`
	} `json:"findings"`
}

// doctor runs the stack's program, and returns what it says by name, and its exit code.
func doctor(t *testing.T, args ...string) (map[string]examined, int) {
	t.Helper()
	command := []string{"exec", stack.container(t, "collector"), "/service_manager", "doctor", "-o", "json"}
	out, err := stack.run(t.Context(), "docker", append(command, args...)...)
	exit, ended := errors.AsType[*exec.ExitError](err)
	if err != nil && !ended {
		t.Fatal(err)
	}
	var list []examined
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s (%v)", err, out, err)
	}
	found := make(map[string]examined)
	for _, e := range list {
		found[e.Name] = e
	}
	if ended {
		return found, exit.ExitCode()
	}
	return found, 0
}

// wants fails t unless there is a finding with that code and severity whose detail or remedy contains text.
func (e examined) wants(t *testing.T, code, severity, text string) {
	t.Helper()
	for _, f := range e.Findings {
		if f.Code == code {
			if f.Severity != severity || !strings.Contains(f.Detail+"\n"+f.Remedy, text) {
				t.Errorf("%s: %+v, want %s with %q", e.Name, f, severity, text)
			}
			return
		}
	}
	t.Errorf("%s: no %s among %+v", e.Name, code, e.Findings)
}

// The real sshd and systemd of three Debians, as they are.
func TestDoctor(t *testing.T) {
	found, code := doctor(t)
	if code != 0 {
		t.Errorf("exit code %d: warnings ask for none", code)
	}
	for name, server := range map[string]string{"web-01": "OpenSSH_9.2p1", "web-02": "OpenSSH_10.", "db-01": "OpenSSH_8.4p1"} {
		e := found[name]
		if e.Outcome == nil || *e.Outcome != "ok" || e.Server == nil || !strings.HasPrefix(*e.Server, server) || e.RoundTripMS == nil {
			t.Errorf("%s: %+v, want ok, and server %s", name, e, server)
			continue
		}
		if e.ClockOffset == nil || *e.ClockOffset > 1 || *e.ClockOffset < -1 {
			t.Errorf("%s: clock offset %v on one machine", name, e.ClockOffset)
		}
		e.wants(t, "no_journal", "note", "usermod --append --groups systemd-journal monitor")
		for _, f := range e.Findings {
			if strings.Contains(f.Detail, "not visible") || f.Code == "few_sessions" || f.Code == "shell_noise" || f.Code == "no_timeout_command" {
				t.Errorf("%s: %+v on a plain Debian", name, f)
			}
		}
	}
	found["web-01"].wants(t, "unit_not_found", "warning", "ghost.service")
	found["web-01"].wants(t, "unit_masked", "warning", "systemctl unmask masked.service")
	found["web-01"].wants(t, "unit_failed", "note", "broken.service")
	found["db-01"].wants(t, "unit_alias", "note", "mount-controller.service is mount_controller.service")
	found["web-02"].wants(t, "not_exempt", "note", "PerSourcePenaltyExemptList ")
	if collector := found["collector"]; collector.Severity == "error" {
		t.Errorf("%+v", collector)
	}
}

// An sshd and an account that make trouble.
func TestDoctorFindsTrouble(t *testing.T) {
	const config, rc = "/etc/ssh/sshd_config.d/000-doctor.conf", "/home/monitor/.bashrc"
	stack.must(t, "web-01", "printf 'MaxSessions 2\\nUnusedConnectionTimeout 1s\\n' >"+config+" && systemctl reload ssh.service && "+
		"printf 'echo hello from rc; sleep 0.5\\n' >"+rc+" && usermod --shell /bin/bash monitor")
	defer stack.must(t, "web-01", "rm "+config+" "+rc+" && usermod --shell /bin/sh monitor && systemctl reload ssh.service")
	found, code := doctor(t, "--only", "hosts", "web-01")
	if code != 0 || len(found) != 1 {
		t.Fatalf("exit code %d, %d examined, want 0 and web-01 alone", code, len(found))
	}
	e := found["web-01"]
	e.wants(t, "few_sessions", "warning", "2 at a time")
	e.wants(t, "slow_shell", "warning", "usermod --shell /bin/sh monitor")
	e.wants(t, "shell_noise", "warning", `stdout: "hello from rc"`)
	e.wants(t, "unused_connection_timeout", "warning", "UnusedConnectionTimeout 1s, and a poll each 2s")
	if e.ShellMS == nil || *e.ShellMS < 400 {
		t.Errorf("the shell takes %v ms, but its rc file sleeps for 500", e.ShellMS)
	}
}

// Hosts that cannot be read, and why.
func TestDoctorExplainsFailures(t *testing.T) {
	for name, test := range map[string]struct{ spoil, mend, outcome, text string }{
		"nologin": {"usermod --shell /usr/sbin/nologin monitor", "usermod --shell /bin/sh monitor", "denied", "getent passwd monitor"},
		"other key": {
			"mv /home/monitor/.ssh/authorized_keys /root/", "mv /root/authorized_keys /home/monitor/.ssh/", "auth_failed", "authorized_keys",
		},
	} {
		t.Run(name, func(t *testing.T) {
			stack.must(t, "web-02", test.spoil)
			defer stack.must(t, "web-02", test.mend)
			found, code := doctor(t, "--only", "hosts", "web-02")
			if code != 2 {
				t.Errorf("exit code %d, want 2: a host cannot be read", code)
			}
			found["web-02"].wants(t, test.outcome, "error", test.text)
		})
	}
}

// What the broker of the stack refuses is told as of hosts: what is wrong, why it matters, and the command that mends it.
func TestDoctorExplainsTheBroker(t *testing.T) {
	if found, code := doctor(t, "--only", "broker"); code != 0 || found["broker"].Severity == "error" {
		t.Fatalf("exit code %d, found %+v before anything is wrong", code, found)
	}
	stack.must(t, "broker", "rabbitmqctl clear_permissions collector")
	defer stack.must(t, "broker", "rabbitmqctl set_permissions collector '^$' '^service_manager$' '^$'")
	found, code := doctor(t, "--only", "broker")
	if code != 4 {
		t.Errorf("exit code %d, want 4: nothing can be published", code)
	}
	e := found["broker"]
	e.wants(t, "vhost_denied", "error", "rabbitmqctl set_permissions -p / collector ")
	last := e.Findings[len(e.Findings)-1]
	if !strings.HasSuffix(last.Step, " vhost") || last.Problem != "the user may not use the vhost" || last.Why == "" {
		t.Errorf("found %+v", last)
	}
}

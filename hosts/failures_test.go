package hosts_test

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
)

// outcomeOfClass is what the classes of testdata/failures.tsv come to. The exceptions are in [outcomeOfText].
func outcomeOfClass() map[string]hosts.Outcome {
	return map[string]hosts.Outcome{
		"not_booted":    hosts.NoSystemd,
		"chroot":        hosts.NoSystemd,
		"no_systemctl":  hosts.NoSystemd,
		"pid1_hung":     hosts.Timeout,
		"denied":        hosts.Denied,
		"login_refused": hosts.Denied,
		"sudo":          hosts.Denied,
		"dbus_down":     hosts.CommandFailed,
		"bad_unit_name": hosts.CommandFailed,
		"bad_option":    hosts.CommandFailed,
		"parse":         hosts.CommandFailed,
		"user_bus":      hosts.CommandFailed,
		"sudo_noise":    hosts.OK,
	}
}

func outcomeOfText() map[string]hosts.Outcome {
	return map[string]hosts.Outcome{
		"bash: /usr/bin/systemctl: Permission denied":                                                                 hosts.Denied,
		"Failed to connect to system scope bus via machine transport: Permission denied":                              hosts.Denied,
		`Invalid unit name "foo bar.service" escaped as "foo\x20bar.service" (maybe you should use systemd-escape?).`: hosts.OK,
	}
}

// notPrinted are the rows that no host prints in an answer: what ssh(1) says, for which see [TestWhereSSHWouldComplain], and the answer
// to another question.
func notPrinted(class, text string) bool { return class == "ssh" || text == "offline" }

// TestKnownFailures plays each text that is known of hosts in trouble, in the place where the host prints it, and wants its outcome.
func TestKnownFailures(t *testing.T) {
	s := newSite(t)
	pool := newPool(t, hosts.Config{})
	for _, columns := range knownFailures(t) {
		class, exit, stream, text := columns[0], columns[1], columns[2], columns[3]
		if notPrinted(class, text) {
			continue
		}
		want, known := outcomeOfText()[text]
		if !known {
			if want, known = outcomeOfClass()[class]; !known {
				t.Errorf("class %q has no outcome", class)
			}
		}
		t.Run(class+" "+text, func(t *testing.T) {
			server := s.start(t, sshtest.Config{Exec: troubled(t, class, exit, stream, text)})
			s.know(t, server, server.HostKey())
			h := s.host(server)
			_, err := read(t.Context(), pool, h)
			if got := hosts.OutcomeOf(err); got != want {
				t.Errorf("outcome %q, want %q: %v", got, want, err)
			}
			if err != nil && stream != "-" && !strings.Contains(err.Error(), firstWords(text)) {
				t.Errorf("error %q does not say %q", err, text)
			}
		})
	}
}

// knownFailures are the rows of the table.
func knownFailures(t *testing.T) (rows [][]string) {
	t.Helper()
	table, err := os.ReadFile("testdata/failures.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		columns := strings.Split(row, "\t")
		if len(columns) != 5 {
			t.Fatalf("%d columns: %q", len(columns), row)
		}
		rows = append(rows, columns)
	}
	return rows
}

// TestWhereSSHWouldComplain brings about what each text of ssh(1) stands for, and wants its outcome. The texts are for finding the row.
func TestWhereSSHWouldComplain(t *testing.T) {
	stranger := newSite(t).userKey
	refuse := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: err}
		}
	}
	situations := map[string]struct {
		server  sshtest.Config
		dial    func(context.Context, string, string) (net.Conn, error)
		unknown bool // the host key
		want    hosts.Outcome
	}{
		"Host key verification failed.": {unknown: true, want: hosts.HostKeyUnknown},
		"user@host: Permission denied (publickey,password).": {
			server: sshtest.Config{UserKey: stranger}, want: hosts.AuthFailed,
		},
		"ssh: connect to host H port 22: Connection refused": {dial: refuse(syscall.ECONNREFUSED), want: hosts.Unreachable},
		"ssh: Could not resolve hostname H: Name or service not known": {
			dial: refuse(&net.DNSError{Err: "no such host", Name: "H", IsNotFound: true}), want: hosts.Unreachable,
		},
		"kex_exchange_identification: Connection closed by remote host": {server: sshtest.Config{Greet: greet("")}, want: hosts.Throttled},
		"Connection timed out during banner exchange": {
			server: sshtest.Config{Greet: func(ctx context.Context, _ net.Conn) bool { <-ctx.Done(); return false }}, want: hosts.Timeout,
		},
		"Connection to H closed by remote host.": {
			server: sshtest.Config{Joined: func(c *ssh.ServerConn) { _ = c.Close() }}, want: hosts.ProtocolError,
		},
		"exec request failed on channel 0": {want: hosts.Denied},
		"Unable to negotiate with H: no matching host key type found. Their offer: ssh-rsa": {
			server: sshtest.Config{Configure: func(c *ssh.ServerConfig) { c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH1SHA1} }},
			want:   hosts.ProtocolError,
		},
	}
	for _, columns := range knownFailures(t) {
		if columns[0] != "ssh" {
			continue
		}
		situation, ok := situations[columns[3]]
		if !ok {
			t.Errorf("nothing stands for %q", columns[3])
			continue
		}
		t.Run(columns[3], func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.start(t, situation.server)
			if !situation.unknown {
				s.know(t, server, server.HostKey())
			}
			h := s.host(server)
			h.ConnectTimeout = 2 * time.Second
			_, err := read(t.Context(), newPool(t, hosts.Config{Dial: situation.dial}), h)
			wantOutcome(t, err, situation.want, "")
		})
	}
}

// firstWords is what an error has room for.
func firstWords(text string) string { return text[:min(len(text), 120)] }

// troubled prints a text and ends: in place of an answer where the login, or sudo, is refused, beside a whole one where the exit
// status is 0, and else in the middle of the first section.
func troubled(t *testing.T, class, exit, stream, text string) func(context.Context, string, io.Writer, io.Writer) int {
	t.Helper()
	status := 1
	if exit != "*" {
		var err error
		if status, err = strconv.Atoi(exit); err != nil {
			t.Fatal(err)
		}
	}
	whole := systemd("252")
	return func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		request, _ := systemctl.ParseCommand(command)
		inside := class != "login_refused" && class != "sudo"
		if status == 0 && class != "chroot" {
			whole(ctx, command, stdout, stderr)
		} else if inside {
			_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, systemctl.SectionManager))
		}
		switch {
		case stream == "-":
		case strings.HasSuffix(stream, "stderr"):
			_, _ = io.WriteString(stderr, text+"\n")
		default:
			_, _ = io.WriteString(stdout, text+"\n")
		}
		if inside && (status != 0 || class == "chroot") {
			_, _ = io.WriteString(stdout, systemctl.EndMarker(request.Nonce, systemctl.SectionManager, status))
		}
		return status
	}
}

package hosts_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// A host that cannot be read has the outcome that a poll has, at the step that failed, with what to do.
func TestExamineFailures(t *testing.T) {
	hang := func(ctx context.Context, _ string, _, _ io.Writer) int { <-ctx.Done(); return -1 }
	for name, test := range map[string]struct {
		config  sshtest.Config
		change  func(*inventory.Host)
		known   func(site, *sshtest.Server) string // what known_hosts has in place of the server's key
		outcome hosts.Outcome
		step    string
		code    string // the outcome's, unless it is said
		remedy  string // part of it
	}{
		"no such port": {change: func(h *inventory.Host) { h.SSH.Port = 1 }, outcome: hosts.Unreachable, step: "connect"},
		"no such name": {change: func(h *inventory.Host) { h.Address = "no-such-host.invalid" }, outcome: hosts.Unreachable, step: "connect"},
		"throttled":    {config: sshtest.Config{Greet: greet("")}, outcome: hosts.Throttled, step: "handshake"},
		"no ssh":       {config: sshtest.Config{Greet: greet("220 mail\r\n")}, outcome: hosts.ProtocolError, step: "handshake"},
		"frozen": {
			config: sshtest.Config{Greet: func(ctx context.Context, _ net.Conn) bool { <-ctx.Done(); return false }}, outcome: hosts.Timeout, step: "handshake",
			change: func(h *inventory.Host) { h.ConnectTimeout = time.Second },
		},
		"unknown key": {known: func(site, *sshtest.Server) string { return "" }, outcome: hosts.HostKeyUnknown, step: "host key"},
		"changed key": {
			known: func(s site, server *sshtest.Server) string {
				return knownhosts.Line([]string{knownhosts.Normalize(server.Addr().String())}, s.userKey)
			}, outcome: hosts.HostKeyChanged, step: "host key",
		},
		"revoked key": {
			known: func(_ site, server *sshtest.Server) string {
				return "@revoked * " + string(ssh.MarshalAuthorizedKey(server.HostKey()))
			}, outcome: hosts.HostKeyChanged, step: "host key", remedy: "ssh-keygen -A",
		},
		"other user key": {config: sshtest.Config{UserKey: ecdsaKey(t).PublicKey()}, outcome: hosts.AuthFailed, step: "authentication"},
		"no user key": {
			change: func(h *inventory.Host) { h.SSH.IdentityFile += "-gone" }, outcome: hosts.AuthFailed, step: "authentication", code: "user_key",
		},
		"known_hosts is a folder": {
			change:  func(h *inventory.Host) { h.SSH.KnownHosts = []string{filepath.Dir(h.SSH.KnownHosts[0])} },
			outcome: hosts.HostKeyUnknown, step: "host key", code: "known_hosts",
		},
		"nologin":       {config: sshtest.Config{Exec: script("This account is currently not available.\n", "", 1)}, outcome: hosts.Denied, step: "query"},
		"no command":    {config: sshtest.Config{}, outcome: hosts.Denied, step: "query"},
		"no systemd":    {config: sshtest.Config{Exec: script("", "sh: 1: systemctl: not found\n", 127)}, outcome: hosts.NoSystemd, step: "query"},
		"garbage":       {config: sshtest.Config{Exec: script("hello\n", "", 0)}, outcome: hosts.ProtocolError, step: "query"},
		"lost":          {config: sshtest.Config{Exec: script("", "", -1)}, outcome: hosts.ProtocolError, step: "shell"},
		"hanging shell": {config: sshtest.Config{Exec: hang}, change: func(h *inventory.Host) { h.Timeout = time.Second }, outcome: hosts.Timeout, step: "shell"},
		"hanging PID 1": {
			config:  sshtest.Config{Exec: commandsOf(hang, seen(well()))},
			change:  func(h *inventory.Host) { h.Timeout = 300 * time.Millisecond },
			outcome: hosts.Timeout, step: "query",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.start(t, test.config)
			s.know(t, server, server.HostKey())
			if test.known != nil {
				s.write(t, "known_hosts", test.known(s, server))
			}
			h := s.host(server)
			if test.change != nil {
				test.change(&h)
			}
			r := newPool(t, hosts.Config{}).Examine(t.Context(), h, 0)
			if r.Outcome != test.outcome || r.Severity() != hosts.SeverityError {
				t.Errorf("outcome %s, severity %s, want %s", r.Outcome, r.Severity(), test.outcome)
			}
			code := test.code
			if code == "" {
				code = string(test.outcome)
			}
			f := finding(t, r, code)
			if f.Step != test.step || f.Severity != hosts.SeverityError || f.Detail == "" || f.Problem == "" || f.Why == "" || f.Remedy == "" {
				t.Errorf("%+v, want step %q and all texts", f, test.step)
			}
			if !strings.Contains(f.Remedy, test.remedy) {
				t.Errorf("to mend it: %s, want %q", f.Remedy, test.remedy)
			}
			if test.outcome == hosts.HostKeyChanged && !strings.HasSuffix(f.Remedy, "service_manager trust --replace {selector}") {
				t.Errorf("to mend it: %s", f.Remedy)
			}
		})
	}
}

// When the examination is told to stop, it does, wherever it is.
func TestExamineEndsWithItsContext(t *testing.T) {
	s := newSite(t)
	reached := make(chan struct{}, 1)
	server := s.start(t, sshtest.Config{Exec: func(ctx context.Context, _ string, _, _ io.Writer) int {
		reached <- struct{}{}
		<-ctx.Done()
		return -1
	}})
	s.know(t, server, server.HostKey())
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if r := newPool(t, hosts.Config{}).Examine(ctx, s.host(server), 0); r.Took > 15*time.Second {
		t.Errorf("it took %v", r.Took)
	}
}

// The files on this machine that all hosts need are looked at once.
func TestExamineFiles(t *testing.T) {
	encrypted := []byte(encryptedKey(t))
	for name, test := range map[string]struct {
		prepare func(site) error
		want    []string
	}{
		"well":           {func(site) error { return nil }, nil},
		"writable hosts": {func(s site) error { return os.Chmod(s.path("known_hosts"), 0o666) }, []string{"known_hosts: writable_known_hosts"}},
		"encrypted key":  {func(s site) error { return os.WriteFile(s.path("id"), encrypted, 0o600) }, []string{"user key: user_key"}},
		"no key":         {func(s site) error { return os.Remove(s.path("id")) }, []string{"user key: user_key"}},
		"no known_hosts": {func(s site) error { return os.Remove(s.path("known_hosts")) }, []string{"known_hosts: no_known_hosts"}},
		"bad line": {func(s site) error {
			return os.WriteFile(s.path("known_hosts"), []byte("web-01 ssh-ed25519 AAAA\n"), 0o600)
		}, []string{"known_hosts: bad_known_hosts_line"}},
		"known_hosts is a folder": {func(s site) error {
			return errors.Join(os.Remove(s.path("known_hosts")), os.Mkdir(s.path("known_hosts"), 0o700))
		}, []string{"known_hosts: known_hosts"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if err := test.prepare(s); err != nil {
				t.Fatal(err)
			}
			found := newPool(t, hosts.Config{}).ExamineFiles(t.Context(), []inventory.Host{s.hostAt(22), s.hostAt(2222)})
			if diff := cmp.Diff(test.want, trouble(hosts.Report{Findings: found})); diff != "" {
				t.Errorf("trouble (-want +got):\n%s", diff)
			}
			if len(found) != 2 {
				t.Errorf("%d findings about two files", len(found))
			}
		})
	}
}

// What to do about a host names the commands that do it, all jump hosts on the way included.
func TestExamineRemedies(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{})
	pool := newPool(t, hosts.Config{})
	h := s.host(server)
	s.know(t, server, s.userKey)
	if got := finding(t, pool.Examine(t.Context(), h, 0), "host_key_changed").Remedy; !strings.HasSuffix(got, ": service_manager trust --replace {selector}") {
		t.Errorf("of a changed key: %s", got)
	}
	odd := h
	odd.SSH.Port, odd.SSH.KnownHosts = 1, []string{`/my "hosts"/it's`}
	want := ` -o 'UserKnownHostsFile="/my \"hosts\"/it'\''s"' -p 1 `
	if got := finding(t, pool.Examine(t.Context(), odd, 0), "unreachable").Remedy; !strings.Contains(got, want) {
		t.Errorf("of a file with spaces and quotes: %s, want %s", got, want)
	}
	outer, inner := s.hostAt(1), s.hostAt(2)
	outer.Address, inner.Via, h.Via = "127.0.0.2", &outer, &inner
	if got := finding(t, pool.Examine(t.Context(), h, 0), "unreachable").Remedy; !strings.Contains(got, " -J monitor@127.0.0.2:1,monitor@127.0.0.1:2 ") {
		t.Errorf("of a host behind two jump hosts: %s", got)
	}
}

package hosts_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// read connects and polls, as the collector does with a host that it has no connection to.
func read(ctx context.Context, pool *hosts.Pool, h inventory.Host) (hosts.Snapshot, error) {
	if err := pool.Connect(ctx, h); err != nil {
		return hosts.Snapshot{}, err
	}
	return pool.Poll(ctx, h)
}

func newPool(t *testing.T, config hosts.Config) *hosts.Pool {
	t.Helper()
	pool := hosts.New(config)
	t.Cleanup(pool.Close)
	return pool
}

func TestPollReadsTheUnits(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252.39-1~deb12u1")})
	s.know(t, server, server.HostKey())

	got, err := read(t.Context(), newPool(t, hosts.Config{}), s.host(server))
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, u := range got.Units {
		units = append(units, u.Name+" "+u.LoadState+" "+u.ActiveState)
	}
	if diff := cmp.Diff([]string{"nginx.service loaded active", "ghost.service not-found inactive"}, units); diff != "" {
		t.Errorf("units (-want +got):\n%s", diff)
	}
	if got.Manager.Version != "252" || got.Manager.State != "running" || got.BootID == "" {
		t.Errorf("manager %+v, boot id %q", got.Manager, got.BootID)
	}
	if got.Took <= 0 {
		t.Errorf("the poll took %v", got.Took)
	}
}

func TestPollsShareOneConnection(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	var polls sync.WaitGroup
	for range 20 {
		polls.Go(func() {
			if _, err := pool.Poll(t.Context(), h); err != nil {
				t.Error(err)
			}
		})
	}
	polls.Wait()
	if n := server.Accepted(); n != 1 {
		t.Errorf("20 polls took %d connections, want 1", n)
	}
}

func TestDeadConnectionAsksForConnect(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)

	if _, err := pool.Poll(t.Context(), h); !errors.Is(err, hosts.ErrNotConnected) || pool.Connected(h.Name) {
		t.Errorf("before any connection: connected %v, error %v", pool.Connected(h.Name), err)
	}
	if _, err := read(t.Context(), pool, h); err != nil || !pool.Connected(h.Name) {
		t.Fatalf("connected %v, error %v", pool.Connected(h.Name), err)
	}
	server.Disconnect()
	if _, err := pool.Poll(t.Context(), h); !errors.Is(err, hosts.ErrNotConnected) || pool.Connected(h.Name) {
		t.Errorf("on a dead connection: connected %v, error %v", pool.Connected(h.Name), err)
	}
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Errorf("after another Connect: %v", err)
	}
}

// A host that is dropped keeps no connection, and may come back.
func TestDrop(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	pool.Drop(h.Name) // It is not known yet.
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Fatal(err)
	}
	pool.Drop(h.Name)
	if pool.Connected(h.Name) || pool.Stats().Connections != 0 {
		t.Errorf("connected %v, %d connections", pool.Connected(h.Name), pool.Stats().Connections)
	}
	if _, err := pool.Poll(t.Context(), h); !errors.Is(err, hosts.ErrNotConnected) {
		t.Errorf("got %v", err)
	}
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// A connection to where a host was before the inventory changed tells nothing of the host.
func TestHostMoves(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.know(t, server, server.HostKey())
	for name, move := range map[string]func(*inventory.Host){
		"address":   func(h *inventory.Host) { h.Address = "127.0.0.2" },
		"port":      func(h *inventory.Host) { h.SSH.Port++ },
		"user":      func(h *inventory.Host) { h.SSH.User = "other" },
		"alias":     func(h *inventory.Host) { h.SSH.HostKeyAlias = "blue" },
		"jump host": func(h *inventory.Host) { h.Via = new(s.hostAt(22)) },
	} {
		pool, h := newPool(t, hosts.Config{}), s.host(server)
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Fatal(err)
		}
		same := h
		same.Units = h.Units[:1]
		if _, err := pool.Poll(t.Context(), same); err != nil {
			t.Errorf("with another list of units: %v", err)
		}
		move(&h)
		if _, err := pool.Poll(t.Context(), h); !errors.Is(err, hosts.ErrNotConnected) || pool.Connected(h.Name) {
			t.Errorf("with another %s: error %v, connected %v", name, err, pool.Connected(h.Name))
		}
	}
}

// A connection that breaks in the middle of an answer is dead too, but dialling once more must not hide it for ever.
func TestConnectionLostInAnAnswer(t *testing.T) {
	s := newSite(t)
	var server *sshtest.Server
	server = s.start(t, sshtest.Config{Exec: func(_ context.Context, command string, stdout, _ io.Writer) int {
		request, _ := systemctl.ParseCommand(command)
		_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, systemctl.SectionManager)+"Version=25")
		server.Disconnect()
		return -1
	}})
	s.know(t, server, server.HostKey())
	_, err := read(t.Context(), newPool(t, hosts.Config{}), s.host(server))
	if !errors.Is(err, hosts.ErrNotConnected) || hosts.OutcomeOf(err) != hosts.ProtocolError {
		t.Errorf("outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
}

// A host that refuses the command, again and again, is not logged in to again and again.
func TestRefusedCommandLeavesTheConnection(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := pool.Poll(t.Context(), h)
		wantOutcome(t, err, hosts.Denied, "refused to run a command")
	}
}

// An old systemd is asked anew in its own way within the same poll, and at once in that way from then on.
func TestOldSystemdIsAskedAgain(t *testing.T) {
	s := newSite(t)
	var mu sync.Mutex
	var groups []int
	answer := systemd("219")
	server := s.start(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		request, err := systemctl.ParseCommand(command)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		groups = append(groups, len(request.Groups))
		mu.Unlock()
		return answer(ctx, command, stdout, stderr)
	}})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	h.Units = []string{"nginx.service", "backup.timer"}
	for range 2 {
		if got, err := read(t.Context(), pool, h); err != nil || len(got.Units) != 2 {
			t.Fatalf("%d units, error %v", len(got.Units), err)
		}
	}
	if diff := cmp.Diff([]int{1, 2, 2}, groups); diff != "" {
		t.Errorf("groups per command (-want +got):\n%s", diff)
	}
}

func TestClose(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.know(t, server, server.HostKey())
	pool, h := hosts.New(hosts.Config{}), s.host(server)
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if err := pool.Connect(t.Context(), h); hosts.OutcomeOf(err) != hosts.Unreachable {
		t.Errorf("after Close: %v", err)
	}
	if pool.Connected(h.Name) {
		t.Error("still connected after Close")
	}
}

// TestOutcomes plays what can go wrong with a server, and wants the outcome and a text that says what to do about it.
func TestOutcomes(t *testing.T) {
	_, otherKey, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	block := func(ctx context.Context, _ net.Conn) bool { <-ctx.Done(); return false }
	for _, test := range []struct {
		name    string
		server  sshtest.Config
		prepare func(*testing.T, site, *sshtest.Server, *inventory.Host)
		want    hosts.Outcome
		text    string
	}{
		{name: "silent before the banner", server: sshtest.Config{Greet: block}, prepare: hurry, want: hosts.Timeout, text: "no SSH banner"},
		{name: "closed before the banner", server: sshtest.Config{Greet: greet("")}, want: hosts.Throttled, text: "MaxStartups"},
		{name: "penalty", server: sshtest.Config{Greet: greet("Not allowed at this time\r\n")}, want: hosts.Throttled, text: "PerSourcePenalties"},
		{name: "too many start-ups", server: sshtest.Config{Greet: greet("Exceeded MaxStartups\r\n")}, want: hosts.Throttled, text: "Exceeded MaxStartups"},
		{name: "another protocol", server: sshtest.Config{Greet: greet("HTTP/1.1 400 Bad Request\r\n\r\n")}, want: hosts.ProtocolError, text: "no SSH server"},
		{name: "endless greeting", server: sshtest.Config{Greet: greet(strings.Repeat("x", 1<<20))}, want: hosts.ProtocolError, text: "no SSH server"},
		{name: "garbage behind the banner", server: sshtest.Config{Greet: greet("SSH-2.0-x\r\n" + strings.Repeat("\xff", 4096))}, want: hosts.ProtocolError, text: "handshake failed"},
		{
			name: "unknown host key", want: hosts.HostKeyUnknown, text: "service_manager trust web-01",
			prepare: func(t *testing.T, s site, _ *sshtest.Server, _ *inventory.Host) {
				t.Helper()
				s.write(t, "known_hosts", "")
			},
		},
		{
			name: "changed host key", want: hosts.HostKeyChanged, text: "service_manager trust --replace web-01",
			prepare: func(t *testing.T, s site, server *sshtest.Server, _ *inventory.Host) {
				t.Helper()
				s.know(t, server, otherKey.PublicKey())
			},
		},
		{
			name: "changed host key of another type", want: hosts.HostKeyChanged, text: "service_manager trust --replace web-01",
			prepare: func(t *testing.T, s site, server *sshtest.Server, _ *inventory.Host) {
				t.Helper()
				s.know(t, server, ecdsaKey(t).PublicKey())
			},
		},
		{
			name: "revoked host key", want: hosts.HostKeyChanged, text: "revoked",
			prepare: func(t *testing.T, s site, server *sshtest.Server, _ *inventory.Host) {
				t.Helper()
				s.write(t, "known_hosts", "@revoked * "+string(ssh.MarshalAuthorizedKey(server.HostKey())))
			},
		},
		{
			name: "broken known_hosts", want: hosts.HostKeyUnknown, text: "known_hosts:1",
			prepare: func(t *testing.T, s site, _ *sshtest.Server, _ *inventory.Host) {
				t.Helper()
				s.write(t, "known_hosts", "web-01 ssh-ed25519 not-base64\n")
			},
		},
		{name: "key not authorized", server: sshtest.Config{UserKey: otherKey.PublicKey()}, want: hosts.AuthFailed, text: "authorized_keys"},
		{
			name: "no user key", want: hosts.AuthFailed, text: "reading the user key",
			prepare: func(t *testing.T, s site, _ *sshtest.Server, h *inventory.Host) {
				t.Helper()
				h.SSH.IdentityFile = s.path("nothing")
			},
		},
		{
			name: "encrypted user key", want: hosts.AuthFailed, text: "is encrypted",
			prepare: func(t *testing.T, s site, _ *sshtest.Server, _ *inventory.Host) {
				t.Helper()
				s.write(t, "id", encryptedKey(t))
			},
		},
		{name: "commands refused", want: hosts.Denied, text: "ForceCommand"},
		{name: "nologin", server: sshtest.Config{Exec: script("This account is currently not available.\n", "", 1)}, want: hosts.Denied, text: "not available"},
		{name: "false", server: sshtest.Config{Exec: script("", "", 1)}, want: hosts.Denied, text: "/bin/false"},
		{name: "no timeout(1), no systemctl", server: sshtest.Config{Exec: script("", "sh: 1: systemctl: not found\n", 127)}, want: hosts.NoSystemd, text: "systemctl: not found"},
		{name: "time up on the host", server: sshtest.Config{Exec: script("", "", 124)}, want: hosts.Timeout, text: "PID 1"},
		{name: "other command", server: sshtest.Config{Exec: script("Welcome!\n", "", 0)}, want: hosts.ProtocolError, text: "Welcome!"},
		{name: "a unit's words on a failed poll", server: sshtest.Config{Exec: wordy}, want: hosts.ProtocolError, text: "not a whole answer"},
		{name: "flood", server: sshtest.Config{Exec: flood}, want: hosts.ProtocolError, text: "more output"},
		{name: "flood of errors", server: sshtest.Config{Exec: func(ctx context.Context, c string, _, errout io.Writer) int { return flood(ctx, c, errout, nil) }}, want: hosts.ProtocolError, text: "more output"},
		{name: "hung command", server: sshtest.Config{Exec: hang}, prepare: hurry, want: hosts.Timeout, text: "no answer within"},
		{name: "no exit status", server: sshtest.Config{Exec: script("", "", -1)}, want: hosts.ProtocolError, text: "connection lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			server := s.start(t, test.server)
			s.know(t, server, server.HostKey())
			h := s.host(server)
			if test.prepare != nil {
				test.prepare(t, s, server, &h)
			}
			_, err := read(t.Context(), newPool(t, hosts.Config{}), h)
			if got := hosts.OutcomeOf(err); got != test.want {
				t.Fatalf("outcome %q, want %q: %v", got, test.want, err)
			}
			if !strings.Contains(err.Error(), test.text) || !strings.HasPrefix(err.Error(), "monitor@127.0.0.1:") {
				t.Errorf("error %q, want it to name the target and to say %q", err, test.text)
			}
		})
	}
}

// hurry shortens a host's time-outs, for a server that does not answer in any time.
func hurry(_ *testing.T, _ site, _ *sshtest.Server, h *inventory.Host) {
	h.Timeout, h.ConnectTimeout = 500*time.Millisecond, 2*time.Second
}

// wordy is cut off in a unit whose description reads like an error of sudo.
func wordy(_ context.Context, command string, stdout, _ io.Writer) int {
	request, _ := systemctl.ParseCommand(command)
	_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, systemctl.SectionManager)+"Version=252\n"+
		systemctl.EndMarker(request.Nonce, systemctl.SectionManager, 0)+systemctl.BeginMarker(request.Nonce, systemctl.SectionUnits)+
		"Description=sudo: a password is required\n")
	return 0
}

func hang(ctx context.Context, _ string, _, _ io.Writer) int {
	<-ctx.Done()
	return -1
}

// flood writes until it is stopped.
func flood(ctx context.Context, _ string, stdout, _ io.Writer) int {
	block := make([]byte, 32<<10)
	for ctx.Err() == nil {
		if _, err := stdout.Write(block); err != nil {
			break
		}
	}
	return -1
}

// Trouble that a host's sshd would punish must not be tried again soon; trouble with our own files may be.
func TestPersistent(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	if err := pool.Connect(t.Context(), h); !hosts.Persistent(err) {
		t.Errorf("an unknown host key is tried again soon: %v", err)
	}
	h.SSH.IdentityFile = s.path("nothing")
	if err := pool.Connect(t.Context(), h); hosts.Persistent(err) || hosts.OutcomeOf(err) != hosts.AuthFailed {
		t.Errorf("a missing key file keeps the host waiting: %v", err)
	}
	if hosts.Persistent(nil) {
		t.Error("a host that was read is trouble")
	}
}

func TestDialErrors(t *testing.T) {
	const nothing = 1 // A port where nothing listens, and that no program is given by chance.
	for _, test := range []struct {
		name string
		dial func(context.Context, string, string) (net.Conn, error)
		text string
	}{
		{name: "refused", text: "is sshd running"},
		{name: "no such name", text: "DNS", dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "web-01", IsNotFound: true}}
		}},
		{name: "DNS is down", text: "resolving web-01", dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", Name: "web-01"}}
		}},
		{name: "black hole", text: "firewall", dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newSite(t).hostAt(nothing)
			h.ConnectTimeout = 500 * time.Millisecond
			err := newPool(t, hosts.Config{Dial: test.dial}).Connect(t.Context(), h)
			if hosts.OutcomeOf(err) != hosts.Unreachable || !strings.Contains(err.Error(), test.text) {
				t.Errorf("outcome %q, error %v; want one that says %q", hosts.OutcomeOf(err), err, test.text)
			}
		})
	}
}

// A key may be looked up by another name than the address (ssh_config(5), HostKeyAlias).
func TestHostKeyAlias(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.write(t, "known_hosts", "blue "+string(ssh.MarshalAuthorizedKey(server.HostKey())))
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	if _, err := read(t.Context(), pool, h); hosts.OutcomeOf(err) != hosts.HostKeyUnknown {
		t.Errorf("without the alias: %v", err)
	}
	h.SSH.HostKeyAlias = "blue"
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Errorf("with the alias: %v", err)
	}
}

// A key or a known_hosts file that a person mends works at the next dial.
func TestFilesAreReadAgain(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	if _, err := read(t.Context(), pool, h); hosts.OutcomeOf(err) != hosts.HostKeyUnknown {
		t.Errorf("before the key is known: %v", err)
	}
	s.know(t, server, server.HostKey())
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Errorf("after it is: %v", err)
	}
}

// A server that has a key of each type must be asked for the type that is known, or the key looks changed (golang/go#29286).
func TestAsksForTheKnownKeyType(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252"), MoreHostKeys: []ssh.Signer{ecdsaKey(t)}})
	s.know(t, server, server.HostKey())
	if _, err := read(t.Context(), newPool(t, hosts.Config{}), s.host(server)); err != nil {
		t.Error(err)
	}
}

// The end of the context, such as SIGTERM, frees a call at once, however long it might still take.
func TestInterrupted(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	server := s.start(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		cancel()
		return hang(ctx, command, stdout, stderr)
	}})
	s.know(t, server, server.HostKey())
	h := s.host(server)
	h.Timeout = time.Hour
	if _, err := read(ctx, newPool(t, hosts.Config{}), h); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want it to say that the poll was interrupted", err)
	}
}

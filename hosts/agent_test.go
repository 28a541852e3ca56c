package hosts_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// startAgent serves connections at $SSH_AUTH_SOCK until the test ends.
func startAgent(t *testing.T, serve func(net.Conn)) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var served conc.WaitGroup
	served.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				serve(c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		served.Wait() // It also shows that no client keeps a connection.
	})
	t.Setenv("SSH_AUTH_SOCK", socket)
}

func serveKeyring(ring agent.Agent) func(net.Conn) {
	return func(c net.Conn) { _ = agent.ServeAgent(ring, c) }
}

// newKeyring returns an agent that holds keys.
func newKeyring(t *testing.T, keys ...agent.AddedKey) agent.Agent {
	t.Helper()
	ring := agent.NewKeyring()
	for _, key := range keys {
		if err := ring.Add(key); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

func newPrivate(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	return userKeys(t)["ed25519"].(ed25519.PrivateKey)
}

func viaAgent(identity string) func(*inventory.Host) {
	return func(h *inventory.Host) { h.SSH.Agent, h.SSH.IdentityFile = true, identity }
}

func TestAgentKeyTypes(t *testing.T) {
	for name, key := range userKeys(t) {
		t.Run(name, func(t *testing.T) {
			s := newSite(t).withKey(t, key)
			startAgent(t, serveKeyring(newKeyring(t, agent.AddedKey{PrivateKey: key})))
			if err := s.login(t, sshtest.Config{}, viaAgent("")); err != nil {
				t.Error(err)
			}
		})
	}
}

// An identity file tells the agent's keys apart, in whatever form it tells its public half.
func TestAgentIdentityFile(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, site) string{
		"private key": func(_ *testing.T, s site) string { return s.path("id") },
		"public key": func(t *testing.T, s site) string {
			t.Helper()
			s.write(t, "chosen.pub", string(ssh.MarshalAuthorizedKey(s.userKey)))
			return s.path("chosen.pub")
		},
		"public key beside it": func(t *testing.T, s site) string {
			t.Helper()
			s.write(t, "chosen.pub", string(ssh.MarshalAuthorizedKey(s.userKey)))
			return s.path("chosen")
		},
	} {
		t.Run(name, func(t *testing.T) {
			key := newPrivate(t)
			s := newSite(t).withKey(t, key)
			startAgent(t, serveKeyring(newKeyring(t, agent.AddedKey{PrivateKey: newPrivate(t)}, agent.AddedKey{PrivateKey: key})))
			if err := s.login(t, sshtest.Config{}, viaAgent(prepare(t, s))); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("encrypted private key", func(t *testing.T) {
		s := newSite(t)
		s.write(t, "id", encryptedKey(t))
		startAgent(t, serveKeyring(newKeyring(t, agent.AddedKey{PrivateKey: newPrivate(t)})))
		err := s.login(t, sshtest.Config{}, viaAgent(s.path("id")))
		if err == nil || !strings.Contains(err.Error(), "holds 1 key, but not SHA256:") {
			t.Errorf("error %v, want one that says which key the agent wants", err)
		}
	})
}

func TestAgentErrors(t *testing.T) {
	locked := newKeyring(t, agent.AddedKey{PrivateKey: newPrivate(t)})
	if err := locked.Lock([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ring agent.Agent
		want string
	}{
		"no key":   {newKeyring(t), "holds no key"},
		"locked":   {locked, "is locked"},
		"two keys": {newKeyring(t, agent.AddedKey{PrivateKey: newPrivate(t)}, agent.AddedKey{PrivateKey: newPrivate(t)}), "holds 2 keys, and only one may be offered"},
	} {
		t.Run(name, func(t *testing.T) {
			startAgent(t, serveKeyring(test.ring))
			err := newSite(t).loginError(t, viaAgent(""))
			if !strings.Contains(err.Error(), test.want) || hosts.Persistent(err) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	t.Run("no agent", func(t *testing.T) {
		t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "nothing"))
		if err := newSite(t).loginError(t, viaAgent("")); !strings.Contains(err.Error(), "connecting to the agent") {
			t.Error(err)
		}
		t.Setenv("SSH_AUTH_SOCK", "")
		if err := newSite(t).loginError(t, viaAgent("")); !strings.Contains(err.Error(), "SSH_AUTH_SOCK") {
			t.Error(err)
		}
	})
	t.Run("nothing in the identity file", func(t *testing.T) {
		s := newSite(t)
		s.write(t, "id", "nonsense")
		startAgent(t, serveKeyring(newKeyring(t)))
		if err := s.loginError(t, viaAgent(s.path("id"))); !strings.Contains(err.Error(), "which key of the agent is meant") {
			t.Error(err)
		}
	})
	t.Run("hangs up", func(t *testing.T) {
		startAgent(t, func(net.Conn) {})
		if err := newSite(t).loginError(t, viaAgent("")); !strings.Contains(err.Error(), "the agent at ") {
			t.Error(err)
		}
	})
}

// loginError wants the login to fail with an auth_failed.
func (s site) loginError(t *testing.T, adapt func(*inventory.Host)) error {
	t.Helper()
	err := s.login(t, sshtest.Config{}, adapt)
	if hosts.OutcomeOf(err) != hosts.AuthFailed {
		t.Fatalf("error %v, want %s", err, hosts.AuthFailed)
	}
	return err
}

func TestAgentCertificates(t *testing.T) {
	ca := newAuthority(t)
	for name, key := range userKeys(t) {
		t.Run(name, func(t *testing.T) {
			s := newSite(t).withKey(t, key)
			cert := ca.certify(t, s.userKey, nil)
			expired := ca.certify(t, s.userKey, func(c *ssh.Certificate) { c.ValidBefore = unix(time.Now().Add(-time.Minute)) })
			alone, certified := agent.AddedKey{PrivateKey: key}, agent.AddedKey{PrivateKey: key, Certificate: cert}
			s.write(t, "cert", string(ssh.MarshalAuthorizedKey(cert)))
			byFile := func(h *inventory.Host) {
				h.SSH.Agent, h.SSH.IdentityFile, h.SSH.CertificateFile = true, "", s.path("cert")
			}

			startAgent(t, serveKeyring(newKeyring(t, agent.AddedKey{PrivateKey: newPrivate(t)}, alone)))
			if err := s.login(t, sshtest.Config{Configure: ca.accept}, byFile); err != nil {
				t.Errorf("the file's certificate: %v", err)
			}
			startAgent(t, serveKeyring(newKeyring(t, alone, agent.AddedKey{PrivateKey: key, Certificate: expired}, certified)))
			if err := s.login(t, sshtest.Config{Configure: ca.accept}, viaAgent("")); err != nil {
				t.Errorf("the agent's certificate: %v", err)
			}
			startAgent(t, serveKeyring(newKeyring(t, certified)))
			if err := s.login(t, sshtest.Config{Configure: ca.accept}, byFile); err != nil {
				t.Errorf("the file's certificate, where the agent holds the key in another: %v", err)
			}
		})
	}
}

// frozen reads what comes and answers nothing.
func frozen(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestFrozenAgent(t *testing.T) {
	startAgent(t, frozen)
	started := time.Now()
	err := newSite(t).loginError(t, viaAgent(""))
	if !strings.Contains(err.Error(), "did not answer in time") || time.Since(started) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(started), err)
	}
}

// cautious lists its keys and asks somebody before it signs, who says no, or is not there.
type cautious struct {
	agent.Agent
	refuse bool
	asked  chan<- struct{}
	done   <-chan struct{}
}

func (c cautious) Sign(ssh.PublicKey, []byte) (*ssh.Signature, error) {
	if !c.refuse {
		c.asked <- struct{}{}
		<-c.done
	}
	return nil, errors.New("the person said no")
}

func TestAgentDoesNotSign(t *testing.T) {
	key := newPrivate(t)
	s := newSite(t).withKey(t, key)
	ring := newKeyring(t, agent.AddedKey{PrivateKey: key})
	t.Run("refuses", func(t *testing.T) {
		startAgent(t, serveKeyring(cautious{Agent: ring, refuse: true}))
		if err := s.loginError(t, viaAgent("")); !strings.Contains(err.Error(), "failed to sign") {
			t.Error(err)
		}
	})
	t.Run("waits", func(t *testing.T) {
		asked, done := make(chan struct{}, 1), make(chan struct{})
		startAgent(t, serveKeyring(cautious{Agent: ring, asked: asked, done: done}))
		t.Cleanup(func() { close(done) })
		err := s.loginError(t, func(h *inventory.Host) {
			viaAgent("")(h)
			h.ConnectTimeout = 2 * time.Second
		})
		if !strings.Contains(err.Error(), "wait for a person") || len(asked) != 1 {
			t.Error(err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		asked, done := make(chan struct{}), make(chan struct{})
		startAgent(t, serveKeyring(cautious{Agent: ring, asked: asked, done: done}))
		t.Cleanup(func() { close(done) })
		server := s.start(t, sshtest.Config{Exec: systemd("252")})
		s.know(t, server, server.HostKey())
		h := s.host(server)
		viaAgent("")(&h)
		ctx, cancel := context.WithCancel(t.Context())
		var stopped conc.WaitGroup
		stopped.Go(func() { <-asked; cancel() })
		err := newPool(t, hosts.Config{}).Connect(ctx, h)
		stopped.Wait()
		if !errors.Is(err, context.Canceled) || hosts.OutcomeOf(err) != hosts.Timeout {
			t.Error(err)
		}
	})
}

// Each of many handshakes at once asks the agent twice, one after the other, and leaves no connection to it behind.
func TestAgentConnections(t *testing.T) {
	const logins = 8
	key := newPrivate(t)
	s := newSite(t).withKey(t, key)
	var connections atomic.Int64
	serve := serveKeyring(newKeyring(t, agent.AddedKey{PrivateKey: key}))
	startAgent(t, func(c net.Conn) {
		connections.Add(1)
		serve(c)
	})
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.know(t, server, server.HostKey())
	pool := newPool(t, hosts.Config{})
	var group conc.WaitGroup
	for i := range logins {
		h := s.host(server)
		viaAgent("")(&h)
		h.Name = fmt.Sprint("web-", i)
		group.Go(func() {
			if err := pool.Connect(t.Context(), h); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := connections.Load(); n != 2*logins {
		t.Errorf("%d connections for %d logins", n, logins)
	}
}

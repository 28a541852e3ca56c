package hosts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// behind returns n hosts behind via that are all the same server.
func (l *lab) behind(via *inventory.Host, n int) []inventory.Host {
	all := make([]inventory.Host, n)
	for i := range all {
		all[i] = l.host("web-01", via)
		all[i].Name = fmt.Sprintf("web-01 %d", i)
	}
	return all
}

// all calls f for all hosts at the same time, and returns the errors in their order.
func all(hosts []inventory.Host, f func(inventory.Host) error) []error {
	errs := make([]error, len(hosts))
	var calls sync.WaitGroup
	for i, h := range hosts {
		calls.Go(func() { errs[i] = f(h) })
	}
	calls.Wait()
	return errs
}

// Real sockets, two jump hosts in a row, and the host's address known to the nearer one only.
func TestJumpChain(t *testing.T) {
	s := newSite(t)
	target := s.start(t, sshtest.Config{Exec: systemd("252")})
	inner := s.start(t, sshtest.Config{Forward: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "web-01.internal:2222" {
			return nil, fmt.Errorf("no address for %s", address)
		}
		return new(net.Dialer).DialContext(ctx, network, target.Addr().String())
	}})
	outer := s.start(t, sshtest.Config{Forward: new(net.Dialer).DialContext})
	var known strings.Builder
	for address, server := range map[string]*sshtest.Server{
		"[web-01.internal]:2222":                         target,
		fmt.Sprintf("[127.0.0.1]:%d", inner.Addr().Port): inner,
		fmt.Sprintf("[127.0.0.1]:%d", outer.Addr().Port): outer,
	} {
		known.WriteString(address + " " + string(ssh.MarshalAuthorizedKey(server.HostKey())))
	}
	s.write(t, "known_hosts", known.String())
	first, second, h := s.host(outer), s.host(inner), s.hostAt(2222)
	first.Name, second.Name, h.Address = "outer", "inner", "web-01.internal"
	second.Via, h.Via = &first, &second

	var refusing atomic.Bool // As the port of a suspended server does, unless someone else was given it.
	pool := newPool(t, hosts.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if refusing.Load() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}})
	for range 2 {
		got, err := read(t.Context(), pool, h)
		if err != nil || len(got.Units) != 2 {
			t.Fatalf("%d units, error %v", len(got.Units), err)
		}
	}
	if n := []int{outer.Accepted(), outer.Forwarded(), inner.Forwarded()}; !slices.Equal(n, []int{1, 1, 2}) {
		t.Errorf("connections, tunnels of the outer, tunnels of the inner jump host: %v", n)
	}
	h.Address, h.Name = "web-02.internal", "web-02"
	wantOutcome(t, pool.Connect(t.Context(), h), hosts.Unreachable,
		"its jump host inner could not connect to it: no address for web-02.internal:2222")
	refusing.Store(true)
	outer.Suspend()
	var err error
	for err == nil || !strings.Contains(err.Error(), "connection refused") { // Until the news of it are through.
		err = pool.Connect(t.Context(), h)
	}
	wantOutcome(t, err, hosts.Unreachable, fmt.Sprintf(
		"web-02.internal:2222: its jump host inner: %s: its jump host outer: %s: connection refused", sshTarget(inner), sshTarget(outer)))
}

func sshTarget(s *sshtest.Server) string { return "monitor@" + s.Addr().String() }

// Hundreds of hosts that come at once share connections of no more tunnels than they may have.
func TestTunnelsShareConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bastion := l.add(t, "bastion", sshtest.Config{Forward: l.dial, Exec: systemd("252")})
		server := l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		pool, via := l.pool(t), l.host("bastion", nil)
		fleet := l.behind(&via, 300)
		connect := func(h inventory.Host) error { return pool.Connect(t.Context(), h) }
		if err := errors.Join(all(fleet[:100], connect)...); err != nil {
			t.Fatal(err)
		}
		if n := bastion.Accepted(); n != 1 {
			t.Errorf("100 hosts took %d connections to their jump host, want 1", n)
		}
		poll := func(h inventory.Host) error { _, err := read(t.Context(), pool, h); return err }
		if err := errors.Join(all(append(fleet, via), poll)...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := hosts.Stats{Connections: 301, JumpConnections: 2, Tunnels: 300, Dials: 100 + 300 + 1 + 2}
		if diff := cmp.Diff(want, pool.Stats()); diff != "" || bastion.Accepted() != 3 || server.Accepted() != 400 {
			t.Errorf("%d connections to the jump host; stats (-want +got):\n%s", bastion.Accepted(), diff)
		}

		// Unused for a while, the connections go.
		server.Disconnect()
		synctest.Wait()
		if got := pool.Stats(); got.Connections != 1 || got.JumpConnections != 2 || got.Tunnels != 0 {
			t.Errorf("without hosts: %+v", got)
		}
		time.Sleep(10 * time.Minute)
		if got := pool.Stats(); got.JumpConnections != 0 {
			t.Errorf("10 minutes later: %+v", got)
		}
		if err := poll(fleet[0]); err != nil {
			t.Error(err)
		}
	})
}

func TestTunnelsPerConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		pool := newPool(t, hosts.Config{Dial: l.dial, TunnelsPerConnection: 2})
		via := l.host("bastion", nil)
		err := errors.Join(all(l.behind(&via, 5), func(h inventory.Host) error { return pool.Connect(t.Context(), h) })...)
		if got := pool.Stats(); err != nil || got.JumpConnections != 3 || got.Tunnels != 5 {
			t.Errorf("%+v, error %v", got, err)
		}
	})
}

// A jump host that goes down in the middle of a poll makes its hosts unreachable, and is asked by one of them at a time.
func TestJumpHostGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bastion := l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		var polls sync.WaitGroup
		polls.Add(50)
		l.add(t, "web-01", sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
			polls.Done()
			return hang(ctx, command, stdout, stderr)
		}})
		var dials atomic.Int64
		var down atomic.Bool
		pool := newPool(t, hosts.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			if down.Load() {
				address = "nowhere"
			}
			return l.dial(ctx, network, address)
		}})
		via := l.host("bastion", nil)
		fleet := l.behind(&via, 50)
		go func() {
			polls.Wait()
			down.Store(true)
			bastion.Disconnect()
		}()
		for _, err := range all(fleet, func(h inventory.Host) error { _, err := read(t.Context(), pool, h); return err }) {
			if !errors.Is(err, hosts.ErrNotConnected) {
				t.Fatalf("in the middle of a poll: %v", err)
			}
		}
		dials.Store(0)
		connect := func(h inventory.Host) error { return pool.Connect(t.Context(), h) }
		for _, err := range all(fleet, connect) {
			wantOutcome(t, err, hosts.Unreachable, "its jump host bastion: monitor@bastion:22: connection refused")
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("50 hosts dialled their jump host %d times, want once", n)
		}
		for range 60 {
			time.Sleep(time.Second)
			all(fleet, connect)
		}
		if n := dials.Load(); n < 5 || n > 30 {
			t.Errorf("in a minute 50 hosts dialled their jump host %d times", n)
		}
		down.Store(false)
		time.Sleep(15 * time.Second)
		if err := errors.Join(all(fleet, connect)...); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

// A jump host that is broken in a way that must not be tried soon is not tried by the hosts behind it either, which themselves may be.
func TestJumpHostRefusesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		private, other, err := sshtest.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		l.write(t, "other", string(private))
		bastion := l.add(t, "bastion", sshtest.Config{Forward: l.dial, UserKey: other.PublicKey()})
		l.add(t, "web-01", sshtest.Config{})
		pool, via := l.pool(t), l.host("bastion", nil)
		fleet := l.behind(&via, 50)
		for range 20 {
			for _, err := range all(fleet, func(h inventory.Host) error { return pool.Connect(t.Context(), h) }) {
				wantOutcome(t, err, hosts.Unreachable, "its jump host bastion: monitor@bastion:22: ")
				if hosts.Persistent(err) {
					t.Fatal("the host itself is left alone for what its jump host did")
				}
			}
			time.Sleep(10 * time.Second)
		}
		if n := bastion.Accepted(); n != 1 {
			t.Errorf("%d attempts in 200 s, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		if err := pool.Connect(t.Context(), fleet[0]); err == nil || bastion.Accepted() != 2 {
			t.Errorf("after 5 minutes: %d attempts, error %v", bastion.Accepted(), err)
		}
		mended := via
		mended.SSH.IdentityFile = l.path("other")
		if err := pool.Connect(t.Context(), l.host("web-01", &mended)); err != nil {
			t.Errorf("with other settings: %v", err)
		}
		l.write(t, "id", string(private)) // The bastion's key now, and no longer that of the hosts behind it.
		time.Sleep(2 * time.Second)
		wantOutcome(t, pool.Connect(t.Context(), fleet[0]), hosts.AuthFailed, "")
		if n := bastion.Accepted(); n != 4 {
			t.Errorf("%d attempts after the key was changed, want the two before, the one with other settings, and one", n)
		}
	})
}

// The polls of all hosts behind a frozen jump host end in their time, and so does finding out whose fault it is.
func TestFrozenJumpHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bastion := l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		pool, via := l.pool(t), l.host("bastion", nil)
		fleet := l.behind(&via, 50)
		poll := func(h inventory.Host) error { _, err := pool.Poll(t.Context(), h); return err }
		connect := func(h inventory.Host) error { return pool.Connect(t.Context(), h) }
		if err := errors.Join(all(fleet, connect)...); err != nil {
			t.Fatal(err)
		}
		bastion.Freeze()
		took := began()
		for _, err := range all(fleet, poll) {
			wantOutcome(t, err, hosts.Timeout, "no answer within 8s")
		}
		if took() != 8*time.Second {
			t.Errorf("the polls took %v", took())
		}
		took = began()
		for _, err := range all(fleet, poll) {
			if !errors.Is(err, hosts.ErrNotConnected) {
				t.Errorf("the next poll: %v", err)
			}
		}
		if took() != 2*time.Second {
			t.Errorf("the next polls took %v", took())
		}
		took = began()
		for _, err := range all(fleet, connect) {
			wantOutcome(t, err, hosts.Unreachable, "its jump host bastion")
		}
		if took() != 5*time.Second {
			t.Errorf("connecting took %v", took())
		}
		if got := pool.Stats(); got.JumpConnections != 0 || got.Tunnels != 0 {
			t.Errorf("the dead connection is kept: %+v", got)
		}
		bastion.Thaw()
		time.Sleep(15 * time.Second)
		if err := errors.Join(all(fleet, connect)...); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

// A jump host's connection that went dead without notice is replaced within the same call.
func TestDeadJumpConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		dead := l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		pool, via := l.pool(t), l.host("bastion", nil)
		fleet := l.behind(&via, 2)
		if err := pool.Connect(t.Context(), fleet[0]); err != nil {
			t.Fatal(err)
		}
		dead.Freeze()
		l.knownHosts = ""
		l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		if err := pool.Connect(t.Context(), fleet[1]); err != nil {
			t.Error(err)
		}
	})
}

// A host that drops packets costs its jump host one attempt at a time, and disturbs no other host.
func TestBlackHoleBehindJumpHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		found := make(chan struct{})
		bastion := l.add(t, "bastion", sshtest.Config{Forward: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "dark:22" {
				select {
				case <-ctx.Done():
				case <-found:
				}
			}
			return l.dial(ctx, network, address)
		}})
		l.add(t, "dark", sshtest.Config{Exec: systemd("252")})
		l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		pool, via := l.pool(t), l.host("bastion", nil)
		dark, web := l.host("dark", &via), l.host("web-01", &via)
		for range 3 {
			took := began()
			wantOutcome(t, pool.Connect(t.Context(), dark), hosts.Unreachable, "bastion answers, but had no connection to the host within 5s")
			if took() != dark.ConnectTimeout {
				t.Errorf("connecting took %v", took())
			}
			took = began()
			if _, err := read(t.Context(), pool, web); err != nil || took() > 0 {
				t.Errorf("the other host, after %v: %v", took(), err)
			}
		}
		synctest.Wait() // For the end of the other host's earlier connections.
		if got := pool.Stats(); bastion.Accepted() != 1 || bastion.Forwarded() != 3+1 || got.Tunnels != 1+1 {
			t.Errorf("%d connections and %d tunnels through the jump host; %+v", bastion.Accepted(), bastion.Forwarded(), got)
		}
		// The attempt that was left is taken over when it comes to something in time, and closed when no one waits.
		go func() {
			time.Sleep(2 * time.Second)
			close(found)
		}()
		if _, err := read(t.Context(), pool, dark); err != nil || bastion.Forwarded() != 3+1 {
			t.Errorf("%d tunnels, error %v", bastion.Forwarded(), err)
		}
	})
}

// An attempt that comes to something when no one waits any more leaves nothing behind.
func TestLateTunnelIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bastion := l.add(t, "bastion", sshtest.Config{Forward: func(ctx context.Context, network, address string) (net.Conn, error) {
			time.Sleep(time.Minute)
			return l.dial(ctx, network, address)
		}})
		l.add(t, "web-01", sshtest.Config{})
		pool, via := l.pool(t), l.host("bastion", nil)
		err := pool.Connect(t.Context(), l.host("web-01", &via))
		wantOutcome(t, err, hosts.Unreachable, "had no connection")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := pool.Stats(); got.Tunnels != 0 || bastion.Tunnels() != 0 || got.JumpConnections != 1 {
			t.Errorf("%d tunnels there; %+v", bastion.Tunnels(), got)
		}
		time.Sleep(10 * time.Minute)
		if got := pool.Stats(); got.JumpConnections != 0 {
			t.Errorf("an unused connection stays: %+v", got)
		}
	})
}

// What a jump host says to a tunnel is trouble of the way, and says how to mend it.
func TestRefusedTunnels(t *testing.T) {
	for _, test := range []struct {
		name    string
		forward error
		text    string
	}{
		{name: "not allowed", forward: &ssh.OpenChannelError{Reason: ssh.Prohibited, Message: "open failed"}, text: "AllowTcpForwarding"},
		{name: "refused", forward: errors.New("Connection\x1b[2J refused"), text: "bastion could not connect to it: Connection·[2J refused"},
		{name: "full", forward: &ssh.OpenChannelError{Reason: ssh.ResourceShortage, Message: "no fds"}, text: "no resources left"},
		{name: "not known", forward: &ssh.OpenChannelError{Reason: ssh.UnknownChannelType, Message: "what?"}, text: "unknown channel type"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				bastion := l.add(t, "bastion", sshtest.Config{Forward: func(context.Context, string, string) (net.Conn, error) {
					return nil, test.forward
				}})
				pool, via := l.pool(t), l.host("bastion", nil)
				for range 2 { // It is the host's trouble, so the jump host's connection stays, and each host asks for itself.
					err := pool.Connect(t.Context(), l.host("web-01", &via))
					wantOutcome(t, err, hosts.Unreachable, test.text)
				}
				synctest.Wait()
				if got := pool.Stats(); got.Tunnels != 0 || bastion.Accepted() != 1 || bastion.Forwarded() != 2 {
					t.Errorf("%d connections, %d tunnels, %+v", bastion.Accepted(), bastion.Forwarded(), got)
				}
			})
		})
	}
}

// The jump host's end in the middle of the host's handshake is not the host's doing.
func TestJumpHostLostInAHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bastion := l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		l.add(t, "web-01", sshtest.Config{Greet: func(ctx context.Context, _ net.Conn) bool {
			bastion.Disconnect()
			<-ctx.Done()
			return false
		}})
		via := l.host("bastion", nil)
		err := l.pool(t).Connect(t.Context(), l.host("web-01", &via))
		wantOutcome(t, err, hosts.Unreachable, "the connection to its jump host bastion broke")
	})
}

// A jump host that floods loses its connection; what its tunnels carry is no flood, however much it is.
func TestJumpHostFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		conns := make(chan *ssh.ServerConn, 8)
		l.add(t, "bastion", sshtest.Config{Forward: l.dial, Joined: func(c *ssh.ServerConn) { conns <- c }})
		l.add(t, "web-01", sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
			_, _ = stdout.Write(make([]byte, 64<<10)) // Noise before the markers.
			return systemd("252")(ctx, command, stdout, stderr)
		}})
		pool, via := l.pool(t), l.host("bastion", nil)
		h := l.behind(&via, 1)[0]
		for range 200 { // 12 MiB within no time.
			if _, err := read(t.Context(), pool, h); err != nil {
				t.Fatal(err)
			}
		}
		c := <-conns
		flood := func() (sent int) {
			for ; sent < 64<<20; sent += 16 << 10 {
				if _, _, err := c.SendRequest("x", false, make([]byte, 16<<10)); err != nil {
					break
				}
			}
			return sent
		}
		if sent := flood(); sent > 8<<20 {
			t.Errorf("it could send %d bytes that no one wanted", sent)
		}
		synctest.Wait()
		_, err := pool.Poll(t.Context(), h)
		wantOutcome(t, err, hosts.Unreachable, "jump host bastion broke")
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Errorf("over a new connection: %v", err)
		}
	})
}

// A panic while a jump host is dialled is told as that dial's failure, and the next dial is as if it had not been.
func TestJumpHostPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		var dials int
		pool := newPool(t, hosts.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials++; dials == 1 {
				panic("out of luck")
			}
			return l.dial(ctx, network, address)
		}})
		via := l.host("bastion", nil)
		h := l.behind(&via, 1)[0]
		wantOutcome(t, pool.Connect(t.Context(), h), hosts.Unreachable, "out of luck")
		time.Sleep(time.Minute)
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Error(err)
		}
	})
}

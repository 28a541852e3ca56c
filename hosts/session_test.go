package hosts_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// wantOutcome wants a poll to end with an outcome and a text.
func wantOutcome(t *testing.T, err error, outcome hosts.Outcome, text string) {
	t.Helper()
	if got := hosts.OutcomeOf(err); got != outcome {
		t.Errorf("outcome %q, want %q: %v", got, outcome, err)
	} else if err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("error %q, want it to say %q", err, text)
	}
}

// A command that hangs ends the poll, not the connection.
func TestHungCommandLeavesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var hung atomic.Bool
		hung.Store(true)
		answer := systemd("252")
		server := l.add(t, "web-01", sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
			if hung.Swap(false) {
				return hang(ctx, command, stdout, stderr)
			}
			return answer(ctx, command, stdout, stderr)
		}})
		pool, h := l.pool(t), l.host("web-01", nil)
		took := began()
		_, err := read(t.Context(), pool, h)
		wantOutcome(t, err, hosts.Timeout, "no answer within 8s")
		if took() != h.Timeout || !pool.Connected(h.Name) {
			t.Errorf("the poll took %v; connected: %v", took(), pool.Connected(h.Name))
		}
		if _, err = pool.Poll(t.Context(), h); err != nil {
			t.Error(err)
		}
		synctest.Wait() // This server says at once that the session has ended.
		want := hosts.Stats{Connections: 1, Dials: 1, LeftBehind: 1}
		if diff := cmp.Diff(want, pool.Stats()); diff != "" || server.Accepted() != 1 {
			t.Errorf("%d connections; stats (-want +got):\n%s", server.Accepted(), diff)
		}
	})
}

// Commands that do not end are never more than 3, and after 10 minutes the news of their end may have been lost.
func TestStuckSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var sick atomic.Bool
		var opened atomic.Int64
		server := l.add(t, "web-01", sshtest.Config{Exec: systemd("252"), Open: func(ctx context.Context) {
			opened.Add(1)
			if sick.Load() {
				<-ctx.Done()
			}
		}})
		pool, h := l.pool(t), l.host("web-01", nil)
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Fatal(err)
		}
		sick.Store(true)
		opened.Store(0)
		for range 3 {
			_, err := pool.Poll(t.Context(), h)
			wantOutcome(t, err, hosts.Timeout, "no answer within 8s")
		}
		for range 3 {
			took := began()
			_, err := pool.Poll(t.Context(), h)
			wantOutcome(t, err, hosts.Timeout, "3 earlier commands have not ended")
			if took() > 0 || errors.Is(err, hosts.ErrNotConnected) {
				t.Errorf("after %v: %v", took(), err)
			}
		}
		if got := pool.Stats(); opened.Load() != 3 || got.Stuck != 3 || got.LeftBehind != 3 || server.Accepted() != 1 {
			t.Errorf("%d sessions, %d connections, %+v", opened.Load(), server.Accepted(), got)
		}
		time.Sleep(10 * time.Minute)
		_, err := pool.Poll(t.Context(), h)
		wantOutcome(t, err, hosts.Timeout, "have not ended for 10m")
		if !errors.Is(err, hosts.ErrNotConnected) {
			t.Errorf("10 minutes later: %v", err)
		}
		sick.Store(false)
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Error(err)
		}
		want := hosts.Stats{Connections: 1, Dials: 2, LeftBehind: 3, Reconnects: 1}
		if diff := cmp.Diff(want, pool.Stats()); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

// Sessions that a command which hangs has used up come back with a new connection, which is not made again and again.
func TestRefusedSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var sick atomic.Bool
		server := l.add(t, "web-01", sshtest.Config{Exec: systemd("252"), MaxSessions: 1, Open: func(ctx context.Context) {
			if sick.Load() {
				<-ctx.Done()
			}
		}})
		pool, h := l.pool(t), l.host("web-01", nil)
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Fatal(err)
		}
		poll := func(text string, reconnects bool) {
			t.Helper()
			_, err := pool.Poll(t.Context(), h)
			wantOutcome(t, err, hosts.Timeout, text)
			if errors.Is(err, hosts.ErrNotConnected) != reconnects {
				t.Errorf("a reason to connect again: %v; want %v", err, reconnects)
			}
		}
		sick.Store(true)
		poll("no answer", false)
		poll("no session", true)
		sick.Store(false)
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Fatal(err)
		}
		sick.Store(true)
		poll("no answer", false)
		poll("an earlier command has not ended", false)
		poll("an earlier command has not ended", false)
		time.Sleep(10 * time.Minute)
		poll("no session", true)
		if got := pool.Stats(); got.Reconnects != 2 || server.Accepted() != 2 {
			t.Errorf("%d connections, %+v", server.Accepted(), got)
		}
	})
}

// A connection on which no session ever was has none to wait for.
func TestNoSessionAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		release := make(chan struct{})
		l.add(t, "web-01", sshtest.Config{Exec: systemd("252"), MaxSessions: 1, Open: func(ctx context.Context) {
			select {
			case <-ctx.Done():
			case <-release:
			}
		}})
		pool, h := l.pool(t), l.host("web-01", nil)
		_, err := read(t.Context(), pool, h)
		wantOutcome(t, err, hosts.Timeout, "no answer")
		_, err = pool.Poll(t.Context(), h)
		wantOutcome(t, err, hosts.Denied, "MaxSessions")
		if pool.Connected(h.Name) {
			t.Error("the connection is kept, though sshd's configuration is read for a new one only")
		}
		close(release)
	})
}

// A frozen sshd makes one poll late; the next one finds out, soon enough to connect again.
func TestFrozenHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		server := l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		pool, h := l.pool(t), l.host("web-01", nil)
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Fatal(err)
		}
		server.Freeze()
		_, err := pool.Poll(t.Context(), h)
		wantOutcome(t, err, hosts.Timeout, "no answer within 8s")
		server.Thaw()
		if _, err := pool.Poll(t.Context(), h); err != nil || server.Accepted() != 1 {
			t.Errorf("after a short freeze: %d connections, error %v", server.Accepted(), err)
		}

		synctest.Wait() // For the end of the late command.
		server.Freeze()
		_, err = pool.Poll(t.Context(), h)
		wantOutcome(t, err, hosts.Timeout, "no answer within 8s")
		took := began()
		if _, err = pool.Poll(t.Context(), h); !errors.Is(err, hosts.ErrNotConnected) || took() != 2*time.Second {
			t.Errorf("after %v: %v", took(), err)
		}
		took = began()
		err = pool.Connect(t.Context(), h)
		wantOutcome(t, err, hosts.Timeout, "no SSH banner came within 5s")
		if took() != h.ConnectTimeout {
			t.Errorf("connecting took %v", took())
		}
		server.Thaw()
		if _, err = read(t.Context(), pool, h); err != nil {
			t.Error(err)
		}
		if got := pool.Stats(); got.Stuck != 0 || got.Connections != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// What the caller leaves of the time counts, and is what the error tells.
func TestNearerDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		server := l.add(t, "web-01", sshtest.Config{Exec: hang})
		pool, h := l.pool(t), l.host("web-01", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, err := read(ctx, pool, h)
		wantOutcome(t, err, hosts.Timeout, "no answer within 1.5s")
		server.Freeze()
		ctx, cancel = context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		wantOutcome(t, pool.Connect(ctx, h), hosts.Timeout, "no SSH banner came within 2.5s")
	})
}

// Close waits for no peer, whatever is under way.
func TestCloseWithFrozenPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bastion := l.add(t, "bastion", sshtest.Config{Forward: l.dial})
		server := l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
		pool, via := l.pool(t), l.host("bastion", nil)
		direct, behind := l.host("web-01", nil), l.host("web-01", &via)
		behind.Name = "web-01 behind bastion"
		for _, h := range []inventory.Host{direct, behind} {
			if _, err := read(t.Context(), pool, h); err != nil {
				t.Fatal(err)
			}
		}
		bastion.Freeze()
		server.Freeze()
		interrupted := make(chan error)
		go func() {
			_, err := pool.Poll(t.Context(), direct)
			interrupted <- err
		}()
		go func() { interrupted <- pool.Connect(t.Context(), behind) }()
		time.Sleep(time.Second)
		took := began()
		closed := make(chan struct{})
		go func() {
			pool.Close()
			close(closed)
		}()
		for range 2 {
			if err := <-interrupted; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want it to say that the call was interrupted", err)
			}
		}
		<-closed
		if took() > time.Second {
			t.Errorf("Close took %v", took())
		}
		if diff := cmp.Diff(hosts.Stats{Dials: 4, LeftBehind: 1}, pool.Stats()); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

// What looks at a host on a connection of its own ends with the pool, too.
func TestCloseInterruptsExaminations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		// An address, since Go's resolver must not begin its work in a bubble: what it makes then serves no one outside.
		l.add(t, "192.0.2.1", sshtest.Config{}).Freeze()
		pool, h := l.pool(t), l.host("192.0.2.1", nil)
		ended := make(chan hosts.Outcome)
		go func() {
			_, err := pool.Scan(t.Context(), h)
			ended <- hosts.OutcomeOf(err)
		}()
		go func() { ended <- pool.Examine(t.Context(), h, 0).Outcome }()
		time.Sleep(time.Second)
		took := began()
		pool.Close()
		for range 2 {
			if outcome := <-ended; outcome == hosts.OK || took() > 0 {
				t.Errorf("outcome %s, %v after Close", outcome, took())
			}
		}
	})
}

// sshd asks whether we live on a session's channel, where there is one (sshd_config(5), ClientAliveInterval). Unanswered, more than
// golang.org/x/crypto/ssh holds would stall the connection.
func TestServerAsksInASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		answer := systemd("252")
		l.add(t, "web-01", sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
			channel, ok := stdout.(ssh.Channel)
			if !ok {
				t.Error("the server's output is no channel any more")
				return -1
			}
			for range 100 {
				if _, err := channel.SendRequest("keepalive@openssh.com", true, nil); err != nil {
					return -1
				}
			}
			return answer(ctx, command, stdout, stderr)
		}})
		if _, err := read(t.Context(), l.pool(t), l.host("web-01", nil)); err != nil {
			t.Error(err)
		}
	})
}

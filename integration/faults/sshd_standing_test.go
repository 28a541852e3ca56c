//go:build integration && linux

package faults_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"service_manager/hosts"
	"service_manager/integration/sshd"
)

// freeze stops a server with all its sessions, until the test ends or thaw is called.
func freeze(t *testing.T, server *sshd.Server) (thaw func()) {
	t.Helper()
	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := server.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
}

// A frozen sshd has its connections accepted by the kernel.
func TestFrozenListener(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{})
	thaw := freeze(t, server)
	hurry(&h)
	o := observe(t, append(s.neighbours(t), h)...)
	want("no SSH banner", hosts.Timeout).check(t, o.sick(t))
	thaw()
	o.await(t, hosts.OK)
}

// A host that freezes while it is connected to.
func TestFrozenConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{})
	h.Timeout, h.ConnectTimeout = 4*time.Second, 4*time.Second // Enough for a good poll on a busy machine.
	o := observe(t, append(s.neighbours(t), h)...)
	want("", hosts.OK).check(t, o.sick(t))
	thaw := freeze(t, server)
	status := o.await(t, hosts.Timeout)
	if status.StaleSince == nil || len(status.Units) != len(h.Units) {
		t.Errorf("stale since %v, %d units; want the last known ones", status.StaleSince, len(status.Units))
	}
	thaw()
	o.await(t, hosts.OK)
}

// A host that loses its power in the middle of a poll.
func TestKilledInAPoll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{Files: map[string]string{"bin/systemctl": "#!/bin/sh\nsleep 60\n"}})
	o := observe(t, append(s.neighbours(t), h)...)
	var killing sync.WaitGroup
	defer killing.Wait()
	killing.Go(func() {
		server.AwaitLog("Starting session: command", 1)
		server.Close()
	})
	want("", hosts.ProtocolError, hosts.Unreachable).check(t, o.sick(t))
	want("connection refused", hosts.Unreachable).check(t, o.await(t, hosts.Unreachable))
}

// A session that ends in the middle of a record, on each of the two connections that one poll may use.
func TestSessionKilledInARecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{Files: map[string]string{"bin/systemctl": "#!/bin/sh\n" +
		"[ $# = 4 ] && { printf 'Version=252\\nSystemState=running\\n'; exit; }\n" +
		"printf 'Id=nginx.service\\nNames=nginx.service\\nLoadState=loaded\\nActive'\n" +
		"pkill -KILL -u " + sshd.User + " sshd\nsleep 60\n"}})
	o := observe(t, append(s.neighbours(t), h)...)
	for range 2 {
		want("connection lost", hosts.ProtocolError).check(t, o.sick(t))
	}
	if t.Failed() {
		t.Log(server.Log())
	}
}

// A systemctl that hangs, as with a hung PID 1, is ended on the host, so that the connection and its session survive.
func TestHungSystemctl(t *testing.T) {
	for name, script := range map[string]string{
		"ends on SIGTERM": "#!/bin/sh\nexec sleep 60\n",
		"ignores SIGTERM": "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server, h := s.sshd(t, "sick", sshd.Config{Directives: []string{"MaxSessions 2"}, Files: map[string]string{"bin/systemctl": script}})
			h.Timeout = 2 * time.Second
			o := observe(t, append(s.neighbours(t), h)...)
			for range 2 {
				want("PID 1", hosts.Timeout).check(t, o.sick(t))
			}
			if t.Failed() {
				t.Log(server.Log())
			}
		})
	}
}

// A poll leaves no session behind, and needs no second one, also where it asks twice: what do the globs stand for, and how are they.
func TestOneSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	listing := "#!/bin/sh\ncase \"$*\" in *list-unit*) echo worker@1.service loaded active running; exit; esac\n"
	server, h := s.sshd(t, "sick", sshd.Config{
		Directives: []string{"MaxSessions 1"},
		Files:      map[string]string{"bin/systemctl": listing + strings.TrimPrefix(systemctl, "#!/bin/sh\n")},
	})
	h.Globs = []string{"worker@*"}
	o := observe(t, append(s.neighbours(t), h)...)
	const polls = 4
	for range polls {
		got := o.sick(t)
		want("", hosts.OK).check(t, got)
		if n := len(got.Units); n != 3 {
			t.Errorf("%d units, want 2 and the one that the glob stands for", n)
		}
	}
	if !server.AwaitLog("Close session", polls) {
		t.Errorf("a session stays:\n%s", server.Log())
	}
}

// Unauthenticated connections beyond MaxStartups are turned away, and let in again when there is room.
func TestMaxStartups(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{Directives: []string{"MaxStartups 1:100:1"}})
	held, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()                   // As a rule it is closed by then.
	if _, err := held.Read(make([]byte, 1)); err != nil { // Its banner: sshd counts it.
		t.Fatal(err)
	}
	o := observe(t, append(s.neighbours(t), h)...)
	want("MaxStartups", hosts.Throttled).check(t, o.sick(t))
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	o.await(t, hosts.OK)
}

// sshd's own keepalives come on the session's channel while a command runs, and on the connection else. They must be answered.
func TestClientAlive(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{
		Directives: []string{"ClientAliveInterval 1", "ClientAliveCountMax 1"},
		Files:      map[string]string{"bin/systemctl": strings.Replace(systemctl, "shift 4", "[ $# = 4 ] && sleep 3; shift 4", 1)},
	})
	o := observe(t, append(s.neighbours(t), h)...)
	for range 2 {
		want("", hosts.OK).check(t, o.sick(t))
	}
	if n := strings.Count(server.Log(), "Accepted publickey"); n != 1 {
		t.Errorf("%d connections, want 1: the first was taken for dead\n%s", n, server.Log())
	}
}

// sshd asks for new session keys in the middle of an answer.
func TestRekeyInAnAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{
		Directives: []string{"RekeyLimit 16K", "LogLevel DEBUG1"},
		Files:      map[string]string{"bin/systemctl": strings.Replace(systemctl, `Id=%s`, "Description="+strings.Repeat("long ", 1000)+`\nId=%s`, 1)},
	})
	h.Units = nil
	for i := range 100 {
		h.Units = append(h.Units, fmt.Sprintf("worker@%d.service", i))
	}
	o := observe(t, append(s.neighbours(t), h)...)
	for range 2 {
		status := o.sick(t)
		want("", hosts.OK).check(t, status)
		if len(status.Units) != len(h.Units) {
			t.Errorf("%d units, want %d", len(status.Units), len(h.Units))
		}
	}
	if !strings.Contains(server.Log(), "set_newkeys: rekeying") {
		t.Error("sshd never asked for new keys")
	}
}

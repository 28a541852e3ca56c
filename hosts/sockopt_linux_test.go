package hosts_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
)

// The kernel tells in proc(5), /proc/net/tcp, when a socket's keepalive is due.
func TestKeepalive(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	for _, idle := range []time.Duration{0, 1000 * time.Second} {
		h.SSH.Keepalive = idle
		if err := pool.Connect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		timer, due := settledTimer(t, h.SSH.Port)
		if idle == 0 && timer != 0 || idle > 0 && (timer != keepaliveTimer || due > idle || due < idle-time.Minute) {
			t.Errorf("with a keepalive of %v: timer %d, due in %v", idle, timer, due)
		}
	}
}

// socketTimer finds the established socket to a port, and returns which timer runs for it and when it is due.
func socketTimer(t *testing.T, port int) (timer int, due time.Duration) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[2] != fmt.Sprintf("0100007F:%04X", port) || fields[3] != "01" {
			continue
		}
		kind, when, _ := strings.Cut(fields[5], ":")
		ticks, err := strconv.ParseInt(when, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		timer, err = strconv.Atoi(kind)
		if err != nil {
			t.Fatal(err)
		}
		return timer, time.Duration(ticks) * time.Second / 100
	}
	t.Fatalf("no connection to port %d in /proc/net/tcp", port)
	return 0, 0
}

// To hosts behind a jump host there is no TCP connection of ours; that to the jump host has its own keepalive.
func TestKeepaliveOfAJumpHost(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	bastion := s.start(t, sshtest.Config{Forward: new(net.Dialer).DialContext})
	s.write(t, "known_hosts", knownhosts.Line([]string{knownhosts.Normalize(server.Addr().String())}, server.HostKey())+"\n"+
		knownhosts.Line([]string{knownhosts.Normalize(bastion.Addr().String())}, bastion.HostKey())+"\n")
	via, h := s.host(bastion), s.host(server)
	via.SSH.Keepalive, h.SSH.Keepalive, h.Via = 1000*time.Second, 0, &via
	if err := newPool(t, hosts.Config{}).Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if timer, due := settledTimer(t, via.SSH.Port); timer != keepaliveTimer || due > via.SSH.Keepalive || due < via.SSH.Keepalive-time.Minute {
		t.Errorf("timer %d, due in %v", timer, due)
	}
}

// The timers of /proc/net/tcp.
const retransmitTimer, keepaliveTimer = 1, 2

// settledTimer is socketTimer when all that was sent is acknowledged, for which there is another timer before.
func settledTimer(t *testing.T, port int) (timer int, due time.Duration) {
	t.Helper()
	timer, due = socketTimer(t, port)
	for timer == retransmitTimer || due > 2000*time.Second {
		timer, due = socketTimer(t, port)
	}
	return timer, due
}

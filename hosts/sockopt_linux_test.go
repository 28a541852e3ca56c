package hosts_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

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
		const retransmit, keepalive = 1, 2
		timer, due := retransmit, time.Duration(0)
		for timer == retransmit || due > 2000*time.Second { // The first is for what is not acknowledged yet.
			timer, due = socketTimer(t, h.SSH.Port)
		}
		if idle == 0 && timer != 0 || idle > 0 && (timer != keepalive || due > idle || due < idle-time.Minute) {
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

//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"
)

func TestSSHDStopped(t *testing.T) {
	messages := consume(t, "status.web.*")
	before := messages.wait(t, "an ok status", from("web-01", isOK))

	stack.must(t, "web-01", "systemctl stop ssh.service && pkill -KILL -u monitor sshd")
	r := messages.wait(t, "web-01 unreachable", from("web-01", outcome("unreachable")))
	if r.status.Error == nil || !strings.Contains(*r.status.Error, "connection refused") {
		t.Errorf("error %v", r.status.Error)
	}
	if r.status.StaleSince == nil || len(r.status.Units) != len(before.status.Units) {
		t.Errorf("stale since %v, %d units; want the last known ones", r.status.StaleSince, len(r.status.Units))
	}
	if u := r.unit("mount_controller.service"); u.ActiveState != "active" {
		t.Errorf("a host that cannot be read has a service that is %q", u.ActiveState)
	}
	messages.wait(t, "web-02 still ok", from("web-02", isOK))

	stack.must(t, "web-01", "systemctl start ssh.service")
	r = messages.wait(t, "web-01 ok again", from("web-01", isOK))
	if r.status.Error != nil || r.status.StaleSince != nil {
		t.Errorf("read again, yet %+v", r.status)
	}
}

func TestFrozenHost(t *testing.T) {
	messages := consume(t, "status.#")
	messages.wait(t, "an ok status", from("web-02", isOK))

	stack.docker(t, "pause", "web-02")
	frozen := true
	defer func() {
		if frozen {
			stack.docker(t, "unpause", "web-02")
		}
	}()
	r := messages.wait(t, "web-02 late", from("web-02", outcome("timeout")))
	if len(r.status.Units) == 0 || r.status.StaleSince == nil {
		t.Errorf("stale since %v, %d units; want the last known ones", r.status.StaleSince, len(r.status.Units))
	}
	// Also after its connection was given up, and a new one stands but says nothing.
	r = messages.wait(t, "web-02 late without a banner", from("web-02", func(r received) bool {
		return r.status.Error != nil && strings.Contains(*r.status.Error, "banner")
	}))
	if r.status.Outcome != "timeout" {
		t.Errorf("outcome %q", r.status.Outcome)
	}
	messages.wait(t, "db-01 still ok", from("db-01", isOK))

	stack.docker(t, "unpause", "web-02")
	frozen = false
	messages.wait(t, "web-02 ok again", from("web-02", isOK))
}

func TestFrozenPID1(t *testing.T) {
	messages := consume(t, "status.db.db-01")
	messages.wait(t, "an ok status", isOK)
	signal := func(name string) { stack.docker(t, "kill --signal="+name, "db-01") }
	signal("STOP")
	defer signal("CONT")
	messages.wait(t, "a timeout", outcome("timeout"))
	signal("CONT")
	messages.wait(t, "ok again", isOK)
}

// Polls go on over one and the same connection, as the host sees it.
func TestOneConnectionPerHost(t *testing.T) {
	messages := consume(t, "status.#")
	for host := range stackHosts() {
		messages.wait(t, "an ok status of "+host, from(host, isOK))
	}
	connections := func(host string) string {
		return stack.must(t, host, "ss --no-header --tcp --numeric state established sport = :22 | awk '{print $4}'")
	}
	before := map[string]string{}
	for host := range stackHosts() {
		before[host] = connections(host)
		if lines := strings.Split(before[host], "\n"); len(lines) != 1 || lines[0] == "" {
			t.Errorf("%s: connections from %q, want one", host, lines)
		}
	}
	polls := map[string]int{}
	for _, r := range messages.collect(t, 20*time.Second) {
		if isOK(r) {
			polls[r.status.Host.Name]++
		}
	}
	for host := range stackHosts() {
		if polls[host] < 2 {
			t.Errorf("%s: %d polls, too few to tell", host, polls[host])
		}
		if after := connections(host); after != before[host] {
			t.Errorf("%s: connected from %q, after %d polls from %q", host, before[host], polls[host], after)
		}
	}
}

func TestBrokerRestart(t *testing.T) {
	consume(t, "status.#").wait(t, "a status", isOK)
	stack.do(t, "restart", "broker")
	messages := consume(t, "status.#")
	for host := range stackHosts() {
		messages.wait(t, "a status of "+host+" after the restart", from(host, isOK))
	}
}

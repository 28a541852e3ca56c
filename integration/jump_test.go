//go:build integration

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"service_manager/publish"
)

// A fieldTrip is the program on this machine, which reaches web-01 of the stack by its address, and the others through it.
type fieldTrip struct {
	dir      string
	statuses chan publish.Status
}

// newFieldTrip starts `run --dry-run`: web-02 is behind web-01, and db-01 behind both.
func newFieldTrip(t *testing.T) *fieldTrip {
	t.Helper()
	dir, binary := outside(t)
	f := &fieldTrip{dir: dir, statuses: make(chan publish.Status, 100)}
	text := fmt.Sprintf(`
[collector]
name = "field-trip"
interval = "2s"
[ssh]
user = "monitor"
identity_file = "id_ed25519"
known_hosts = ["known_hosts"]
[groups.default]
units = ["broken.service"]
[[hosts]]
name = "web-01"
address = %q
ssh = {host_key_alias = "web-01"}
[[hosts]]
name = "web-02"
ssh = {jump = "web-01"}
[[hosts]]
name = "db-01"
ssh = {jump = "web-02"}
`, addressOf(t, "web-01"))
	if err := os.WriteFile(f.dir+"/inventory.toml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.start(t, binary)
	return f
}

// outside is a folder on this machine with the program, and with the key and the known_hosts of the stack's collector.
func outside(t *testing.T) (dir, binary string) {
	t.Helper()
	dir = t.TempDir()
	binary = dir + "/service_manager"
	if _, err := stack.run(t.Context(), "go", "build", "-o", binary, "../cmd/service_manager"); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"id_ed25519", "known_hosts"} {
		if _, err := stack.run(t.Context(), "docker", "cp", stack.container(t, "collector")+":/keys/"+file, dir+"/"+file); err != nil {
			t.Fatal(err)
		}
	}
	return dir, binary
}

// addressOf is the one that the stack's network has given a host.
func addressOf(t *testing.T, host string) string {
	t.Helper()
	return strings.Fields(stack.must(t, host, "hostname -I"))[0]
}

func (f *fieldTrip) start(t *testing.T, binary string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "run", "--dry-run", "-i", f.dir+"/inventory.toml")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var line struct {
				Body publish.Status `json:"body"`
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Errorf("%v: %s", err, lines.Text())
			}
			if line.Body.Type == publish.KindStatus {
				f.statuses <- line.Body
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		for ended := false; !ended; {
			select {
			case <-f.statuses:
			case <-read:
				ended = true
			}
		}
		_ = cmd.Wait() // Told to stop.
	})
}

// wait returns the first status of host from now on that fits.
func (f *fieldTrip) wait(t *testing.T, host, outcome, errorPart string) publish.Status {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case s := <-f.statuses:
			if s.Host.Name == host && s.Outcome == outcome && (errorPart == "" || s.Error != nil && strings.Contains(*s.Error, errorPart)) {
				return s
			}
		case <-late:
			t.Fatalf("no status of %s with outcome %s and %q", host, outcome, errorPart)
		}
	}
}

// Two real sshds forward to the next host; one connection to each carries what goes through it.
func TestJumpHosts(t *testing.T) {
	f := newFieldTrip(t)
	for _, host := range []string{"web-01", "web-02", "db-01"} {
		if s := f.wait(t, host, "ok", ""); len(s.Units) != 1 || s.Units[0].ActiveState != "failed" {
			t.Errorf("%s: %+v", host, s.Units)
		}
	}
	peers := func(host string) []string {
		return strings.Fields(stack.must(t, host, "ss --no-header --tcp --numeric state established sport = :22 | awk '{sub(/:[0-9]+$/, \"\", $4); print $4}' | sort"))
	}
	count := func(list []string, peer string) (n int) {
		for _, p := range list {
			if strings.TrimPrefix(strings.Trim(p, "[]"), "::ffff:") == peer {
				n++
			}
		}
		return n
	}
	// web-02 is polled and is the way to db-01: two connections, both from web-01. db-01 has one, from web-02.
	web01, web02 := addressOf(t, "web-01"), addressOf(t, "web-02")
	if got := peers("web-02"); count(got, web01) != 2 {
		t.Errorf("web-02 has connections from %q, want two from %s", got, web01)
	}
	if got := peers("db-01"); count(got, web02) != 1 {
		t.Errorf("db-01 has connections from %q, want one from %s", got, web02)
	}

	stack.docker(t, "pause", "web-01")
	paused := true
	defer func() {
		if paused {
			stack.docker(t, "unpause", "web-01")
		}
	}()
	if s := f.wait(t, "web-01", "timeout", ""); s.StaleSince == nil {
		t.Errorf("frozen, yet %+v", s)
	}
	f.wait(t, "web-02", "unreachable", "its jump host web-01")
	f.wait(t, "db-01", "unreachable", "web-01")
	stack.docker(t, "unpause", "web-01")
	paused = false
	for _, host := range []string{"web-01", "web-02", "db-01"} {
		f.wait(t, host, "ok", "")
	}

	// What the jump host does not allow is told as such.
	stack.must(t, "web-01", "echo 'AllowTcpForwarding no' >/etc/ssh/sshd_config.d/forwarding.conf && systemctl reload ssh.service && pkill -u monitor sshd")
	defer stack.must(t, "web-01", "rm /etc/ssh/sshd_config.d/forwarding.conf && systemctl reload ssh.service")
	f.wait(t, "web-02", "unreachable", "does not allow forwarding")
	f.wait(t, "web-01", "ok", "")
}

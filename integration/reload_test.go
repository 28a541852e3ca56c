//go:build integration

package integration

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"service_manager/integration/proxy"
	"service_manager/publish"
)

// A reload goes all the way: to another broker, when the one before is of no use; to more hosts and to fewer; and a file with mistakes
// changes nothing but that the consumers are told.
func TestReload(t *testing.T) {
	p := newProgram(t)
	p.proxy.SetMode(proxy.Refuse)
	messages := consume(t, "*.alone.*", "collector.program.*")
	cmd := exec.CommandContext(t.Context(), p.binary, "run", "-i", p.inventory)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It may have ended.
		for range ended {      // How it ends is the test's to see.
		}
		if t.Failed() {
			t.Logf("the log:\n%s", log.String())
		}
	})
	go func() { ended <- cmd.Wait(); close(ended) }()
	text, err := os.ReadFile(p.inventory)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(p.inventory, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	notice := func(event string) publish.Reload {
		t.Helper()
		var n publish.Notice
		messages.wait(t, event, func(r received) bool {
			return r.RoutingKey == "collector.program."+event && json.Unmarshal(r.Body, &n) == nil && n.Reload != nil
		})
		return *n.Reload
	}

	eventually(t, "a state file, after which SIGHUP kills no more", func() bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(p.inventory), "state.db"))
		return err == nil
	})
	broker, err := url.Parse(brokerURL(t))
	if err != nil {
		t.Fatal(err)
	}
	direct := strings.Replace(string(text), p.proxy.Addr(), broker.Host, 1)
	two := direct + "[[hosts]]\nname = \"second\"\ngroup = \"alone\"\naddress = \"127.0.0.1\"\nssh = {port = 2}\n"
	reload(two)
	if got := notice("reloaded"); got != (publish.Reload{Added: 1}) {
		t.Errorf("reloaded: %+v", got)
	}
	messages.wait(t, "the new host's status", func(r received) bool { return r.RoutingKey == "status.alone.second" })

	reload(strings.Replace(two, "interval", "intervall", 1))
	if got := notice("reload_refused"); got.Error == nil || !strings.Contains(*got.Error, "inventory.toml:3: ") {
		t.Errorf("refused: %+v", got)
	}
	messages.wait(t, "a status after the refusal", func(r received) bool { return r.RoutingKey == "status.alone.second" })

	reload(direct)
	if got := notice("reloaded"); got != (publish.Reload{Removed: 1}) {
		t.Errorf("reloaded: %+v", got)
	}
	messages.wait(t, "its removal", func(r received) bool {
		return r.RoutingKey == "event.alone.second" && r.Headers["event"] == "host.removed"
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("its end: %v", err)
	}
}

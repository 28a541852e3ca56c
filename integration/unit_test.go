//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"service_manager/publish"
)

// managedUnit is what the tests restart on web-01 to have an event.
const managedUnit = "mount_controller.service"

// managed is the inventory of the collector that runs as a unit: its messages are of the group "managed". Its secrets are credentials of
// systemd.
const managed = `[collector]
name = "managed"
interval = "2s"
timeout = "2s"
[broker]
url = "amqp://collector@broker:5672/"
password_file = "${CREDENTIALS_DIRECTORY}/broker_password"
declare = "passive"
[ssh]
user = "monitor"
identity_file = "${CREDENTIALS_DIRECTORY}/ssh_key"
known_hosts = ["/etc/service_manager/known_hosts"]
[groups.managed]
units = ["` + managedUnit + `"]
[[hosts]]
name = "web-01"
group = "managed"
`

// A unit is the collector as a service of systemd on the machine "manager", and what came of it.
type unit struct {
	messages *consumer
	epoch    string
	seq      uint64 // of the last event
}

// startMachine starts the machine "manager", a host like the others of the stack, from which Compose knows it by its labels.
func startMachine(t *testing.T) {
	t.Helper()
	image, err := stack.run(t.Context(), "docker", "inspect", "--format", "{{.Image}}", stack.container(t, "web-01"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stack.run(t.Context(), "docker", "run", "--detach", "--hostname", "manager", "--network", stack.project+"_default",
		"--label", "com.docker.compose.project="+stack.project, "--label", "com.docker.compose.service=manager",
		"--cap-add", "SYS_ADMIN", "--security-opt", "apparmor:unconfined", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
		"--volume", stack.project+"_host_keys:/keys:ro", "--volume", stack.project+"_collector_keys:/collector_keys:ro",
		strings.TrimSpace(image)); err != nil {
		t.Fatal(err)
	}
	container := stack.container(t, "manager")
	t.Cleanup(func() {
		if t.Failed() {
			logs, err := stack.run(context.Background(), "docker", "exec", container, "journalctl", "--no-pager", "--lines=40", "--unit=service_manager")
			t.Logf("%s (%v)", logs, err)
		}
		stack.removeContainer(t, container)
	})
	// As on a machine of its own; systemd mounts credentials where the unit sees them only so.
	stack.must(t, "manager", "mount --make-rshared / && "+until("systemctl is-system-running | grep -qxE 'running|degraded'"))
}

// until is a command line that tries another one again and again, for half a minute at most.
func until(commandLine string) string {
	return "timeout 30 sh -c \"until " + strings.ReplaceAll(commandLine, `"`, `\"`) + "; do sleep 0.2; done\""
}

// configure gives the unit its inventory and its secrets, and less patience, for the tests' sake.
func (u *unit) configure(t *testing.T) {
	t.Helper()
	stack.must(t, "manager", `cd /etc/service_manager && mkdir --mode=700 credentials && cat >inventory.toml <<'END'
`+managed+`END
install --mode=600 /collector_keys/id_ed25519 credentials/ssh_key && printf collector >credentials/broker_password &&
install --mode=644 /collector_keys/known_hosts known_hosts &&
mkdir /etc/systemd/system/service_manager.service.d && cd /etc/systemd/system/service_manager.service.d &&
cp /usr/share/doc/service-manager/examples/credentials.conf . &&
printf '[Service]\nWatchdogSec=5s\nRestartSec=1s\n' >impatient.conf && systemctl daemon-reload`)
}

// property is one of systemd's of the unit.
func (u *unit) property(t *testing.T, name string) string {
	t.Helper()
	return stack.must(t, "manager", "systemctl show --value --property="+name+" service_manager.service")
}

// isActive wants the unit to be running.
func (u *unit) isActive(t *testing.T) {
	t.Helper()
	if state := u.property(t, "ActiveState"); state != "active" {
		t.Fatalf("the unit is %s, want active", state)
	}
}

// change restarts a unit on web-01, and wants that to be told.
func (u *unit) change(t *testing.T) {
	t.Helper()
	stack.must(t, "web-01", "systemctl restart "+managedUnit)
	u.restarted(t)
}

// restarted waits for the event of the restart. None before it may be missing or come twice; a busy machine may have some of its own.
func (u *unit) restarted(t *testing.T) {
	t.Helper()
	for {
		r := u.messages.wait(t, "an event", from("web-01", func(r received) bool { return r.Type == publish.KindEvent }))
		var e publish.Event
		if err := json.Unmarshal(r.Body, &e); err != nil {
			t.Fatal(err)
		}
		u.seq++
		if e.Epoch != u.epoch || e.Seq != u.seq {
			t.Fatalf("event %s, seq %d of epoch %s; want seq %d of %s", e.Event, e.Seq, e.Epoch, u.seq, u.epoch)
		}
		if e.Event == publish.UnitRestarted {
			return
		}
	}
}

// testStart starts the unit for the first time. Start returns when it is ready.
func (u *unit) testStart(t *testing.T) {
	u.configure(t)
	stack.must(t, "manager", "systemctl enable --now service_manager.service")
	u.isActive(t)
	u.epoch = u.messages.wait(t, "an ok status", from("web-01", isOK)).status.Epoch
	u.change(t)
	if owner := stack.must(t, "manager", "stat --format='%U %a' /var/lib/service_manager/state.db"); owner != "service_manager 600" {
		t.Errorf("the state file's owner and mode are %s", owner)
	}
}

// testStatusLine looks at what "systemctl status" shows.
func (u *unit) testStatusLine(t *testing.T) {
	stack.must(t, "manager", until("systemctl status --no-pager service_manager | grep 'Status: .1 host: 1 ok;.*broker amqp://broker:5672/'"))
}

// testReload reloads a good inventory, which takes effect, and a bad one: that fails for who typed it, and nothing else happens.
func (u *unit) testReload(t *testing.T) {
	pid := u.property(t, "MainPID")
	stack.must(t, "manager", `printf '[[hosts]]\nname = "db-01"\ngroup = "managed"\n' >>/etc/service_manager/inventory.toml &&
		systemctl reload service_manager.service`)
	u.messages.wait(t, "a status of the new host", from("db-01", isOK))

	out := stack.on(t, "manager", `echo 'grup = "web"' >>/etc/service_manager/inventory.toml
		systemctl reload service_manager.service 2>/dev/null || echo refused
		sleep 1; journalctl --no-pager --output=cat --unit=service_manager; sed -i '$d' /etc/service_manager/inventory.toml`)
	for _, want := range []string{"refused\n", ": unknown key \"grup\" in [[hosts]]", "is refused; the one before goes on"} {
		if !strings.Contains(out, want) {
			t.Errorf("after a bad reload there is no %q", want)
		}
	}
	// One without mistakes may be refused too.
	if out := stack.on(t, "manager", `cd /etc/service_manager && cp -p inventory.toml good && sed -i '/^\[\[hosts\]\]/,$d' inventory.toml &&
		systemctl reload service_manager.service 2>/dev/null || echo refused; sleep 1; cat good >inventory.toml; rm good`); out != "refused\n" {
		t.Errorf("a reload of an inventory without hosts: %s", out)
	}
	u.isActive(t)
	if now := u.property(t, "MainPID"); now != pid {
		t.Errorf("it runs as process %s now, before as %s", now, pid)
	}
	u.change(t)
}

// testFrozen stops the process, as a defect would that blocks it: systemd ends it and starts another, which goes on with the count.
func (u *unit) testFrozen(t *testing.T) {
	pid := u.property(t, "MainPID")
	stack.must(t, "manager", "kill -STOP "+pid)
	stack.must(t, "web-01", "systemctl restart "+managedUnit)
	u.restarted(t)
	u.isActive(t)
	if now := u.property(t, "MainPID"); now == pid {
		t.Error("the frozen process was not replaced")
	}
	if journal := stack.must(t, "manager", "journalctl --no-pager --output=cat --unit=service_manager"); !strings.Contains(journal, "Watchdog timeout") {
		t.Error("it was not the watchdog that did it")
	}
}

// testStop stops the unit, which ends well and within its bound; what changes meanwhile is told by the next start.
func (u *unit) testStop(t *testing.T) {
	stack.must(t, "manager", "systemctl stop service_manager.service")
	if result, state := u.property(t, "Result"), u.property(t, "ActiveState"); result != "success" || state != "inactive" {
		t.Errorf("stopped, it is %s with the result %s: it was killed, or failed", state, result)
	}
	stack.must(t, "web-01", "systemctl restart "+managedUnit)
	stack.must(t, "manager", "systemctl start service_manager.service")
	u.restarted(t)
}

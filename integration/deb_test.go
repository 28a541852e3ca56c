//go:build integration

package integration

import (
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// maxExposure is how much of the system the unit may see, in tenths, as systemd-analyze counts it.
const maxExposure = 20

// The Debian package, from its installation to its purge on a machine with real systemd, and the collector as its unit there.
func TestDebianPackage(t *testing.T) {
	startMachine(t)
	buildPackage(t, "v1.0.0", "/root/a.deb")
	buildPackage(t, "v1.0.1", "/root/b.deb")
	u := &unit{messages: consume(t, "status.managed.*", "event.managed.*")}
	// Each step goes on from the one before.
	_ = t.Run("install", testInstall) &&
		t.Run("security", testExposure) &&
		t.Run("start", u.testStart) &&
		t.Run("status line", u.testStatusLine) &&
		t.Run("reload", u.testReload) &&
		t.Run("upgrade", u.testUpgrade) &&
		t.Run("frozen", u.testFrozen) &&
		t.Run("stop", u.testStop) &&
		t.Run("remove", testRemove) &&
		t.Run("purge", testPurge) &&
		t.Run("first host", testFirstHost)
}

// buildPackage makes the package and copies it to the machine.
func buildPackage(t *testing.T, version, name string) {
	t.Helper()
	dist := t.TempDir()
	if _, err := stack.run(t.Context(), "make", "-C", "..", "release", "VERSION="+version, "DIST="+dist, "ARCHITECTURES="+runtime.GOARCH); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(dist + "/*.deb")
	if err != nil || len(made) != 1 {
		t.Fatalf("packages %q (%v), want one", made, err)
	}
	if _, err := stack.run(t.Context(), "docker", "cp", made[0], stack.container(t, "manager")+":"+name); err != nil {
		t.Fatal(err)
	}
}

// testInstall installs the package: the service waits for its inventory, disabled, and who starts it without a host learns why it
// does not run; it does not try again and again.
func testInstall(t *testing.T) {
	out := stack.must(t, "manager", "dpkg --install /root/a.deb")
	if !strings.Contains(out, "service_manager: name your hosts in /etc/service_manager/inventory.toml, then: ") {
		t.Errorf("it does not say what to do next:\n%s", out)
	}
	if state := stack.on(t, "manager", "systemctl is-enabled service_manager; systemctl is-active service_manager"); state != "disabled\ninactive\n" {
		t.Errorf("installed, the service is %q", state)
	}
	modes := stack.must(t, "manager", "cd / && stat --format='%n %U %G %a' etc/service_manager/inventory.toml var/lib/service_manager/.ssh")
	if want := "etc/service_manager/inventory.toml root service_manager 640\nvar/lib/service_manager/.ssh service_manager service_manager 700"; modes != want {
		t.Errorf("files:\n%s\nwant:\n%s", modes, want)
	}
	stack.must(t, "manager", "runuser --user service_manager -- service_manager check")
	files := "\n" + stack.must(t, "manager", "dpkg --listfiles service-manager") + "\n"
	for _, want := range []string{
		"/usr/share/man/man1/service_manager.1.gz", "/usr/share/man/man1/service_manager-run.1.gz", "/usr/share/man/man5/service_manager-inventory.5.gz",
		"/usr/share/bash-completion/completions/service_manager", "/usr/share/zsh/vendor-completions/_service_manager",
		"/usr/share/fish/vendor_completions.d/service_manager.fish", "/usr/share/doc/service-manager/copyright", "/usr/share/doc/service-manager/docs/troubleshooting.md",
		"/usr/share/doc/service-manager/docs/captures/status.svg",
		"/usr/share/doc/service-manager/examples/grafana.json", "/usr/share/doc/service-manager/examples/prometheus.rules.yml",
	} {
		if !strings.Contains(files, "\n"+want+"\n") {
			t.Errorf("the package has no %s", want)
		}
	}
	out = stack.on(t, "manager", `systemctl start service_manager 2>/dev/null || echo refused; sleep 6
		systemctl is-active service_manager; journalctl --no-pager --output=cat --unit=service_manager`)
	if !strings.HasPrefix(out, "refused\nfailed\n") || strings.Count(out, "has no hosts: add [[hosts]]") != 1 {
		t.Errorf("started without hosts:\n%s", out)
	}
}

// testExposure has systemd say how much the unit may do, and whether it understands all of it.
func testExposure(t *testing.T) {
	out := stack.on(t, "manager", "systemd-analyze security --no-pager service_manager.service")
	figure := regexp.MustCompile(`Overall exposure level for service_manager.service: (\d+)\.(\d)`).FindStringSubmatch(out)
	if figure == nil {
		t.Fatalf("no figure in:\n%s", out)
	}
	t.Logf("exposure %s.%s", figure[1], figure[2])
	if tenths, err := strconv.Atoi(figure[1] + figure[2]); err != nil || tenths > maxExposure {
		t.Errorf("exposure %s.%s, want at most %d tenths:\n%s", figure[1], figure[2], maxExposure, out)
	}
	complaints := stack.on(t, "manager", "systemd-analyze verify service_manager.service 2>&1 | grep -i service_manager.service | grep -v \"Command 'man\"")
	if complaints != "" {
		t.Errorf("systemd complains of the unit:\n%s", complaints)
	}
}

// testUpgrade installs the next version, which restarts the service: it goes on with the count, and the edited inventory stays.
func (u *unit) testUpgrade(t *testing.T) {
	before := stack.must(t, "manager", "systemctl show --value --property=InvocationID service_manager; cat /etc/service_manager/inventory.toml")
	stack.must(t, "manager", "DEBIAN_FRONTEND=noninteractive dpkg --install /root/b.deb </dev/null")
	u.isActive(t)
	u.change(t)
	if version := stack.must(t, "manager", "service_manager version"); !strings.Contains(version, " v1.0.1 ") {
		t.Errorf("after the upgrade there is %s", version)
	}
	after := stack.must(t, "manager", "systemctl show --value --property=InvocationID service_manager; cat /etc/service_manager/inventory.toml")
	invocationBefore, inventoryBefore, _ := strings.Cut(before, "\n")
	invocationAfter, inventoryAfter, _ := strings.Cut(after, "\n")
	if invocationBefore == invocationAfter {
		t.Error("the upgrade did not restart the service")
	}
	if inventoryBefore != inventoryAfter {
		t.Errorf("the upgrade has changed the inventory:\n%s", inventoryAfter)
	}
}

// testRemove removes the package: the service ends, its inventory and state stay.
func testRemove(t *testing.T) {
	stack.must(t, "manager", "dpkg --remove service-manager")
	if left := stack.on(t, "manager", "pgrep --exact service_manager; ls /usr/bin/service_manager /usr/lib/systemd/system/service_manager.service 2>/dev/null; "+
		"systemctl is-active service_manager"); left != "inactive\n" {
		t.Errorf("removed, there is left:\n%s", left)
	}
	stack.must(t, "manager", "test -s /var/lib/service_manager/state.db && grep -q web-01 /etc/service_manager/inventory.toml")
}

// testPurge purges it: only the account is left, lest its number be given to another.
func testPurge(t *testing.T) {
	stack.must(t, "manager", "dpkg --purge service-manager")
	left := stack.on(t, "manager", "find / -xdev -name '*service_manager*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/tmp/*'")
	if want := "/etc/systemd/system/service_manager.service.d\n"; left != want {
		t.Errorf("purged, there is left:\n%s\nwant what the administrator has made:\n%s", left, want)
	}
	stack.must(t, "manager", "id service_manager")
}

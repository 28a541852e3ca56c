//go:build integration

package integration

import (
	"testing"
)

// What is done to a unit on its host must be seen in the messages.
func TestChangesAreSeen(t *testing.T) {
	for host := range stackHosts() {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			const unit = "mount_controller.service"
			messages := consume(t, "status.*."+host)
			state := func(want string) received {
				t.Helper()
				return messages.wait(t, unit+" "+want, func(r received) bool {
					u := r.unit(unit)
					return isOK(r) && u.LoadState+" "+u.ActiveState == want
				})
			}
			before := state("loaded active").unit(unit)

			stack.must(t, host, "systemctl stop "+unit)
			if u := state("loaded inactive").unit(unit); u.MainPID != nil || u.Since == nil || u.Since.Before(before.Since.Time) {
				t.Errorf("stopped: %+v", u)
			}

			stack.must(t, host, "systemctl start "+unit)
			started := state("loaded active").unit(unit)
			if *started.InvocationID == *before.InvocationID || *started.MainPID == *before.MainPID {
				t.Errorf("started anew, but as before: invocation %s, pid %d", *started.InvocationID, *started.MainPID)
			}

			// Restart=on-failure starts it again by itself.
			stack.must(t, host, "systemctl kill --signal=KILL "+unit)
			messages.wait(t, "an automatic restart", func(r received) bool {
				u := r.unit(unit)
				return u.ActiveState == "active" && u.Restarts != nil && *u.Restarts == 1 && *u.InvocationID != *started.InvocationID
			})
		})
	}
}

// A unit that goes away, or is masked, must not silently disappear from the messages.
func TestRemovedAndMaskedUnitIsReported(t *testing.T) {
	for _, host := range []string{"web-01", "web-02"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			const unit = "oneshot.service"
			messages := consume(t, "status.web."+host)
			state := func(want string) {
				t.Helper()
				messages.wait(t, unit+" "+want, func(r received) bool {
					u := r.unit(unit)
					return isOK(r) && u.LoadState+" "+u.ActiveState == want
				})
			}
			state("loaded active")
			stack.must(t, host, "mv /etc/systemd/system/"+unit+" /root/ && systemctl stop "+unit+" && systemctl daemon-reload")
			state("not-found inactive")
			stack.must(t, host, "systemctl mask "+unit)
			state("masked inactive")
			stack.must(t, host, "systemctl unmask "+unit+" && mv /root/"+unit+" /etc/systemd/system/ && systemctl daemon-reload && systemctl start "+unit)
			state("loaded active")
		})
	}
}

// A unit file that was edited but not reloaded is what people forget.
func TestNeedDaemonReload(t *testing.T) {
	messages := consume(t, "status.web.web-01")
	reload := func(want bool) {
		t.Helper()
		messages.wait(t, "need_daemon_reload", func(r received) bool {
			u := r.unit("api.service")
			return isOK(r) && u.NeedDaemonReload != nil && *u.NeedDaemonReload == want
		})
	}
	reload(false)
	stack.must(t, "web-01", "touch --date=tomorrow /etc/systemd/system/api.service")
	reload(true)
	stack.must(t, "web-01", "systemctl daemon-reload")
	reload(false)
}

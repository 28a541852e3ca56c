package fleet

import (
	"fmt"
	"time"

	"service_manager/hosts/systemctl"
)

// rights are how the accounts of a group may change units.
type rights uint8

const (
	byPolkit rights = iota // without sudo, which is not installed
	bySudo                 // with sudo only
	byNoSudo               // as byPolkit, but sudo is there and refuses
)

// operate does what an operator's command does, at once, and returns what that prints on stderr and its exit status.
func (h *host) operate(o systemctl.Operation, at time.Time) (said string, status int) {
	if said, status := h.group.rights.refuse(o); status != 0 {
		return said, status
	}
	u := h.find(o.Unit)
	if said, status := without(u, o); status != 0 {
		return said, status
	}
	h.version++
	switch o.Verb {
	case systemctl.Start:
		if isDown(activeState(u.sub)) {
			return h.startUnit(u, at)
		}
	case systemctl.Stop:
		u.stop(at)
	case systemctl.Restart:
		u.stop(at)
		return h.startUnit(u, at)
	case systemctl.Reload:
		return u.reload(at)
	case systemctl.Enable:
		return u.install("disabled", "enabled"), 0
	case systemctl.Disable:
		return u.install("enabled", "disabled"), 0
	case systemctl.ResetFailed:
		if u.sub == subFailed {
			u.enter(at, subDead)
			u.result = "success"
		}
	}
	return "", 0
}

func isDown(state string) bool { return state == inactive || state == failed }

// refuse is what stands before systemctl.
func (r rights) refuse(o systemctl.Operation) (said string, status int) {
	switch {
	case o.Sudo && r == byPolkit:
		return "env: 'sudo': No such file or directory\n", 127
	case o.Sudo && r == byNoSudo:
		return "sudo: a password is required\n", 1
	case o.Sudo || r != bySudo:
		return "", 0
	case o.Verb == systemctl.Enable || o.Verb == systemctl.Disable:
		return fmt.Sprintf("Failed to %s unit: Interactive authentication required.\n", o.Verb), 1
	case o.Verb == systemctl.ResetFailed:
		return fmt.Sprintf("Failed to reset failed state of unit %s: Interactive authentication required.\n", o.Unit), 1
	}
	return refused(o, "Interactive authentication required.", 4) // EXIT_NOPERMISSION of systemd's src/basic/exit-status.h
}

// refused is how systemctl says that it has no job.
func refused(o systemctl.Operation, why string, as int) (said string, status int) {
	return fmt.Sprintf("Failed to %s %s: %s\nSee system logs and 'systemctl status %s' for details.\n", o.Verb, o.Unit, why, o.Unit), as
}

// without is what systemctl says where there is no such unit to do it with.
func without(u *unit, o systemctl.Operation) (said string, status int) {
	const notInstalled = 5 // EXIT_NOTINSTALLED
	there := u != nil && u.load != "not-found"
	switch {
	case there && u.load == "loaded":
		return "", 0
	case there && (o.Verb == systemctl.Start || o.Verb == systemctl.Restart):
		return refused(o, "Unit "+o.Unit+" is masked.", 1)
	case there && o.Verb == systemctl.Enable:
		return "Failed to enable unit: Unit file " + o.Unit + " is masked.\n", 1
	case there:
		return "", 0
	case o.Verb == systemctl.Enable || o.Verb == systemctl.Disable:
		return fmt.Sprintf("Failed to %s unit: Unit file %s does not exist.\n", o.Verb, o.Unit), 1
	case o.Verb == systemctl.ResetFailed:
		return fmt.Sprintf("Failed to reset failed state of unit %s: Unit %s not loaded.\n", o.Unit, o.Unit), 1
	case o.Verb == systemctl.Stop:
		return refused(o, "Unit "+o.Unit+" not loaded.", notInstalled)
	}
	return refused(o, "Unit "+o.Unit+" not found.", notInstalled)
}

// startUnit starts a unit that is down. Certbot fails on the first host of a fleet, as it did before.
func (h *host) startUnit(u *unit, at time.Time) (said string, status int) {
	u.restarts, u.crashes, u.step = 0, 0, rest
	switch u.kind {
	case service:
		h.launchAtOnce(u, at)
	case oneshot:
		u.launch(at, h.id(), h.pid())
		u.enter(at, subStart)
		if u.name == certbot && h.index == 0 {
			u.exit(at, cldExited, 1)
			u.enter(at, subFailed)
			return fmt.Sprintf("Job for %s failed because the control process exited with error code.\n"+
				"See \"systemctl status %s\" and \"journalctl -xeu %s\" for details.\n", u.name, u.name, u.name), 1
		}
		u.exit(at, cldExited, 0)
		u.enter(at, subDead)
	default:
		u.launch(at, h.id(), 0)
		h.bringUpPassive(u, at)
	}
	return "", 0
}

// stop ends a unit that is up.
func (u *unit) stop(at time.Time) {
	u.step = rest
	if isDown(activeState(u.sub)) {
		return
	}
	if u.kind == service || u.kind == oneshot {
		u.enter(at, subStopSigterm)
		u.exit(at, cldKilled, sigterm)
	}
	u.enter(at, subDead)
}

func (u *unit) reload(at time.Time) (said string, status int) {
	switch {
	case !u.canReload:
		o := systemctl.Operation{Verb: systemctl.Reload, Unit: u.name}
		return refused(o, "Job type reload is not applicable for unit "+u.name+".", 3) // EXIT_NOTIMPLEMENTED
	case activeState(u.sub) != active:
		return u.name + " is not active, cannot reload.\n", 1
	}
	u.enter(at, subReload)
	u.enter(at, subRunning)
	return "", 0
}

// install enables or disables a unit that can be. The spec is that of other hosts too.
func (u *unit) install(from, to string) (said string) {
	if u.fileState == "static" {
		return "The unit files have no installation config (WantedBy=, RequiredBy=, UpheldBy=,\nAlso=, or Alias= settings in the [Install] section).\n"
	}
	if u.fileState == from {
		changed := *u.spec
		changed.fileState = to
		u.spec = &changed
	}
	return ""
}

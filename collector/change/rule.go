package change

import (
	"time"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/publish"
)

// outcomeEvent names the event of a host whose outcome has become another.
func outcomeEvent(now hosts.Outcome) string {
	switch now {
	case hosts.OK:
		return publish.HostRecovered
	case hosts.HostKeyChanged:
		return publish.HostKeyChanged
	default:
		return publish.HostUnreachable
	}
}

// unitEvent names the event of a unit that is not what it was. restarts is how often it was started anew.
func unitEvent(before, after *Unit, restarts int) string {
	switch {
	case !after.listed() || before.there() && !after.there():
		return publish.UnitMissing
	case !before.there() && after.there():
		return publish.UnitAppeared
	case after.failed() && (!before.failed() || invokedAnew(before, after)):
		return publish.UnitFailed
	case before.failed() && !after.failed():
		return publish.UnitRecovered
	case (restarts > 0 || invokedAnew(before, after)) && after.up():
		return publish.UnitRestarted
	default:
		return publish.UnitChanged
	}
}

// up reports whether the unit is up, or on the way there.
func (u *Unit) up() bool {
	switch u.Active {
	case "active", "activating", "reloading", "refreshing":
		return true
	}
	return false
}

// urgent reports whether an event needs no bucket.
func urgent(event string, before, after *Unit) bool {
	return event == publish.UnitFailed || before.failed() != after.failed()
}

func invokedAnew(before, after *Unit) bool {
	return after.Invocation != "" && after.Invocation != before.Invocation
}

// queueState is the systemd version from which on a restart that is queued has a substate of its own, auto-restart-queued.
const queueState = 254

// restarts is how often a unit was started anew at least. systemd is the host's version, 0 for not known.
//
// NRestarts counts the automatic restarts since the last manual start. So how far it rose is how many there were, and where it fell
// someone has started the unit by hand, before those that it counts now. Where it is the same in a new invocation just one start is
// sure: stopping a unit that waits for its automatic restart, and starting it again, does not reset it (service_stop and service_start
// in systemd's src/core/service.c). It rises when a restart is queued: that begins later, with an invocation of its own, or never.
func restarts(before, after *Unit, systemd int) int {
	if !before.listed() || after.Invocation != "" && after.Invocation == before.Invocation {
		return 0
	}
	rose := begun(after) - begun(before)
	switch {
	case before.Restarts.known() && after.Restarts.known() && rose > 0:
		return rose
	case !invokedAnew(before, after):
		return 0
	}
	started := 1
	if after.Restarts.known() && after.Restarts < before.Restarts {
		started += max(begun(after), 0)
	}
	if before.Sub == "auto-restart" && 0 < systemd && systemd < queueState {
		started-- // It may have been queued then, and be counted.
	}
	return started
}

// begun is how many automatic restarts have begun since the last manual start.
func begun(u *Unit) int {
	count := int(u.Restarts) - 1
	if u.Sub == "auto-restart-queued" {
		count--
	}
	return count
}

// happenedAt is when a unit became what it is, nil where systemd does not know. It knows of the state only: of a unit file that was
// masked, edited or removed it keeps no time.
func happenedAt(before, after *Unit, shown *systemctl.Unit) *publish.HostTime {
	switch {
	case shown == nil || !before.listed() || !moved(before, after):
		return nil
	case shown.StateChange != nil:
		return hostTime(shown.StateChange)
	default:
		return hostTime(shown.Since)
	}
}

// moved reports whether the unit has changed its state, perhaps to come back to it.
func moved(before, after *Unit) bool {
	counted := before.Restarts.known() && after.Restarts.known() // Neither is of a unit that is not loaded.
	return before.Active != after.Active || before.Sub != after.Sub || before.Invocation != after.Invocation ||
		counted && before.Restarts != after.Restarts
}

func hostTime(t *time.Time) *publish.HostTime {
	if t == nil {
		return nil
	}
	return &publish.HostTime{Time: *t}
}

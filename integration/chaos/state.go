package chaos

import (
	"strings"

	"service_manager/integration/fleet"
	"service_manager/publish"
)

// A state is all of a unit whose change makes an event. It can be compared. What the unit does not have is "", none or false.
type state struct {
	load, active, sub, file, result, invocation, exitCode string
	restarts, exitStatus                                  int
	reload                                                bool
}

// none stands for a number that a unit does not have.
const none = -1

// trueState is what has to be told of a simulated unit.
func trueState(u fleet.UnitState) state {
	s := state{
		load: u.LoadState, active: u.ActiveState, sub: u.SubState, file: u.UnitFileState, invocation: u.InvocationID,
		restarts: none, exitStatus: none, reload: u.NeedDaemonReload,
	}
	if u.LoadState != "loaded" {
		return s
	}
	s.result = u.Result
	if !strings.HasSuffix(u.Name, ".service") {
		return s
	}
	s.restarts = u.Restarts
	if u.ExitCode != 0 {
		s.exitCode = [...]string{"", "exited", "killed", "dumped"}[u.ExitCode]
		s.exitStatus = u.ExitStatus
	}
	return s
}

// toldState is what an event says of a unit.
func toldState(u publish.UnitState) state {
	return state{
		load: u.LoadState, active: u.ActiveState, sub: u.SubState, file: or(u.UnitFileState, ""), result: or(u.Result, ""),
		invocation: or(u.InvocationID, ""), exitCode: or(u.ExitCode, ""),
		restarts: or(u.Restarts, none), exitStatus: or(u.ExitStatus, none), reload: or(u.NeedDaemonReload, false),
	}
}

// bootState makes a state of a host's boot, which is told of as a unit's is.
func bootState(id string) state { return state{invocation: id, restarts: none, exitStatus: none} }

// or is what p points to, or instead where it points to nothing.
func or[T any](p *T, instead T) T {
	if p == nil {
		return instead
	}
	return *p
}

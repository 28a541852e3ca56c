package fleet

// A HostState is what a host is at one moment.
type HostState struct {
	Name    string
	Version int // how many commands have changed the host
	BootID  string
	Units   []UnitState // all that the host has, and what it only has the name of
}

// A UnitState is what systemd tells of a unit, but for times and what moves by itself.
type UnitState struct {
	Name             string
	LoadState        string
	ActiveState      string
	SubState         string
	UnitFileState    string
	Result           string
	InvocationID     string
	Restarts         int // NRestarts
	ExitCode         int // CLD_* as in sigaction(2), 0 before any process ended
	ExitStatus       int
	NeedDaemonReload bool
}

func (h *host) state() HostState {
	s := HostState{Name: h.name, Version: h.version, BootID: h.bootID, Units: make([]UnitState, 0, len(h.units))}
	for _, u := range h.units {
		s.Units = append(s.Units, UnitState{
			Name:             u.name,
			LoadState:        u.load,
			ActiveState:      activeState(u.sub),
			SubState:         u.sub,
			UnitFileState:    u.fileState,
			Result:           u.result,
			InvocationID:     u.invocation,
			Restarts:         u.restarts,
			ExitCode:         u.exitCode,
			ExitStatus:       u.exitStatus,
			NeedDaemonReload: u.daemonReload,
		})
	}
	return s
}

package systemctl

import "time"

// An Answer is what a host said about itself and the units that it was asked for.
type Answer struct {
	Manager Manager
	BootID  string // a UUID in its usual form, or "" if the host has none
	Units   []Unit // in the order of Query.Units; nil when Regroup is set

	// Regroup says that the host's systemd is older than the command presumed, so that its unit records cannot be
	// trusted to be whole. Ask again with Query.Version set to Manager.VersionNumber.
	Regroup bool
}

// Manager is what systemd says about itself.
type Manager struct {
	Version       string // the leading digits, such as "252"; "" if there are none
	VersionNumber int    // the same as a number, 0 for ""
	State         string // SystemState: running, degraded, …; open-ended
	FailedUnits   *int
	QueuedJobs    *int

	UserspaceTime      *time.Time     // when userspace was started, by the host's clock, whole seconds
	UserspaceMonotonic *time.Duration // the same moment since boot
}

// Unit is the record of one unit. Words are as systemd prints them, also ones that no one has heard of yet. "" and nil
// mean that the host does not have the value. Times are by the host's clock, in UTC and whole seconds. Of a unit whose
// LoadState is not "loaded", Result, ExitCode and every number are left out: systemd prints defaults there.
type Unit struct {
	RequestedAs string // the name asked for, if that is an alias of Name, else ""
	Name        string // Id: the primary name

	Description   string
	LoadState     string
	ActiveState   string
	SubState      string
	UnitFileState string
	Result        string

	Since        *time.Time // when it became active or inactive, as `systemctl status` shows it
	StateChange  *time.Time // the last change of state, SubState included; systemd >= 229
	InvocationID string     // systemd >= 232
	Restarts     *int       // by Restart=, since the last manual start; systemd >= 235, services

	MainPID    *int
	ExitCode   string // how the last main process ended: "exited", "killed", "dumped", or "" if none has
	ExitStatus *int   // its exit status, or the signal that ended it; nil exactly when ExitCode is ""

	MemoryBytes *uint64
	CPUSeconds  *float64
	Tasks       *uint64

	StatusText       string
	NeedDaemonReload *bool

	NextElapse  *time.Time // timers: the earlier of the next calendar and the next monotonic elapse
	LastTrigger *time.Time // timers
}

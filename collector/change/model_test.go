package change

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
)

// A dice decides what a model does: it returns a number from 0 to n-1.
type dice func(n int) int

// A modelUnit is a service as systemd keeps it (src/core/service.c), as far as that is compared.
type modelUnit struct {
	asked  string // The name that it is asked for, where it goes by another.
	name   string
	listed bool
	wanted bool

	load, active, sub, file string
	result, exitCode        string
	exitStatus              int
	invocation              string
	restarts                int
	flush                   bool // The next start is a manual one, and resets restarts.
	edited                  bool
	changed                 time.Time

	begun int // See model.begun.
}

// A model is a host with units to which anything may happen.
type model struct {
	roll    dice
	now     time.Time
	systemd int
	outcome hosts.Outcome
	boots   int
	booted  time.Time
	units   []*modelUnit
	nextID  int
}

func newModel(roll dice) *model {
	m := &model{
		roll: roll, now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), systemd: []int{0, 247, 252, 257}[roll(4)], outcome: hosts.OK,
	}
	m.booted = m.now
	for i := range 1 + roll(5) {
		m.units = append(m.units, &modelUnit{
			name: fmt.Sprintf("u%d.service", i), listed: true, wanted: true, load: "loaded", active: "inactive", sub: "dead", file: "enabled",
			result: "success", changed: m.now,
		})
	}
	m.units[0].name, m.units[0].asked = "real-1.service", "alias.service"
	return m
}

// live lets something happen.
func (m *model) live() {
	switch m.roll(40) {
	case 0:
		m.reboot()
	case 1, 2:
		outcomes := []hosts.Outcome{hosts.Timeout, hosts.Unreachable, hosts.HostKeyChanged, hosts.AuthFailed, hosts.NoSystemd}
		m.outcome = outcomes[m.roll(len(outcomes))]
	case 3, 4, 5, 6:
		m.outcome = hosts.OK
	default:
		m.befall(m.units[m.roll(len(m.units))])
	}
}

func (m *model) reboot() {
	m.boots, m.booted = m.boots+1, m.now
	for _, u := range m.units {
		m.stop(u)
		u.invocation, u.restarts, u.flush = "", 0, false
		m.enter(u, "inactive", "dead")
		if m.roll(2) == 0 {
			m.start(u)
		}
	}
}

func (m *model) befall(u *modelUnit) {
	switch m.roll(18) {
	case 0, 1:
		m.start(u)
	case 2:
		m.stop(u)
	case 3, 4:
		m.stop(u)
		m.start(u)
	case 5, 6:
		m.crash(u)
	case 7, 8, 9, 10:
		m.proceed(u)
	case 11:
		m.fail(u)
	case 12:
		m.resetFailed(u)
	case 13:
		m.load(u)
	case 14:
		u.edited = !u.edited
	case 15:
		u.listed = !u.listed && u.wanted
		if !u.listed { // Only what is not in systemd's memory is not listed.
			m.stop(u)
			u.invocation, u.restarts, u.flush = "", 0, false
		}
	case 16:
		u.wanted = m.roll(3) > 0
		u.listed = u.listed && u.wanted
	case 17:
		if u.asked != "" {
			u.name = fmt.Sprintf("real-%d.service", 1+m.roll(2))
		}
	}
}

func (m *model) enter(u *modelUnit, active, sub string) {
	u.active, u.sub, u.changed = active, sub, m.now
}

// start begins a new invocation, by hand or automatically.
func (m *model) start(u *modelUnit) {
	if u.load != "loaded" || u.active == "active" || u.active == "activating" {
		return
	}
	m.invoke(u)
}

func (m *model) invoke(u *modelUnit) {
	if u.flush {
		u.restarts, u.flush = 0, false
	}
	m.nextID++
	u.begun++
	u.invocation = fmt.Sprintf("%032x", m.nextID)
	u.result, u.exitCode, u.exitStatus = "success", "", 0
	m.enter(u, "active", "running")
}

// stop ends a unit as asked. One that waits for its automatic restart keeps its count. A restart that is queued is given up, except
// where it does not show that it is queued: then it may have been told, and that within a moment it is given up is not in the model.
func (m *model) stop(u *modelUnit) {
	switch u.sub {
	case "auto-restart":
		m.enter(u, "inactive", "dead")
	case "queued":
		if m.hidesQueue() {
			m.invoke(u)
			u.flush = true
		}
		m.enter(u, "inactive", "dead")
	case "running":
		u.flush = true
		m.enter(u, "inactive", "dead")
	}
}

// crash ends a unit that is restarted automatically.
func (m *model) crash(u *modelUnit) {
	if u.sub == "running" {
		u.result, u.exitCode, u.exitStatus = "exit-code", "exited", 1+m.roll(3)
		m.enter(u, "activating", "auto-restart")
	}
}

// proceed goes on with an automatic restart: it is queued, then it begins. Mostly both is between two polls.
func (m *model) proceed(u *modelUnit) {
	if u.sub == "auto-restart" {
		u.restarts++
		u.flush = false
		u.sub = "queued"
		if m.roll(3) == 0 {
			return
		}
	}
	if u.sub == "queued" {
		m.invoke(u)
	}
}

// hidesQueue reports whether a restart that is queued looks like one that waits.
func (m *model) hidesQueue() bool { return m.systemd > 0 && m.systemd < queueState }

func (m *model) fail(u *modelUnit) {
	if u.sub == "running" {
		u.flush = true
		u.result, u.exitCode, u.exitStatus = "signal", "killed", 9
		m.enter(u, "failed", "failed")
	}
}

// resetFailed is systemctl's. Of a unit that is up it would reset the count too, so that a manual start seems to have been.
func (m *model) resetFailed(u *modelUnit) {
	if u.active == "failed" || u.active == "inactive" {
		u.restarts, u.flush, u.result = 0, false, "success"
		m.enter(u, "inactive", "dead")
	}
}

// load changes the unit file: systemd loads it again, or not at all.
func (m *model) load(u *modelUnit) {
	state := [][2]string{{"loaded", "enabled"}, {"loaded", "disabled"}, {"not-found", ""}, {"masked", "masked"}}[m.roll(4)]
	u.load, u.file = state[0], state[1]
	if u.load != "loaded" && m.roll(2) == 0 {
		m.stop(u)
		u.invocation, u.restarts, u.flush = "", 0, false
		m.enter(u, "inactive", "dead")
	}
}

// key is the name that u is asked for.
func (u *modelUnit) key() string {
	if u.asked != "" {
		return u.asked
	}
	return u.name
}

// begun is how often the unit was started, ever. An automatic restart that is queued is one of them where systemd has counted it and
// does not show that it has not begun.
func (m *model) begun(key string) int {
	u := m.units[slices.IndexFunc(m.units, func(u *modelUnit) bool { return u.key() == key })]
	if u.sub == "queued" && m.hidesQueue() {
		return u.begun + 1
	}
	return u.begun
}

// show is what systemctl would print, parsed.
func (m *model) show(u *modelUnit) systemctl.Unit {
	shown := systemctl.Unit{
		RequestedAs: u.asked, Name: u.name, LoadState: u.load, ActiveState: u.active, SubState: u.sub, UnitFileState: u.file,
		InvocationID: u.invocation, StateChange: new(u.changed), NeedDaemonReload: new(u.edited),
	}
	if u.sub == "queued" {
		shown.SubState = "auto-restart-queued"
		if m.hidesQueue() {
			shown.SubState = "auto-restart"
		}
	}
	if u.load == "loaded" {
		shown.Result, shown.Restarts, shown.ExitCode = u.result, new(u.restarts), u.exitCode
		if u.exitCode != "" {
			shown.ExitStatus = new(u.exitStatus)
		}
	}
	return shown
}

// poll is what a poll of the host says now.
func (m *model) poll() Poll {
	p := Poll{Host: web01(), Observed: m.now, Outcome: m.outcome, Asked: func(unit string) bool {
		return slices.ContainsFunc(m.units, func(u *modelUnit) bool { return u.key() == unit && u.wanted })
	}}
	if m.outcome != hosts.OK {
		p.Error = new(strings.ToUpper(string(m.outcome)))
		return p
	}
	p.Snapshot.BootID = fmt.Sprintf("%08x-0a43-4f6e-9d58-317ac40e92b6", m.boots)
	p.Snapshot.Manager = systemctl.Manager{VersionNumber: m.systemd, UserspaceTime: new(m.booted)}
	for _, u := range m.units {
		if u.listed && u.wanted {
			p.Snapshot.Units = append(p.Snapshot.Units, m.show(u))
		}
	}
	return p
}

package fleet

import (
	"math"
	"time"
)

// A kind is what the transitions of a unit depend on.
type kind uint8

const (
	service kind = iota
	oneshot      // a service that does its work and ends
	timer
	socket
	mount
)

// The substates of the simulated units, as systemd calls them.
const (
	subDead        = "dead"
	subStart       = "start"
	subRunning     = "running" // of a service; of a timer or socket: its service is active
	subReload      = "reload"
	subStopSigterm = "stop-sigterm"
	subFailed      = "failed"
	subAutoRestart = "auto-restart"
	subWaiting     = "waiting"   // of a timer
	subListening   = "listening" // of a socket
	subMounted     = "mounted"
)

// The active states that the substates belong to.
const (
	inactive     = "inactive"
	activating   = "activating"
	active       = "active"
	reloading    = "reloading"
	deactivating = "deactivating"
	failed       = "failed"
)

// activeState follows the translation tables in systemd's src/core/service.c, timer.c, socket.c and mount.c.
func activeState(sub string) string {
	switch sub {
	case subStart, subAutoRestart:
		return activating
	case subRunning, subWaiting, subListening, subMounted:
		return active
	case subReload:
		return reloading
	case subStopSigterm:
		return deactivating
	case subFailed:
		return failed
	}
	return inactive
}

// A step is what a unit is going to do by itself.
type step uint8

const (
	rest     step = iota // nothing
	begin                // a start job that has waited begins
	run                  // it has started
	crash                // the main process ends unasked
	relaunch             // the time of RestartSec= is over
	finish               // a oneshot's process ends
	stopped              // the main process has ended as asked
	reloaded             // a reload has ended
	synced               // someone ran daemon-reload
	elapse               // of a timer
)

// A unit is one unit of a host.
type unit struct {
	*spec

	partner *unit // of a timer or socket: its service; of such a service: the timer or socket
	phase   float64
	delay   time.Duration // of a timer, like RandomizedDelaySec= with FixedRandomDelay=

	step step // what comes next,
	due  time.Time

	sub           string
	result        string
	invocation    string
	restarts      int
	daemonReload  bool // the unit file changed on disk
	stateChange   time.Time
	activeEnter   time.Time
	activeExit    time.Time
	inactiveEnter time.Time
	inactiveExit  time.Time

	launched   time.Time // the current or last invocation
	ended      time.Time // its main process; zero while it runs
	mainPID    int
	exitCode   int // CLD_* as in sigaction(2), 0 before any process ended
	exitStatus int

	crashes int           // how often it is still going to crash right after its start
	pause   time.Duration // from the end of a stop to the next start

	history []transition

	nextElapse  time.Time // of a timer
	lastTrigger time.Time
}

// then sets what u does next.
func (u *unit) then(s step, at time.Time) { u.step, u.due = s, at }

// calm says whether u runs as it should and nothing is going on with it.
func (u *unit) calm() bool { return u.kind == service && u.step == rest && u.sub == subRunning }

// reset makes u what it is right after boot, at that moment.
func (u *unit) reset(at time.Time) {
	if u.sub != "" && u.sub != subDead {
		u.remember(at, subDead, true)
	}
	*u = unit{history: u.history, spec: u.spec, partner: u.partner, phase: u.phase, delay: u.delay, sub: subDead, result: "success"}
}

// enter changes the substate and keeps the books as unit_notify in systemd's src/core/unit.c does.
func (u *unit) enter(at time.Time, sub string) {
	isUp := func(state string) bool { return state == active || state == reloading }
	before, after := activeState(u.sub), activeState(sub)
	u.remember(at, sub, false)
	u.sub = sub
	u.stateChange = at
	switch {
	case isDown(before) && !isDown(after):
		u.inactiveExit = at
	case !isDown(before) && isDown(after):
		u.inactiveEnter = at
	}
	switch {
	case !isUp(before) && isUp(after):
		u.activeEnter = at
	case isUp(before) && !isUp(after):
		u.activeExit = at
	}
	if u.partner != nil && (u.kind == service || u.kind == oneshot) {
		u.partner.follow(at, !isDown(after))
	}
}

// follow makes a timer or socket show whether its service is up.
func (u *unit) follow(at time.Time, up bool) {
	switch {
	case activeState(u.sub) != active: // Not started yet.
	case up && u.sub != subRunning:
		u.enter(at, subRunning)
	case !up && u.kind == socket && u.sub == subRunning:
		u.enter(at, subListening)
	case !up && u.kind == timer && u.sub == subRunning:
		u.enter(at, subWaiting)
		u.arm(at)
	}
}

// arm sets when a timer elapses next.
func (u *unit) arm(at time.Time) {
	u.nextElapse = at.Add(u.every)
	if u.calendar {
		u.nextElapse = at.Add(-u.delay).Truncate(u.every).Add(u.every + u.delay)
	}
	u.then(elapse, u.nextElapse)
}

// launch begins a new invocation.
func (u *unit) launch(at time.Time, invocation string, pid int) {
	u.invocation, u.mainPID = invocation, pid
	u.result = "success"
	u.launched, u.ended = at, time.Time{}
	u.exitCode, u.exitStatus = 0, 0
}

// exit ends the main process.
func (u *unit) exit(at time.Time, code, status int) {
	u.mainPID = 0
	u.ended = at
	u.exitCode, u.exitStatus = code, status
	switch {
	case code == cldKilled && status != sigterm:
		u.result = "signal"
	case code == cldDumped:
		u.result = "core-dump"
	case code == cldExited && status != 0:
		u.result = "exit-code"
	}
}

const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3

	sigkill = 9
	sigsegv = 11
	sigterm = 15
)

// notSet is how systemd holds a number that it does not have.
const notSet = math.MaxUint64

// memory is in bytes, notSet where a service has no processes. It swings around what is typical of the unit.
func (u *unit) memory(now time.Time) uint64 {
	switch {
	case !u.accounted():
		return notSet
	case u.typicalTasks == 0:
		return u.typicalMemory
	}
	const page = 4096
	swing := 1 + 0.08*math.Sin(u.phase+2*math.Pi*now.Sub(u.launched).Seconds()/97)
	return uint64(float64(u.typicalMemory)*swing) / page * page
}

// tasks is how many processes and threads there are, notSet as for memory.
func (u *unit) tasks(now time.Time) uint64 {
	switch {
	case !u.accounted():
		return notSet
	case u.typicalTasks < 4:
		return u.typicalTasks
	}
	return u.typicalTasks + uint64(1.5+1.5*math.Sin(u.phase+now.Sub(u.launched).Seconds()/13))
}

func (u *unit) accounted() bool {
	if u.kind == service || u.kind == oneshot {
		return u.mainPID != 0
	}
	return activeState(u.sub) == active
}

// cpu is in nanoseconds; systemd remembers it after the end. It is notSet for a unit that never ran.
func (u *unit) cpu(now time.Time) uint64 {
	if u.launched.IsZero() {
		return notSet
	}
	if !u.ended.IsZero() {
		now = u.ended
	}
	const startup = 2_145_000
	return startup + uint64(u.typicalCPU*float64(max(0, now.Sub(u.launched))))
}

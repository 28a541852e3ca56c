package fleet

import "time"

// An incident is what befalls a host from outside.
type incident uint8

const (
	crashes  incident = iota // a service with Restart= dies once
	fails                    // a service without Restart= ends with an error
	killed                   // one is ended by a signal
	loops                    // a service with Restart= crashes again and again
	stops                    // someone stops a service, and starts it later
	restarts                 // someone restarts one
	reloads                  // someone reloads one
	edits                    // someone changes a unit file, and reloads the manager later
	goesOut                  // an outage of the whole host
)

// turns is how long the rotation is.
const turns = 12

// rotation is the order in which incidents befall a host, round and round.
func rotation() [turns]incident {
	return [turns]incident{crashes, reloads, fails, restarts, edits, loops, stops, crashes, killed, reloads, restarts, goesOut}
}

// firstTurn is where in the rotation a host begins: so that among the first five hosts every incident comes within six
// turns, and the outages come two turns apart.
func firstTurn(index int) int {
	return (2*turns - 2 - 2*index%turns) % turns
}

// incident is the next one in the rotation that can befall the host.
func (h *host) incident(at time.Time) {
	if h.out != present {
		return
	}
	order := rotation()
	for range order {
		next := order[h.turn%turns]
		h.turn++
		if next == goesOut {
			if at.Before(h.reachableUntil) {
				continue
			}
			h.goOut(at)
			return
		}
		if u := h.pick(next); u != nil {
			h.befall(u, next, at)
			return
		}
	}
}

// pick chooses a service that the incident can befall, nil for none.
func (h *host) pick(i incident) *unit {
	var (
		chosen *unit
		n      int
	)
	for _, u := range h.units {
		if !u.calm() || !suits(u, i) {
			continue
		}
		if n++; h.random.IntN(n) == 0 {
			chosen = u
		}
	}
	return chosen
}

func suits(u *unit, i incident) bool {
	switch i {
	case crashes, loops:
		return u.restartAfter > 0
	case fails, killed:
		return u.restartAfter == 0
	case reloads:
		return u.canReload
	default:
		return true
	}
}

func (h *host) befall(u *unit, i incident, at time.Time) {
	switch i {
	case crashes:
		h.crash(u, at)
	case fails:
		h.fail(u, at, cldExited, 1+h.random.IntN(3))
	case killed:
		if h.random.IntN(2) == 0 {
			h.fail(u, at, cldDumped, sigsegv)
		} else {
			h.fail(u, at, cldKilled, sigkill)
		}
	case loops:
		u.crashes = 4 + h.random.IntN(5)
		h.crash(u, at)
	case stops:
		h.stop(u, at, h.between(15*time.Second, 40*time.Second))
	case restarts:
		h.stop(u, at, 0)
	case reloads:
		u.enter(at, subReload)
		u.then(reloaded, at.Add(h.between(time.Second, 4*time.Second)))
	case edits:
		u.daemonReload = true
		u.then(synced, at.Add(h.between(10*time.Second, 25*time.Second)))
	default: // An outage is not of one unit.
	}
}

// proceed does the unit's next step.
func (h *host) proceed(u *unit, at time.Time) {
	next := u.step
	u.step = rest
	switch next {
	case begin:
		u.restarts = 0
		h.launch(u, at)
	case run:
		u.enter(at, subRunning)
		if u.crashes > 0 {
			u.then(crash, at.Add(h.between(time.Second, 3*time.Second)))
		}
	case crash:
		h.crashAgain(u, at)
	case relaunch:
		u.restarts++
		h.launch(u, at)
	case finish:
		h.finish(u, at)
	case stopped:
		u.exit(at, cldKilled, sigterm)
		u.enter(at, subDead)
		u.then(begin, at.Add(u.pause))
	case reloaded:
		u.enter(at, subRunning)
	case synced:
		u.daemonReload = false
	case elapse:
		u.lastTrigger = at
		h.launch(u.partner, at)
	case rest:
	}
}

// launch starts a service or oneshot.
func (h *host) launch(u *unit, at time.Time) {
	u.launch(at, h.id(), h.pid())
	u.enter(at, subStart)
	if u.kind == oneshot {
		u.then(finish, at.Add(h.between(2*time.Second, 6*time.Second)))
		return
	}
	u.then(run, at.Add(h.between(200*time.Millisecond, 2500*time.Millisecond)))
}

// crash ends a service that has Restart=.
func (h *host) crash(u *unit, at time.Time) {
	if h.random.IntN(3) == 0 {
		u.exit(at, cldDumped, sigsegv)
	} else {
		u.exit(at, cldExited, 1)
	}
	u.enter(at, subFailed)
	u.enter(at, subAutoRestart)
	u.then(relaunch, at.Add(u.restartAfter))
}

// crashAgain is the next crash of a loop. The last one may use up the start limit.
func (h *host) crashAgain(u *unit, at time.Time) {
	u.crashes--
	if u.crashes == 0 && h.random.IntN(2) == 0 {
		h.fail(u, at, cldExited, 1)
		return
	}
	h.crash(u, at)
}

// fail ends a service or oneshot for good, that is until someone starts it again, or its timer does.
func (h *host) fail(u *unit, at time.Time, code, status int) {
	u.exit(at, code, status)
	u.enter(at, subFailed)
	if u.kind == service {
		u.then(begin, at.Add(h.between(15*time.Second, 40*time.Second)))
	}
}

// finish ends a oneshot, mostly well.
func (h *host) finish(u *unit, at time.Time) {
	if at.After(h.start) && h.random.IntN(8*h.ease) == 0 {
		h.fail(u, at, cldExited, 1)
		return
	}
	u.exit(at, cldExited, 0)
	u.enter(at, subDead)
}

// stop ends a service as asked, and starts it again after a pause.
func (h *host) stop(u *unit, at time.Time, pause time.Duration) {
	u.pause = pause
	u.enter(at, subStopSigterm)
	u.then(stopped, at.Add(h.between(300*time.Millisecond, 2*time.Second)))
}

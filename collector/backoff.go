package collector

import (
	"math/rand/v2"
	"time"

	"service_manager/hosts"
)

const (
	// persistentPause is how long a host is left alone whose trouble only a person can mend. Shorter would earn the collector's
	// address a penalty from OpenSSH 9.8 on, which then hits every connection from it.
	persistentPause = 5 * time.Minute
	// persistentSpread is at most added to it, so that a fleet that was kept out by one file is not asked again all at once.
	persistentSpread = time.Minute
	// The back-off after other trouble is at most firstBackOff, and twice as much after each failure that follows, up to
	// lastBackOff or the host's interval, the longer of the two.
	firstBackOff = time.Second
	lastBackOff  = 15 * time.Second
	// steady is how long a host must have been well for its back-off to begin anew: one that comes and goes is not hurried after.
	steady = time.Minute
)

// backOff is when a host that failed with err is tried again, whatever its schedule; zero means with its next turn. It is told before
// w learns of the failure.
//
// A login that is refused earns a penalty from OpenSSH 9.8 on too, so it backs off although the host answers; a command that is refused
// on a standing connection does not.
//
// The delay is random between nothing and the whole (full jitter), so that hosts that failed together do not come back together.
func (w *watch) backOff(now time.Time, err error, dialled bool) time.Time {
	if hosts.Persistent(err) {
		return now.Add(persistentPause + rand.N(persistentSpread)) //nolint:gosec // no one gains by guessing it
	}
	switch outcome := hosts.OutcomeOf(err); {
	case outcome == hosts.Unreachable, outcome == hosts.Timeout, outcome == hosts.Throttled, outcome == hosts.ProtocolError:
	case outcome == hosts.Denied && dialled:
	default: // It is well, or answers: that will not change within seconds.
		return time.Time{}
	}
	if w.outcome == hosts.OK && now.Sub(w.since) >= steady {
		w.failures = 0
	}
	most := max(w.host.Interval, lastBackOff)
	if w.failures < 32 {
		most = min(most, firstBackOff<<w.failures)
	}
	w.failures++
	return now.Add(1 + rand.N(most)) //nolint:gosec // no one gains by guessing it
}

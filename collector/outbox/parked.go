package outbox

import (
	"math/rand/v2"
	"time"

	"service_manager/publish"
)

// How often a lot tries one of its hosts.
const (
	tryEach  = 5 * time.Second        // Each host this often, where there are few.
	tryEvery = 250 * time.Millisecond // One of a lot this often at most, and less where there are many lots.
	maxBurst = 1 << 14
)

// A lot holds parked hosts: those whose first event the broker did not take, for the same reason. Since their queues are likely the
// same, not each of them is tried:
//
//	park ─▶ waiting ──(now and then one)──▶ on trial ─┬─ confirmed ─▶ free; at once twice as many are tried
//	           ▲                                      │
//	           └───────────── again one by one ◀──────┴─ not
//
// So a single host is tried every 5 s at least (with a rejected gap: every 5 minutes), thousands cost a few messages a second, and when
// the cause has gone they are free within a dozen round trips.
type lot struct {
	key     lotKey
	waiting fifo[*host]   // The longest waiting first.
	burst   int           // How many to try at once.
	trying  int           // How many are on trial.
	failed  bool          // One of those was not confirmed.
	timer   *time.Timer   // Begins the next round; nil while hosts are on trial.
	pause   time.Duration // At most until then, where the fate is Invalid. Doubles with each round that fails.
}

type lotKey struct {
	fate  publish.Fate // Refused, Unroutable, Rejected; or Invalid: gaps that are rejected while others are confirmed.
	group string
}

// park takes a host out of the queue whose first event the broker did not take. A rejection costs the connection: so all hosts with one
// are one lot, and are tried one after the other.
func (o *Outbox) park(h *host, f publish.Fate, group string) {
	key := lotKey{fate: f, group: group}
	if f == publish.Rejected || f == publish.Invalid {
		key.group = ""
	}
	l := o.lots[key]
	if l == nil {
		l = &lot{key: key, burst: 1, pause: tryEach}
		o.lots[key] = l
	}
	h.stage = parked
	l.waiting.push(h)
	o.stats.Parked++
	o.endTrial(h, false)
	if l.trying == 0 && l.timer == nil {
		o.schedule(l)
	}
}

// schedule sets the time of the lot's next round.
func (o *Outbox) schedule(l *lot) {
	if o.closed {
		return
	}
	every := max(tryEach/time.Duration(l.waiting.len()), tryEvery*time.Duration(len(o.lots)))
	switch {
	case l.key.fate == publish.Invalid:
		every = l.pause
	case l.key.fate == publish.Rejected, every > tryEach:
		every = tryEach
	}
	least := tryEvery / 5
	l.timer = time.AfterFunc(least+rand.N(every-least), func() { //nolint:gosec // spreads tries, keeps no secret
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.closed {
			o.try(l)
		}
	})
}

// try begins a round.
func (o *Outbox) try(l *lot) {
	l.timer, l.failed = nil, false
	for range l.burst {
		h, ok := l.waiting.pop()
		if !ok {
			return
		}
		l.trying++
		o.stats.Parked--
		h.trial, h.stage = l, idle
		o.offer(h)
	}
}

// endTrial ends the trial of a host, if it is on trial.
func (o *Outbox) endTrial(h *host, confirmed bool) {
	l := h.trial
	if l == nil {
		return
	}
	h.trial = nil
	l.trying--
	l.failed = l.failed || !confirmed
	switch {
	case l.trying > 0:
	case l.waiting.len() == 0:
		delete(o.lots, l.key)
	case l.failed:
		l.burst, l.pause = 1, min(2*l.pause, pauseRejected)
		o.schedule(l)
	default:
		l.burst = min(2*l.burst, maxBurst)
		o.try(l)
	}
}

// stop ends what would begin the next round.
func (l *lot) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

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

	tryProven     = 30 * time.Second // One that is rejected while others are confirmed this often at most,
	pauseRejected = 5 * time.Minute  // and where there are few, each this often.
)

// A lot holds parked hosts: those whose first event the broker did not take, for the same reason; or the slots of rejected statuses.
// Since their queues are likely the same, not each of them is tried:
//
//	park ─▶ waiting ──(now and then one)──▶ on trial ─┬─ confirmed ─▶ free; at once twice as many are tried
//	           ▲                                      │
//	           └───────────── again one by one ◀──────┴─ not
//
// So a single host is tried every 5 s at least (with a rejected gap or status: every 5 minutes), thousands cost a few messages a second,
// and when the cause has gone they are free within a dozen round trips.
type lot struct {
	key     lotKey
	waiting fifo[member]  // The longest waiting first.
	burst   int           // How many to try at once.
	trying  int           // How many are on trial.
	failed  bool          // One of those was not confirmed.
	timer   *time.Timer   // Begins the next round; nil while hosts are on trial.
	pause   time.Duration // Between two tries of each, where the fate is Invalid. Doubles with each round that fails.
}

type lotKey struct {
	fate   publish.Fate // Refused, Unroutable, Rejected; or Invalid: gaps and statuses that are rejected while others are confirmed.
	group  string
	newest bool // Of statuses and notices.
}

// A member of a lot is a *host or a *slot.
type member interface {
	// try puts it on trial.
	try(o *Outbox, l *lot)
	// waitingEvents is how many events wait in it.
	waitingEvents() int
}

// park takes a host out of the queue whose first event the broker did not take. A rejection costs the connection: so all hosts with one
// are one lot, and are tried one after the other.
func (o *Outbox) park(h *host, f publish.Fate, group string) {
	key := lotKey{fate: f, group: group}
	if f == publish.Rejected || f == publish.Invalid {
		key.group = ""
	}
	h.stage = parked
	o.stats.Parked++
	o.admit(h, &h.trial, key)
}

// admit takes m into a lot, and ends its trial in that one or another.
func (o *Outbox) admit(m member, trial **lot, key lotKey) {
	l := o.lots[key]
	if l == nil {
		l = &lot{key: key, burst: 1, pause: tryEach}
		o.lots[key] = l
	}
	l.waiting.push(m)
	o.endTrial(trial, false)
	if l.trying == 0 && l.timer == nil {
		o.schedule(l)
	}
}

// schedule sets the time of the lot's next round.
func (o *Outbox) schedule(l *lot) {
	if o.closed {
		return
	}
	n := time.Duration(l.waiting.len())
	var wait time.Duration
	switch l.key.fate {
	case publish.Invalid:
		wait = max(l.pause/n, min(l.pause, tryProven))
	case publish.Rejected:
		wait = tryEach
	default:
		const least = tryEvery / 5
		every := min(max(tryEach/n, tryEvery*time.Duration(len(o.lots))), tryEach)
		wait = least + rand.N(every-least) //nolint:gosec // spreads tries, keeps no secret
	}
	l.timer = time.AfterFunc(wait, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.closed {
			o.try(l)
		}
	})
}

// try begins a round.
func (o *Outbox) try(l *lot) {
	o.tellLot(l)
	l.timer, l.failed = nil, false
	for range l.burst {
		m, ok := l.waiting.pop()
		if !ok {
			return
		}
		l.trying++
		m.try(o, l)
	}
}

func (h *host) try(o *Outbox, l *lot) {
	o.stats.Parked--
	h.trial, h.stage = l, idle
	o.offer(h)
}

func (h *host) waitingEvents() int { return h.events.len() }

// endTrial ends a trial, if there is one.
func (o *Outbox) endTrial(trial **lot, confirmed bool) {
	l := *trial
	if l == nil {
		return
	}
	*trial = nil
	l.trying--
	l.failed = l.failed || !confirmed
	switch {
	case l.trying > 0:
	case l.waiting.len() == 0:
		delete(o.lots, l.key)
		if confirmed {
			o.tellOver(l.key)
		}
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

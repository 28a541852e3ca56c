package collector

import (
	"sync"
	"time"
)

// Stats says what a collector is doing.
type Stats struct {
	DialsWaiting  int // Hosts that wait to be connected to.
	DialsInFlight int // Hosts being connected to.
	DialsSlow     int // Those of DialsInFlight that have given up their place to others.
	PollsWaiting  int // Hosts that wait to be polled on their connections.
	PollsInFlight int // Hosts being polled.
	PollsSlow     int // Those of PollsInFlight that have given up their place to others, or never had one.
	Stretched     int // Hosts whose interval is longer than the inventory says, because they answer no faster.
	// Overruns and WaitOverruns count the turns missed by hosts that were well, or new, because their polls before had not ended:
	// by Overruns those where most of the time went into the host; it is slow, and its interval will be stretched. WaitOverruns has
	// those where most of it was spent waiting for places: where it rises all the time after a start, Parallel, Dials or
	// DialRate is too small for the fleet, or the interval too short.
	Overruns, WaitOverruns uint64
	// Looks counts the polls that came before their turn, since something had just happened on the host.
	Looks uint64
	// Polls counts those that have ended, whatever came of them. In all, they have waited for places for Queued, and worked for
	// Worked, of which Dialled went into connecting. Late counts those that waited longer than a tenth of their interval.
	Polls, Late             uint64
	Queued, Worked, Dialled time.Duration
	// Refused counts the changes that the outbox had no room for, or could not write. Each is tried again with the host's next poll.
	Refused uint64
}

// Stats returns what the collector is doing at the moment. It may be called at any time, and often.
func (c *Collector) Stats() Stats {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	return c.stats.now
}

// stats is where a schedule leaves its numbers for others to read.
type stats struct {
	mu     sync.Mutex
	now    Stats
	turned time.Time     // When the schedule last looked at its agenda.
	moved  time.Time     // When a poll last ended, or none was under way.
	bound  time.Duration // The longest that a poll may take, whatever happens.
	before time.Duration // The same before the last reload, which counts on
	until  time.Time     // until then.
}

// overrun counts a turn that was missed, mostly because the poll before waited or because of the host.
func (t *stats) overrun(waited bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if waited {
		t.now.WaitOverruns++
		return
	}
	t.now.Overruns++
}

func (t *stats) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Looks++
}

// poll counts a poll that went as a says.
func (t *stats) poll(a account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Polls++
	t.now.Queued += a.queued
	t.now.Worked += a.worked
	t.now.Dialled += a.dialled
	if a.queued > a.interval/10 {
		t.now.Late++
	}
}

func (t *stats) refused() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Refused++
}

// conclude says that a poll has ended, and all that follows from it.
func (t *stats) conclude() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moved = time.Now()
}

func (t *stats) set(s *schedule, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turned = now
	t.now.DialsWaiting = s.dials.waiting
	t.now.DialsInFlight = s.dials.lane.quick + s.dials.lane.slow
	t.now.DialsSlow = s.dials.lane.slow
	t.now.PollsWaiting = s.polls.waiting()
	t.now.PollsInFlight = s.polls.lane.quick + s.polls.lane.slow
	t.now.PollsSlow = s.polls.lane.slow
	t.now.Stretched = s.stretched
	if t.now.DialsWaiting+t.now.DialsInFlight+t.now.PollsWaiting+t.now.PollsInFlight+s.telling == 0 {
		t.moved = now
	}
}

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
	// Overruns counts the turns missed by hosts that were well, or new, because their polls before had not ended. Where it rises
	// all the time, the interval, Parallel, Dials or DialRate is too small for the fleet.
	Overruns uint64
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
}

func (t *stats) overrun() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Overruns++
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
	if t.now.DialsWaiting+t.now.DialsInFlight+t.now.PollsWaiting+t.now.PollsInFlight+s.telling == 0 {
		t.moved = now
	}
}

package collector

import (
	"errors"
	"fmt"
	"time"

	"service_manager/inventory"
)

const (
	// turnEvery is how often the schedule looks at its agenda, whether there is anything to do or not.
	turnEvery = time.Second
	// turnLate is when it is taken to be stuck. It never waits for anything, so that only a machine without CPU time to give makes it
	// late.
	turnLate = 20 * time.Second
	// concludeLate is how much longer than it may take a poll must be under way, and no other have ended, for polling to be taken to be
	// stuck. It is for the disk, which the changes have to reach.
	concludeLate = 30 * time.Second
)

// Alive says what keeps a running collector from its work; nil while it gets on. Hosts that hang or a broker that is away do not: they
// are what it is there for. What does is a defect of the program, or a disk that takes no writes.
func (c *Collector) Alive(now time.Time) error {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	switch {
	case c.stats.turned.IsZero():
		return errors.New("collecting has not begun")
	case now.Sub(c.stats.turned) > turnLate:
		return fmt.Errorf("the schedule is stuck since %v", now.Sub(c.stats.turned).Round(time.Second))
	case now.Sub(c.stats.moved) > c.stats.mostAt(now):
		return fmt.Errorf("polls are under way since %v and none ends: does the disk with the state file hang?",
			now.Sub(c.stats.moved).Round(time.Second))
	}
	return nil
}

// expect sets how long the polls of these hosts may take at most. Those that are under way may take as long as they might before.
func (t *stats) expect(hosts []inventory.Host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.moved.IsZero() {
		t.moved = now
	}
	t.before = t.mostAt(now)
	t.until = now.Add(t.before)
	t.bound = 0
	for _, h := range hosts {
		t.bound = max(t.bound, h.Timeout+h.ConnectTimeout)
	}
	t.bound = 2*t.bound + concludeLate
}

// mostAt is how long it may be at now that no poll has ended. The caller holds the lock.
func (t *stats) mostAt(now time.Time) time.Duration {
	if now.Before(t.until) {
		return max(t.bound, t.before)
	}
	return t.bound
}

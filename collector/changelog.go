package collector

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"service_manager/hosts"
)

// loggedPerSecond is how many hosts' changes are logged one by one within a second. When thousands go away at once, the log says how
// many; which ones, their statuses say.
const loggedPerSecond = 20

// A changelog logs when a host's outcome changes, not each poll. It is safe for concurrent use.
type changelog struct {
	log *slog.Logger

	mu     sync.Mutex
	until  time.Time             // End of the second under way.
	logged int                   // Changes logged one by one in it.
	folded map[hosts.Outcome]int // The others, by what they changed to.
}

// note logs the change of w's outcome, if it is one.
func (c *changelog) note(now time.Time, w *watch, before hosts.Outcome) {
	if w.outcome == before {
		return
	}
	log := c.log.With(slog.String("host", w.host.Name), slog.String("outcome", string(w.outcome)))
	if before == "" && w.err == nil {
		log.Debug("host can be read")
		return
	}
	c.summarise(c.take(now))
	if !c.admit(w.outcome) {
		return
	}
	if w.err != nil {
		log.Warn("host cannot be read", slog.Any("err", w.err))
		return
	}
	log.Info("host can be read again", slog.String("before", string(before)))
}

// admit reports whether a change may be logged by itself. Else it is counted.
func (c *changelog) admit(outcome hosts.Outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logged < loggedPerSecond {
		c.logged++
		return true
	}
	if c.folded == nil {
		c.folded = make(map[hosts.Outcome]int)
	}
	c.folded[outcome]++
	return false
}

// take begins a new second if the one under way is over, and returns the changes counted in that.
func (c *changelog) take(now time.Time) map[hosts.Outcome]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.until) {
		return nil
	}
	folded := c.folded
	c.until, c.logged, c.folded = now.Add(time.Second), 0, nil
	return folded
}

// alarm is when changes should be taken; zero when there are none.
func (c *changelog) alarm() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.folded == nil {
		return time.Time{}
	}
	return c.until
}

// summarise logs changes that were counted.
func (c *changelog) summarise(folded map[hosts.Outcome]int) {
	if folded == nil {
		return
	}
	outcomes := make([]slog.Attr, 0, len(folded))
	for _, outcome := range slices.Sorted(maps.Keys(folded)) {
		outcomes = append(outcomes, slog.Int(string(outcome), folded[outcome]))
	}
	c.log.Warn("more hosts have changed at once than are logged one by one", slog.GroupAttrs("outcomes", outcomes...))
}

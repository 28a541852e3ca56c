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

// A changelog logs when a host's outcome or pace changes, not each poll. It is safe for concurrent use.
type changelog struct {
	log *slog.Logger

	mu     sync.Mutex
	until  time.Time      // End of the second under way.
	logged int            // Changes logged one by one in it.
	folded map[string]int // The others, by what they changed to: an outcome, or another pace.
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
	if !c.admit(string(w.outcome)) {
		return
	}
	if w.err != nil {
		log.Warn("host cannot be read", slog.Any("err", w.err))
		return
	}
	log.Info("host can be read again", slog.String("before", string(before)))
}

// admit reports whether a change may be logged by itself. Else it is counted.
func (c *changelog) admit(change string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logged < loggedPerSecond {
		c.logged++
		return true
	}
	if c.folded == nil {
		c.folded = make(map[string]int)
	}
	c.folded[change]++
	return false
}

// take begins a new second if the one under way is over, and returns the changes counted in that.
func (c *changelog) take(now time.Time) map[string]int {
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
func (c *changelog) summarise(folded map[string]int) {
	if folded == nil {
		return
	}
	counts := make([]slog.Attr, 0, len(folded))
	for _, change := range slices.Sorted(maps.Keys(folded)) {
		counts = append(counts, slog.Int(change, folded[change]))
	}
	c.log.Warn("more hosts have changed at once than are logged one by one", slog.GroupAttrs("changes", counts...))
}

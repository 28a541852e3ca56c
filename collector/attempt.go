package collector

import (
	"context"
	"time"

	"github.com/sourcegraph/conc/panics"

	"service_manager/hosts"
)

// A result is what a goroutine hands back to the schedule.
type result struct {
	watch    *watch
	snapshot hosts.Snapshot // Of a poll.
	err      error          // Of a dial or a poll.
	changed  bool           // Of a look at the files.
	dialled  bool           // It was a dial.
	removed  bool           // The outbox has forgotten the host.
	told     bool           // Of a conclusion: the poll has led to events.
	transit  bool           // Of a conclusion: the poll has seen units in transit.
	worked   time.Duration
}

// start lets a goroutine do one thing for w, within its places. It works on a copy of the host: w stays with the schedule.
func (s *schedule) start(ctx context.Context, w *watch, stage stage, places ...*place) {
	w.stage, w.places, w.begun = stage, places, time.Now()
	host := w.host
	// What is left of the poll's time; at least something, so that a timeout is told by who knows what was late.
	host.Timeout = max(min(host.Timeout, w.left()), time.Millisecond)
	pool := s.config.Pool
	s.work.Do(func() {
		r := result{watch: w}
		begun := time.Now()
		panicked := panics.Try(func() {
			switch stage {
			case checking:
				r.changed = pool.Changed(host)
			case dialling:
				r.err = pool.Connect(ctx, host)
			default:
				r.snapshot, r.err = pool.Poll(ctx, host)
			}
		})
		if panicked != nil { // It is this host's trouble, with its stack, and no one else's.
			r.err = panicked.AsError()
		}
		r.worked = time.Since(begun)
		s.handBack(ctx, r)
	})
}

// handBack gives a result to the schedule, unless that has ended.
func (s *schedule) handBack(ctx context.Context, r result) {
	select {
	case s.results <- r:
	case <-ctx.Done():
	}
}

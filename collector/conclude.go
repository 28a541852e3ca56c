package collector

import (
	"context"
	"log/slog"
	"time"

	"github.com/sourcegraph/conc/panics"
)

// An account is how a poll went, and what is next: all of a status that is not known of the host.
type account struct {
	ended   time.Time
	queued  time.Duration // Waited for places.
	worked  time.Duration
	dialled time.Duration // What of worked went into connecting.
	next    time.Time     // The host's next turn.

	interval  time.Duration // In force from now on.
	stretched int           // By how many intervals it is longer than before.
}

// conclude ends the poll under way: a goroutine makes the result known, and hands the host back.
func (s *schedule) conclude(ctx context.Context, w *watch, r result) {
	now := time.Now()
	stretched := 0
	switch {
	case s.once:
	case r.err != nil:
		w.resume = w.backOff(now, r.err, r.dialled)
	default:
		stretched = s.stretch(w, now)
	}
	w.stage = concluding
	s.telling++
	a := account{
		ended: now, queued: now.Sub(w.asked) - w.worked, worked: w.worked, dialled: w.dialled,
		next: w.due, interval: w.interval(), stretched: stretched,
	}
	s.stats.poll(a)
	s.work.Do(func() {
		before := w.outcome
		w.learn(now, r.snapshot, r.err)
		s.changes.note(now, w, before)
		s.changes.pace(now, w, a)
		if r.snapshot.GlobsErr != nil {
			s.config.Log.Warn("globs of units could not be resolved anew; the units found before are polled on",
				slog.String("host", w.host.Name), slog.Any("err", r.snapshot.GlobsErr))
		}
		s.tell(w, a)
		told := s.commit(w, a)
		s.handBack(ctx, result{watch: w, told: told, transit: inTransit(r.snapshot.Units)})
	})
}

// repeat says again what is wrong with a host that has a turn but no poll: it is in its back-off, or its last poll has not ended. A
// host that was well has no status until its poll has ended: to say "ok" of what no one has seen would be a guess.
func (s *schedule) repeat(w *watch, now time.Time) {
	if w.err == nil {
		return
	}
	a := account{ended: now, next: w.due, interval: w.interval()}
	if w.stage == waiting {
		a.queued = now.Sub(w.asked) - w.worked
	}
	s.tell(w, a)
}

// tell makes a status and hands it out.
func (s *schedule) tell(w *watch, a account) {
	panicked := panics.Try(func() {
		status := s.status(w, a)
		if s.config.Observe != nil {
			s.config.Observe(status)
		}
		if s.config.Outbox != nil {
			s.config.Outbox.PutStatus(status)
		}
	})
	if panicked != nil {
		s.config.Log.Error("a status is lost", slog.String("host", w.host.Name), slog.Any("err", panicked.AsError()))
	}
}

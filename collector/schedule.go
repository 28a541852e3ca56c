package collector

import (
	"context"
	"errors"
	"math"
	"time"

	"service_manager/collector/change"
	"service_manager/hosts"
	"service_manager/hosts/crew"
	"service_manager/inventory"
	"service_manager/publish"
)

// A schedule is one [Collector.Run] or [Collector.Sweep]. One goroutine holds all that there is to decide; it never waits for a host.
type schedule struct {
	*Collector
	once    bool // Each host has one turn, now.
	left    int  // Hosts without a conclusion, where once.
	agenda  agenda
	watches map[string]*watch           // Those on the agenda, by host.
	absent  map[string]*change.Baseline // Of hosts that are in the inventory, but not polled any more.
	polls   pollQueue
	dials   dialQueue
	beatAt  time.Time // Of the next heartbeat; zero: never.
	telling int       // Hosts in the stages concluding and leaving.

	stretched int // Hosts whose interval is longer than the inventory says.
	looked    int // Looks that turns have not earned yet.

	results chan result
	work    *crew.Crew // Whatever waits for a host.
}

func (c *Collector) schedule(once bool) *schedule {
	s := &schedule{
		Collector: c,
		once:      once,
		left:      len(c.config.Hosts),
		polls:     newPollQueue(c.config.Parallel),
		dials:     newDialQueue(c.config.Dials, c.config.DialsPerJump, c.config.DialRate),
		results:   make(chan result),
		work:      crew.New(),
		watches:   make(map[string]*watch, len(c.config.Hosts)),
		absent:    make(map[string]*change.Baseline),
	}
	now := time.Now()
	s.stats.expect(c.config.Hosts)
	for _, h := range c.config.Hosts {
		s.enter(h, now)
	}
	s.firstBeat(now)
	return s
}

// enter takes a host on, whose first turn is now.
func (s *schedule) enter(h inventory.Host, now time.Time) {
	w := &watch{host: h, phase: phase(s.config.Name, h.Name, h.Interval), due: now, baseline: s.baseline(h.Name)}
	w.rearm()
	s.agenda.add(w)
	s.watches[h.Name] = w
}

// run serves the hosts until ctx ends or, where once, each has had its turn. It returns when all work has ended.
func (s *schedule) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer s.end(cancel)
	s.notice(publish.CollectorStarted, nil)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !s.once || s.left > 0 {
		select {
		case <-ctx.Done():
			return
		case r := <-s.results:
			if ctx.Err() != nil { // It may have been interrupted.
				return
			}
			s.settle(ctx, r)
		case o := <-s.orders:
			o(ctx, s)
		case <-timer.C:
		}
		now := time.Now()
		s.ring(ctx, now)
		s.fill(ctx, now)
		s.sumUp(now)
		s.beat(now)
		s.stats.set(s, now)
		timer.Reset(s.alarm(now).Sub(now))
	}
}

// end waits for all work, which cancel interrupts.
func (s *schedule) end(cancel context.CancelFunc) {
	cancel()
	s.work.Wait()
	s.notice(publish.CollectorStopping, nil)
	s.changes.summarise(s.changes.take(s.changes.alarm()))
}

// sumUp has the changes logged that happened at once, when their second is over.
func (s *schedule) sumUp(now time.Time) {
	if at := s.changes.alarm(); at.IsZero() || at.After(now) {
		return
	}
	folded := s.changes.take(now)
	s.work.Do(func() { s.changes.summarise(folded) })
}

// alarm is when the next thing happens of itself.
func (s *schedule) alarm(now time.Time) time.Time {
	at := earlier(earlier(s.beatAt, s.changes.alarm()), earlier(s.polls.alarm(), s.dials.alarm(now)))
	if w := s.agenda.first(); w != nil {
		at = earlier(at, w.alarm)
	}
	return earlier(at, now.Add(turnEvery))
}

// ring attends to the hosts whose turn has come, whose back-off is over, or that are to be looked at before their turn.
func (s *schedule) ring(ctx context.Context, now time.Time) {
	for w := s.agenda.first(); w != nil && !w.alarm.After(now); w = s.agenda.first() {
		if w.due.After(now) {
			s.early(w, now)
		} else {
			s.turn(ctx, w, now)
		}
		w.rearm()
		s.agenda.rearrange(w)
	}
}

// turn gives w what it is due each interval: a poll or, where that cannot begin now, a status that says again what is known.
func (s *schedule) turn(ctx context.Context, w *watch, now time.Time) {
	if w.leaves {
		w.due = now.Add(removeAgain)
		s.touch(ctx, w)
		return
	}
	due := w.due
	w.due = s.following(now, w)
	switch {
	case w.stage == concluding: // A status is on its way, and what is known is not ours to read.
	case w.stage != idle:
		if w.err == nil && !w.look {
			s.stats.overrun(w.waited(now) > now.Sub(w.asked)/2)
		}
		w.look = false // It has taken the place of one turn.
		s.repeat(w, now)
	case !w.paused(now):
		s.earn(w)
		s.begin(w, due)
	case hosts.Persistent(w.err):
		w.asked = due
		s.start(ctx, w, checking)
	default:
		s.repeat(w, now)
	}
}

// following is the turn that follows on w's, which has come.
func (s *schedule) following(now time.Time, w *watch) time.Time {
	if s.once {
		return s.next(now, w)
	}
	return after(w.due, now, w.phase, w.interval())
}

// next is w's next turn.
func (s *schedule) next(now time.Time, w *watch) time.Time {
	if s.once {
		return now.Add(math.MaxInt64)
	}
	return next(now, w.phase, w.interval())
}

// begin lets w wait for its poll, which was due at asked.
func (s *schedule) begin(w *watch, asked time.Time) {
	w.stage, w.asked, w.worked, w.dialled, w.fresh, w.resume = waiting, asked, 0, 0, false, time.Time{}
	w.soon, w.look = time.Time{}, false
	if s.config.Pool.Connected(w.host.Name) {
		s.polls.add(w)
		return
	}
	s.dials.add(w)
}

// fill starts what there are places for.
func (s *schedule) fill(ctx context.Context, now time.Time) {
	for w, place := s.polls.next(now); w != nil; w, place = s.polls.next(now) {
		s.serve(ctx, w, polling, place)
	}
	for w, places := s.dials.next(now); w != nil; w, places = s.dials.next(now) {
		s.serve(ctx, w, dialling, places...)
	}
}

// serve starts what w has waited for, unless a reload has overtaken it.
func (s *schedule) serve(ctx context.Context, w *watch, stage stage, places ...*place) {
	if !w.overtaken() {
		s.start(ctx, w, stage, places...)
		return
	}
	w.places, w.stage = places, stage
	if stage == dialling {
		s.dials.pace.giveBack()
	}
	s.settle(ctx, result{watch: w})
}

// settle takes in what has been done for a host, and sends it on its way.
func (s *schedule) settle(ctx context.Context, r result) {
	w, done := r.watch, r.watch.stage
	w.stage = waiting
	w.worked += r.worked
	if done == dialling {
		w.dialled += r.worked
	}
	for _, p := range w.places {
		p.leave()
	}
	w.places = nil
	if done == concluding || done == leaving {
		s.telling--
		s.stats.conclude()
	}
	switch {
	case done == leaving:
		w.stage = idle
		s.parted(ctx, w, r)
		return
	case done == concluding:
		w.stage, w.standing = idle, standing{w.outcome, w.lastAt}
		s.left--
		s.follow(w, r, time.Now())
	case w.overtaken(): // What was under way is of no use.
		w.stage = idle
	case done == checking && r.changed:
		s.begin(w, w.asked)
	case done == checking:
		w.stage = idle
		s.repeat(w, time.Now())
	case done == dialling && r.err == nil:
		w.fresh = true
		s.polls.add(w)
	case done == polling && errors.Is(r.err, hosts.ErrNotConnected) && !w.fresh:
		s.dials.add(w) // A connection that proves dead is no outcome yet.
	default:
		r.dialled = done == dialling
		s.conclude(ctx, w, r)
	}
	if w.stage == idle {
		s.obey(ctx, w)
	}
	w.rearm()
	s.agenda.rearrange(w)
}

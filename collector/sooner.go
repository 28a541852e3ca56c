package collector

import (
	"time"

	"service_manager/hosts/systemctl"
)

const (
	// The first look comes a tenth of the interval after the poll that gave reason to it, within these. Each next one waits twice as long.
	firstLookLeast = 500 * time.Millisecond
	firstLookMost  = time.Second
	// hostLooks is how many looks a host may have that its turns have not earned yet, each turn one. The fleet may have fleetLooks, or one
	// for ten hosts where that is more: at 10 s, as many as it has turns per second.
	hostLooks    = 6
	fleetLooks   = 64
	hostsPerLook = 10
)

// Looks are polls of a host before its turn, because something goes on there: a poll has led to events, or has seen a unit in transit.
// They begin soon after it and come ever more rarely, until the turns are nearer. Turns stay as they are; a look that is still under way
// when the turn comes takes its place.
//
// Looks are bounded. Over any time, a host has at most 6 more of them than turns, and the fleet a tenth of its hosts more. So a host that
// changes for ever is polled twice as often as one that never does, and one with a unit in transit for ever has a few looks in all.
// There are none while polls wait or have more than half of the places, none that would have to connect, and none of a host that
// cannot be read, or is too slow for its interval.
//
// A look ends in a status like any other poll, also when it finds nothing new: its time says how old the data is, it takes the place of
// one that still waits, and consumers need not know about looks. interval_seconds still is when to expect the next one at the latest.
type looks struct {
	wait  time.Duration // Between the last poll and the look that follows; 0: nothing goes on.
	spent int           // Looks that turns have not earned yet.
}

// earn accounts for a turn in which w is polled.
func (s *schedule) earn(w *watch) {
	w.looks.spent = max(w.looks.spent-1, 0)
	s.looked = max(s.looked-1, 0)
}

// follow has w looked at before its turn, if its last poll, which r concludes, or the one before gives reason to.
func (s *schedule) follow(w *watch, r result, now time.Time) {
	interval := w.interval()
	first := min(max(interval/10, firstLookLeast), firstLookMost)
	switch wait := max(2*w.looks.wait, first); {
	case s.once || w.err != nil || w.stretch.more > 0 || w.overtaken():
		w.looks.wait = 0
	case r.told:
		w.looks.wait = first
	case r.transit:
		w.looks.wait = min(wait, interval)
	case w.looks.wait > 0 && wait < interval:
		w.looks.wait = wait
	default:
		w.looks.wait = 0
	}
	if w.looks.wait == 0 {
		return
	}
	// A host that takes long is not asked all the time, and right before its turn a look is of no use.
	at := now.Add(max(w.looks.wait, w.worked))
	if at.Add(firstLookLeast).Before(w.due) {
		w.soon = at
	}
}

// early polls w before its turn: its back-off is over, or it is to be looked at.
func (s *schedule) early(w *watch, now time.Time) {
	if !w.resume.IsZero() && !w.resume.After(now) {
		s.begin(w, w.resume)
		return
	}
	at := w.soon
	w.soon = time.Time{}
	if !s.mayLook(w) {
		return
	}
	w.looks.spent++
	s.looked++
	s.stats.look()
	s.begin(w, at)
	w.look = true
}

func (s *schedule) mayLook(w *watch) bool {
	return w.looks.spent < hostLooks && s.looked < max(fleetLooks, len(s.agenda)/hostsPerLook) &&
		s.polls.calm() && s.config.Pool.Connected(w.host.Name)
}

// inTransit reports whether one of the units is on its way from one state to another.
func inTransit(units []systemctl.Unit) bool {
	for i := range units {
		switch units[i].ActiveState {
		case "activating", "deactivating", "reloading", "refreshing":
			return true
		}
	}
	return false
}

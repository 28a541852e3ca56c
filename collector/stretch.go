package collector

import (
	"log/slog"
	"time"
)

const (
	// stretchAfter is how many polls in a row must take longer than the interval for it to be stretched: one alone had to connect
	// again, or came while the host was busy.
	stretchAfter = 2
	// easeAfter is how many polls in a row must fit into a shorter interval, with a fourth of their time to spare, for it to be
	// shortened again. It is more than stretchAfter, so that a host at the limit does not go to and fro.
	easeAfter = 5
)

// A stretch is by how much the interval of a host is longer than the inventory says, since the host does not answer faster.
//
// It goes by the work of polls that have read the host: connecting and the command, not the waiting for places, which is our own
// trouble and would make a late fleet later. A poll that fails says nothing of how long an answer takes, least of all one that hangs
// until its timeout: such a host has its back-off, and a longer interval would only tell of its return later.
//
// A poll on a standing connection ends within the timeout, which is no longer than the interval. So what is stretched are hosts that
// have to be connected to for each poll, by sshd's settings or over a bad line, and whose interval is short. No poll works for longer
// than both timeouts, which bounds the stretch: with the default ones, 6 times an interval of 1 s, and twice one of 10 s.
type stretch struct {
	more int // Intervals on top of the one.

	slow, quick int // Polls in a row that ask for more of them, or for fewer. One of the two is 0.
	to          int // What the least of these asks for.
}

// note takes in that a poll has read the host in the given time, and reports whether the stretch is another one from now on.
func (t *stretch) note(worked, interval time.Duration) bool {
	needs, roomy := beyond(worked, interval), beyond(worked+worked/4, interval)
	switch {
	case needs > t.more:
		if t.slow++; t.slow == 1 || needs < t.to {
			t.to = needs
		}
		t.quick = 0
	case roomy < t.more:
		if t.quick++; t.quick == 1 || roomy > t.to {
			t.to = roomy
		}
		t.slow = 0
	default:
		t.slow, t.quick = 0, 0
	}
	if t.slow < stretchAfter && t.quick < easeAfter {
		return false
	}
	*t = stretch{more: t.to}
	return true
}

// beyond is how many intervals d begins after its first.
func beyond(d, interval time.Duration) int { return int(max(d-1, 0) / interval) }

// interval is the one in force.
func (w *watch) interval() time.Duration { return w.host.Interval * time.Duration(1+w.stretch.more) }

// stretch fits w's interval to the poll that has just read it, and returns by how many intervals it is longer now.
//
// A whole multiple of the interval has turns that are turns of the interval too, since both phases are remainders of one number. Yet
// the hosts that are stretched spread over all of it, and do not meet in its first part.
func (s *schedule) stretch(w *watch, now time.Time) int {
	before := w.stretch.more
	if !w.stretch.note(w.worked, w.host.Interval) {
		return 0
	}
	s.countStretched(before, w.stretch.more)
	w.phase = phase(s.config.Name, w.host.Name, w.interval())
	w.due = s.next(now, w)
	return w.stretch.more - before
}

// unstretch gives w the interval of the inventory. Its phase is left to the caller.
func (s *schedule) unstretch(w *watch) {
	s.countStretched(w.stretch.more, 0)
	w.stretch = stretch{}
}

func (s *schedule) countStretched(before, after int) { s.stretched += min(after, 1) - min(before, 1) }

// pace logs that the interval of w has become longer, or shorter again.
func (c *changelog) pace(now time.Time, w *watch, a account) {
	if a.stretched == 0 {
		return
	}
	c.summarise(c.take(now))
	log := c.log.With(slog.String("host", w.host.Name), slog.Duration("interval", w.host.Interval),
		slog.Duration("stretched_to", a.interval), slog.Duration("took", a.worked))
	switch {
	case a.stretched > 0 && c.admit("stretched"):
		log.Warn("host answers more slowly than its interval; it is polled less often, until it is faster")
	case a.stretched < 0 && c.admit("shortened"):
		log.Info("host answers faster than before; it is polled more often again")
	}
}

package chaos

import (
	"slices"
	"sort"
	"time"
)

// isWhole says whether all had been told by now that was known at t. It is quick, and therefore looks only at what came to be since the
// given time: at the newest of each unit, since all that is older is told earlier. The verdict looks at everything.
func (o *oracle) isWhole(since, t time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.hosts {
		from := sort.Search(len(h.answers), func(i int) bool { return h.answers[i].asked.After(since) })
		readings := o.readings(h, h.answers[from:])
		for _, s := range h.subjects {
			j := judge{verdict: &verdict{}, subject: s, readings: readings}
			if !j.isWhole(since, t) {
				return false
			}
		}
	}
	return true
}

func (j judge) isWhole(since, t time.Time) bool {
	for i := len(j.truths) - 1; i > 0 && j.truths[i].at.After(since); i-- {
		if known, must := j.known(i); must && !known.After(t) {
			return j.isTold(j.truths[i])
		}
	}
	return true
}

// isTold says whether there was an event of a truth since that began, or needed to be none.
func (j judge) isTold(t truth) bool {
	for _, e := range slices.Backward(j.told) {
		if e.after == t.state {
			return true
		}
		if e.delivered.Before(t.at) {
			return false
		}
	}
	return j.truths[0].state == t.state
}

// isTold says whether each unit was last told to be what it is, and each host to be reachable.
func (o *oracle) isTold() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.hosts {
		if n := len(h.outcomes); n > 0 && h.outcomes[n-1].after != reachable {
			return false
		}
		for _, s := range h.subjects {
			if n := len(s.truths); n > 0 && s.lastTold() != s.truths[n-1].state {
				return false
			}
		}
	}
	return true
}

// lastTold is what the subject was last told to be, and the baseline while it was not told of.
func (s *subject) lastTold() state {
	if n := len(s.told); n > 0 {
		return s.told[n-1].after
	}
	return s.truths[0].state
}

package collector

import "time"

// patience is how long work keeps its place while others wait for one. Answers and handshakes that go well are shorter, around the
// globe too; what is longer mostly waits for a host that hangs, and costs neither CPU nor politeness.
const patience = 250 * time.Millisecond

// A lane counts the places of one kind of work. Work enters one of the quick places. If it is not done after [patience], and another
// wants its place, it goes on in one of the slow places, as long as there are any. So hosts that hang bound the number of hosts
// that hang, and not the work on others.
type lane struct {
	places, slowPlaces int // How many there are.
	quick, slow        int // How many are taken.

	held []*place // The quick ones, oldest first; a place given back in the middle stays until it is the oldest.
}

// A place is taken in a lane.
type place struct {
	lane  *lane
	since time.Time
	slow  bool
	left  bool
}

// room reports whether a quick place is to be had.
func (l *lane) room(now time.Time) bool {
	for l.quick >= l.places {
		at := l.roomAt()
		if at.IsZero() || at.After(now) {
			return false
		}
		l.held[0].slow = true
		l.quick--
		l.slow++
		l.trim()
	}
	return true
}

// roomAt is when the oldest work in a full lane gives up its place, unless it is done before: zero when there is none to give up, or
// none to go on in.
func (l *lane) roomAt() time.Time {
	if len(l.held) == 0 || l.slow >= l.slowPlaces {
		return time.Time{}
	}
	return l.held[0].since.Add(patience)
}

// enter takes a quick place.
func (l *lane) enter(now time.Time) *place {
	p := &place{lane: l, since: now}
	l.quick++
	l.held = append(l.held, p)
	return p
}

// enterSlow takes a slow place, of which there must be one left.
func (l *lane) enterSlow(now time.Time) *place {
	l.slow++
	return &place{lane: l, since: now, slow: true}
}

// leave gives the place back.
func (p *place) leave() {
	p.left = true
	if p.slow {
		p.lane.slow--
		return
	}
	p.lane.quick--
	p.lane.trim()
}

// trim makes the oldest work in a quick place the first of those held.
func (l *lane) trim() {
	for len(l.held) > 0 && (l.held[0].left || l.held[0].slow) {
		l.held[0] = nil
		l.held = l.held[1:]
	}
}

// A line is hosts that wait, first come, first served.
type line []*watch

func (l *line) add(w *watch) { *l = append(*l, w) }

// take takes the first one, which there must be.
func (l *line) take() *watch {
	w := (*l)[0]
	(*l)[0] = nil
	*l = (*l)[1:]
	return w
}

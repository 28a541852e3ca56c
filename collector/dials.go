package collector

import (
	"math"
	"time"
)

// slowDials is how many slow places there are for each quick one, also per jump host.
const slowDials = 16

// The classes of hosts to be dialled: a better one goes first.
const (
	wasWell    = iota // It was well when last read, and lost its connection.
	neverTried        // It is new.
	hasFailed         // It could not be read.
	classes
)

// fairShare is which dials go to who has waited the longest, whatever its class: each eighth. Else hosts that lose their connections
// faster than the rate lets them come back would keep all others from being tried, for ever.
const fairShare = 8

// A dialQueue is the hosts that wait to be connected to. The best class goes first, within a class who has waited the longest, passing
// over those whose way is full.
type dialQueue struct {
	lane    lane
	perJump int
	pace    pace
	ways    map[string]*way // By the name of the jump host; that of no jump host is the empty one.
	waiting int
	tickets uint64
	served  int // Dials begun.
}

// A way is shared by the hosts behind one jump host. Those behind none have one without bounds.
type way struct {
	lane    lane
	waiting [classes]line
}

func newDialQueue(places, perJump, rate int) dialQueue {
	return dialQueue{
		lane:    lane{places: places, slowPlaces: places * slowDials},
		perJump: perJump,
		pace:    newPace(rate),
		ways:    make(map[string]*way),
	}
}

func (q *dialQueue) add(w *watch) {
	w.class = wasWell
	switch {
	case w.err != nil:
		w.class = hasFailed
	case w.outcome == "":
		w.class = neverTried
	}
	q.tickets++
	w.ticket = q.tickets
	q.wayOf(w).waiting[w.class].add(w)
	q.waiting++
}

func (q *dialQueue) wayOf(w *watch) *way {
	jump, bounds := "", lane{places: math.MaxInt}
	if w.host.Via != nil {
		jump, bounds = w.host.Via.Name, lane{places: q.perJump, slowPlaces: q.perJump * slowDials}
	}
	if q.ways[jump] == nil {
		q.ways[jump] = &way{lane: bounds}
	}
	return q.ways[jump]
}

// next takes the next host to be dialled and its places, nil when there is none.
func (q *dialQueue) next(now time.Time) (*watch, []*place) {
	if q.waiting == 0 || q.pace.at().After(now) || !q.lane.room(now) {
		return nil, nil
	}
	var first *watch
	anyClass := q.served%fairShare == fairShare-1
	for _, way := range q.ways {
		if w := way.first(anyClass); w != nil && (first == nil || w.before(first, anyClass)) && way.lane.room(now) {
			first = w
		}
	}
	if first == nil {
		return nil, nil
	}
	way := q.wayOf(first)
	way.waiting[first.class].take()
	q.waiting--
	q.served++
	q.pace.take(now)
	return first, []*place{q.lane.enter(now), way.lane.enter(now)}
}

// first is who goes first of those that wait for this way, nil when there is none.
func (y *way) first(anyClass bool) *watch {
	var first *watch
	for _, waiting := range y.waiting {
		if len(waiting) > 0 && (first == nil || waiting[0].before(first, anyClass)) {
			first = waiting[0]
		}
	}
	return first
}

// before reports whether w is dialled before other.
func (w *watch) before(other *watch, anyClass bool) bool {
	if w.class != other.class && !anyClass {
		return w.class < other.class
	}
	return w.ticket < other.ticket
}

// alarm is when next should be called again though nothing has ended; zero for never.
func (q *dialQueue) alarm(now time.Time) time.Time {
	if q.waiting == 0 {
		return time.Time{}
	}
	if at := q.pace.at(); at.After(now) {
		return at
	}
	if !q.lane.room(now) {
		return q.lane.roomAt()
	}
	var at time.Time
	for _, way := range q.ways {
		if way.first(true) != nil {
			at = earlier(at, way.lane.roomAt())
		}
	}
	return at
}

// earlier is the earlier of two moments, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// A pace spreads dials over time: it allows one per step, and a burst of those that were not made in the last [burst].
type pace struct {
	step time.Duration
	slot time.Time // Of the next dial, if they came evenly.
}

// burst is short, so that a fleet that comes back does not arrive at a switch, a firewall or a directory server all at once.
const burst = 50 * time.Millisecond

func newPace(perSecond int) pace { return pace{step: time.Second / time.Duration(perSecond)} }

// at is when the next dial may be made.
func (p *pace) at() time.Time { return p.slot.Add(-burst) }

// take makes a dial at now.
func (p *pace) take(now time.Time) {
	if p.slot.Before(now) {
		p.slot = now
	}
	p.slot = p.slot.Add(p.step)
}

// giveBack undoes take, of a dial that is not made.
func (p *pace) giveBack() { p.slot = p.slot.Add(-p.step) }

func (q *dialQueue) resize(places, perJump, rate int) {
	q.lane.places, q.lane.slowPlaces = places, places*slowDials
	q.perJump, q.pace.step = perJump, time.Second/time.Duration(rate)
	for jump, way := range q.ways {
		if jump != "" {
			way.lane.places, way.lane.slowPlaces = perJump, perJump*slowDials
		}
	}
}

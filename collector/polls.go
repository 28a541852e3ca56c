package collector

import "time"

// slowPolls is how many slow places there are for each quick one. Memory bounds it: a poll in flight costs 24 KiB for its goroutines
// and SSH channel (measured), so that with the default limits all places are taken by 110 MiB. A host that hangs is in flight for at
// most 8 of its 10 s: 4,096 places are enough for 5,000 such hosts.
const slowPolls = 8

// A pollQueue is the hosts that wait to be polled on their standing connections.
//
// The hosts that were well are served from the quick places. Those that were not are suspects: they would hang in a quick place for
// as long as they may, and so are served from the slow places only. As many of these as there are quick ones are kept free of
// them, for the hosts that are well until they hang all at once, such as when a data centre freezes.
type pollQueue struct {
	lane     lane
	well     line
	suspects line
}

func newPollQueue(places int) pollQueue {
	return pollQueue{lane: lane{places: places, slowPlaces: places * slowPolls}}
}

func (q *pollQueue) add(w *watch) {
	if w.err != nil {
		q.suspects.add(w)
		return
	}
	q.well.add(w)
}

// next takes the next host to be polled and a place for it; nil when there is none.
func (q *pollQueue) next(now time.Time) (*watch, *place) {
	switch {
	case len(q.well) > 0 && q.lane.room(now):
		return q.well.take(), q.lane.enter(now)
	case len(q.suspects) > 0 && q.lane.slow < q.lane.slowPlaces-q.lane.places:
		return q.suspects.take(), q.lane.enterSlow(now)
	}
	return nil, nil
}

// alarm is when next should be called again though nothing has ended; zero for never.
func (q *pollQueue) alarm() time.Time {
	if len(q.well) == 0 {
		return time.Time{}
	}
	return q.lane.roomAt()
}

// calm reports whether there are so many places that another poll is in no one's way.
func (q *pollQueue) calm() bool { return len(q.well)+q.lane.quick <= q.lane.places/2 }

func (q *pollQueue) waiting() int { return len(q.well) + len(q.suspects) }

func (q *pollQueue) resize(places int) { q.lane.places, q.lane.slowPlaces = places, places*slowPolls }

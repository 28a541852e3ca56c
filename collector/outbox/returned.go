package outbox

import "time"

// maxPause is how far apart two returns may be for the time between them to count in full: each lot is tried far more often.
const maxPause = time.Minute

// A returnNote says that the broker returns the first event of a host.
type returnNote struct {
	id    uint64        // Of the event; 0 says that it is not returned any more.
	since time.Time     // When it first was.
	clock time.Duration // Outbox.clock when the wait for a queue began, for this event and those behind it
	last  uint64        // up to this seq.
}

// tick has the clock go on, at a return of any event. It stands still while nothing is returned, since the broker or the collector is
// away, and goes by no clock that can be set: so an event was tried in vain for as long as the clock says it was.
func (o *Outbox) tick() {
	now := time.Now()
	if !o.ticked.IsZero() {
		o.clock += min(now.Sub(o.ticked), maxPause)
	}
	o.ticked = now
}

// wait begins the wait for a queue for all events of a host. Its first one has been returned since then.
func (o *Outbox) wait(h *host, since time.Time) {
	h.returned = returnNote{
		id:    h.events.items[0].id,
		since: since,
		clock: o.clock,
		last:  h.events.items[h.events.len()-1].seq,
	}
	o.note(h.name, h.returned)
}

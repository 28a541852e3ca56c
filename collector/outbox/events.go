package outbox

import (
	"errors"
	"log/slog"
	"time"

	"service_manager/publish"
)

// errGone says that an event is not in the file, where it should be.
var errGone = errors.New("the event is not in the state file")

// A host has events that wait, in the order of their seq.
type host struct {
	name      string
	seq       uint64 // Of the last event committed.
	confirmed uint64 // Seq of the last event that the broker confirmed.
	stage     stage
	events    fifo[entry] // The first may be in flight.

	// Of the first event:
	returned   returnNote // Zero if the broker has not returned it.
	rejections int
	rejected   time.Time // When the first of them was.
	others     uint64    // Outbox.confirms at that time.

	trial *lot // The host is on trial for it.

	overflow *overflow // Nil if no change had to be refused for want of room.
}

// stage says where a host is.
type stage int

const (
	idle     stage = iota // It has no event that waits.
	queued                // In Outbox.queue.
	flying                // Its first event is in flight.
	parked                // In a lot.
	dropping              // Its first events are given up, which is not in the file yet.
	stuck                 // Its first event cannot be read from the file.
)

// offer queues a host that has an event to take.
func (o *Outbox) offer(h *host) {
	if h.stage != idle || h.events.len() == 0 {
		return
	}
	h.stage = queued
	o.queue.push(h)
	o.signal()
}

// nextHost returns the next host in turn that has an event to take, which is counted as in flight; nil if none has.
func (o *Outbox) nextHost() *host {
	h, ok := o.queue.pop()
	if !ok {
		return nil
	}
	h.stage = flying
	return h
}

// takeEvent returns the first event of a host and unlocks. It reports false where the event cannot be read.
func (o *Outbox) takeEvent(h *host) (publish.Message, bool) {
	e := h.events.items[0]
	value := o.bodies.byID[e.id]
	o.mu.Unlock()
	m, err := o.event(e.id, value)

	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.unreadable(h, e, err)
		return publish.Message{}, false
	}
	o.inFlight[m.ID] = flight{host: h}
	return m, true
}

// event decodes an event, which is read from the file where value is nil.
func (o *Outbox) event(id uint64, value []byte) (publish.Message, error) {
	if value == nil {
		if o.file == nil {
			return publish.Message{}, errGone
		}
		var err error
		if value, err = o.file.value(eventsBucket, eventKey(id)); err != nil {
			return publish.Message{}, err
		}
		if value == nil {
			return publish.Message{}, errGone
		}
	}
	return decodeEvent(value)
}

// unreadable leaves a host alone whose event the disk does not give back. The next Open finds the damage and begins a new epoch.
func (o *Outbox) unreadable(h *host, e entry, err error) {
	if o.closed {
		return
	}
	h.stage = stuck
	o.endTrial(&h.trial, false)
	o.log.Error("an event cannot be read from the state file; the host's events wait: check the disk, then restart service_manager",
		slog.String("host", h.name), slog.Uint64("seq", e.seq), slog.Any("err", err))
}

func (o *Outbox) settleEvent(h *host, m publish.Message, f publish.Fate) {
	h.stage = idle
	switch f {
	case publish.Confirmed:
		o.shift(h)
		h.confirmed = m.Seq
		o.endTrial(&h.trial, true)
		o.offer(h)
	case publish.Refused:
		o.park(h, f, m.Group)
	case publish.Unroutable:
		o.settleReturned(h, m)
	case publish.Rejected, publish.Invalid:
		o.settleRejected(h, m, f)
	default: // Lost
		o.offer(h)
	}
}

// shift takes the first event of a host out, to be deleted from the file.
func (o *Outbox) shift(h *host) {
	e := o.pop(h)
	o.forgive(h)
	o.done(1)
	o.delete(e.id)
}

// pop takes the first event of a host out of the memory.
func (o *Outbox) pop(h *host) entry {
	e, _ := h.events.pop()
	if h.events.len() == 0 {
		h.events = fifo[entry]{} // Many may have waited.
	}
	o.usage.remove(e)
	o.bodies.remove(e.id)
	return e
}

// forgive forgets what became of the first event of a host, since it is no longer the first.
func (o *Outbox) forgive(h *host) {
	if h.returned.id != 0 {
		o.note(h.name, returnNote{})
	}
	h.returned, h.rejections, h.rejected = returnNote{}, 0, time.Time{}
}

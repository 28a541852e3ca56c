package outbox

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"service_manager/publish"
)

// maxRejections is how often an event may end the connection before it is taken for the cause.
const maxRejections = 3

// A drop is the first events of a host, which are given up. The committer deletes them and commits a gap that tells of them, in one
// transaction. The host waits for it: were its next event sent before, a crash could have those that were given up sent after it.
type drop struct {
	host       *host
	group      string // As of the first of them.
	entries    []entry
	more       bool   // Others follow, of which the next transaction tells by a gap of their own.
	reason     string // One of the reasons of publish.GapInfo.
	since      time.Time
	newest     entry // The last event that waits, whether it is dropped or not. The gap goes where that would.
	quarantine bool  // Keep them aside.
}

// settleReturned deals with an event that no queue is bound for.
func (o *Outbox) settleReturned(h *host, m publish.Message) {
	o.tick()
	if h.returned.id == 0 {
		o.wait(h, time.Now())
	}
	if n := o.expired(h); n > 0 {
		o.giveUp(h, n, drop{group: m.Group, reason: publish.GapUnroutable, since: h.returned.since})
	} else {
		o.park(h, publish.Unroutable, m.Group)
	}
}

// expired returns how many events of a host are to be dropped: the first if it has been returned for long enough, and with it those
// behind it that have waited as long for the same routing key. A gap alone stays, or the gap that told of it would be the next to be
// dropped; but it makes way for events that go elsewhere.
func (o *Outbox) expired(h *host) int {
	if o.clock-h.returned.clock < o.config.UnroutableFor {
		return 0
	}
	events := h.events.items
	n := 1
	for n < len(events) && events[n].seq <= h.returned.last && events[n].key == events[0].key {
		n++
	}
	switch {
	case n > 1 || !events[0].gap:
		return n
	case len(events) == 1:
		return 0
	case events[1].key == events[0].key:
		o.wait(h, h.returned.since) // Now for those behind it, too.
		return 0
	}
	return n
}

// settleRejected deals with an event that ended the connection, or that the publisher finds it can never send. After three times it is
// set aside, if anything else was confirmed meanwhile: else the broker takes nothing from us, and the event is no worse than the rest.
// A gap is never set aside, since nothing in it can be wrong; but as each try costs the connection, it is tried less and less.
func (o *Outbox) settleRejected(h *host, m publish.Message, f publish.Fate) {
	now := time.Now()
	if h.rejections == 0 {
		h.rejected, h.others = now, o.confirms
	}
	h.rejections++
	poison := f == publish.Invalid || h.rejections >= maxRejections && o.confirms > h.others
	if !poison {
		o.park(h, publish.Rejected, m.Group)
		return
	}
	if h.events.items[0].gap {
		o.park(h, publish.Invalid, m.Group)
		return
	}
	o.giveUp(h, 1, drop{group: m.Group, reason: publish.GapRefused, since: h.rejected, quarantine: true})
	o.log.Error("the broker refuses an event for good; it is set aside", slog.String("host", m.Host), slog.String("event", m.Event),
		slog.Uint64("seq", m.Seq), slog.String("id", m.ID), slog.Int("bytes", len(m.Body)))
}

// giveUp has the first n events of a host dropped as d says.
func (o *Outbox) giveUp(h *host, n int, d drop) {
	d.host, d.newest = h, h.events.items[h.events.len()-1]
	d.entries = slices.Clone(h.events.items[:n])
	h.stage = dropping
	o.forgive(h)
	o.endTrial(&h.trial, false)
	o.todo.drops = append(o.todo.drops, d)
	o.rouse()
}

// dropped makes known that a drop was committed, and has its host go on.
func (o *Outbox) dropped(d drop) {
	h := d.host
	for range d.entries {
		o.pop(h)
	}
	o.done(len(d.entries))
	if d.reason == publish.GapUnroutable {
		o.stats.Dropped += uint64(len(d.entries))
		o.lose(h.name, len(d.entries))
	}
	if d.more {
		return
	}
	h.stage = idle
	if d.reason == publish.GapUnroutable && h.events.len() > 0 && h.events.items[0].key == d.entries[0].key {
		o.park(h, publish.Unroutable, d.group) // It goes the same way.
	} else {
		o.offer(h)
	}
}

// gapOf makes the gap event for events that are dropped.
func gapOf(d drop, newest publish.Message) (publish.Event, error) {
	var body struct {
		Host publish.HostRef `json:"host"`
	}
	if err := json.Unmarshal(newest.Body, &body); err != nil {
		return publish.Event{}, fmt.Errorf("reading an event: %w", err)
	}
	first, last := d.entries[0].seq, d.entries[len(d.entries)-1].seq
	info := &publish.GapInfo{Reason: d.reason, Since: publish.Time{Time: d.since}, FirstSeq: &first, LastSeq: &last}
	return publish.Event{Event: publish.Gap, Host: body.Host, Gap: info}, nil
}

// include has a gap tell also of what a gap told of that is dropped.
func include(in *publish.GapInfo, dropped publish.Message) error {
	var e publish.Event
	if err := json.Unmarshal(dropped.Body, &e); err != nil || e.Gap == nil {
		return fmt.Errorf("reading a gap: %w", err)
	}
	if e.Gap.FirstSeq != nil && *e.Gap.FirstSeq < *in.FirstSeq {
		in.FirstSeq = e.Gap.FirstSeq
	}
	if e.Gap.Since.Before(in.Since.Time) {
		in.Since = e.Gap.Since
	}
	return nil
}

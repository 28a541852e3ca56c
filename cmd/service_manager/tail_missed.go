package main

import (
	"fmt"
	"slices"

	"service_manager/publish"
)

// repeats tells messages that were sent again. It remembers the last ones only.
type repeats struct {
	ids    map[string]struct{}
	ring   []string // the same ids
	oldest int
}

const remembered = 10_000 // messages

func newRepeats() *repeats {
	return &repeats{ids: make(map[string]struct{}), ring: make([]string, remembered)}
}

// again reports whether there was a message of this id, and remembers it.
func (r *repeats) again(id string) bool {
	if _, ok := r.ids[id]; ok || id == "" {
		return ok
	}
	delete(r.ids, r.ring[r.oldest])
	r.ids[id] = struct{}{}
	r.ring[r.oldest] = id
	r.oldest = (r.oldest + 1) % len(r.ring)
	return false
}

// sequences finds events that were missed, by the numbers that events have and that statuses name.
type sequences struct {
	keys []string
	seen map[source]position
}

// A source counts its events.
type source struct{ collector, host string }

// A position is the last event that is known of.
type position struct {
	epoch string
	seq   uint64
}

// maxSources is far above any fleet: it bounds the memory that a flood of made-up names takes.
const maxSources = 200_000

func newSequences(keys []string) *sequences {
	return &sequences{keys: keys, seen: make(map[source]position)}
}

// note returns what was missed before the message with this body, empty for nothing.
func (q *sequences) note(body any) string {
	switch b := body.(type) {
	case publish.Event:
		first, last := q.reach(source{b.Collector, b.Host.Name}, position{b.Epoch, b.Seq})
		last = min(last, b.Seq-1) // This one is here.
		if first > last || told(b.Gap, first, last) {
			return ""
		}
		return missed(b.Host.Name, first, last)
	case publish.Status:
		// What was confirmed before this status came before it, to one queue bound to both.
		key := publish.RoutingKey(publish.KindEvent, b.Host.Group, b.Host.Name)
		if !slices.ContainsFunc(q.keys, func(pattern string) bool { return publish.Matches(pattern, key) }) {
			return ""
		}
		if first, last := q.reach(source{b.Collector, b.Host.Name}, position{b.Epoch, b.EventSeq}); first <= last {
			return missed(b.Host.Name, first, last)
		}
	}
	return ""
}

// reach notes that a source has come to p, and returns the events that are new by that, first to last; none where first is greater. The
// first sight of a source has none.
func (q *sequences) reach(s source, p position) (first, last uint64) {
	old, ok := q.seen[s]
	switch {
	case !ok:
		if len(q.seen) >= maxSources {
			clear(q.seen)
		}
		q.seen[s] = p
		return 1, 0
	case p.epoch > old.epoch: // A new state file counts from 1.
		old = position{epoch: p.epoch}
	case p.epoch < old.epoch || p.seq <= old.seq:
		return 1, 0
	}
	q.seen[s] = p
	return old.seq + 1, p.seq
}

// told reports whether the gap says itself that the events are missing.
func told(gap *publish.GapInfo, first, last uint64) bool {
	return gap != nil && gap.FirstSeq != nil && gap.LastSeq != nil && *gap.FirstSeq <= first && last <= *gap.LastSeq
}

func missed(host string, first, last uint64) string {
	if first == last {
		return fmt.Sprintf("%s: event %d was missed", host, first)
	}
	return fmt.Sprintf("%s: events %d..%d were missed", host, first, last)
}

package outbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"service_manager/publish"
)

// lookEvery is how often Drain looks whether what is left can still come.
const lookEvery = 100 * time.Millisecond

// Drain waits until nothing waits or is in flight any more. It ends before, with an error, when all that is left has had its answer: the
// broker does not take it, so that it is only tried now and then. (A status that got a nack is waited for, since nothing keeps it.) When
// ctx ends first, the error wraps ctx's cause. It says how many messages are left, why, and what becomes of them.
func (o *Outbox) Drain(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		empty, left := o.left()
		switch {
		case left == nil:
			return nil
		case left.live == 0:
			return left
		}
		select {
		case <-empty:
			return nil
		case <-look.C:
		case <-ctx.Done():
			if _, left = o.left(); left == nil {
				return nil
			}
			return fmt.Errorf("%w, %w", context.Cause(ctx), left)
		}
	}
}

// A remainder is an error that says what is left: messages by what became of them so far.
type remainder struct {
	events, statuses map[publish.Fate]int // 0 stands for no answer, Rejected also for Invalid.
	unreadable       int                  // Events that wait for one that the disk does not give back, with it.
	live             int                  // Messages that are under way, or will soon be.
	kept             bool                 // Events are in a file.
}

// left returns what is left, nil if that is nothing, and a channel that is closed when it is nothing.
func (o *Outbox) left() (<-chan struct{}, *remainder) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == 0 {
		return nil, nil
	}
	if o.empty == nil {
		o.empty = make(chan struct{})
	}
	r := &remainder{
		events:   map[publish.Fate]int{0: o.usage.events},
		statuses: map[publish.Fate]int{0: o.open - o.usage.events - o.nacked, publish.Refused: o.nacked},
		live:     o.open,
		kept:     o.file != nil,
	}
	for _, l := range o.lots {
		for _, m := range l.waiting.items {
			r.live -= r.answered(m, l)
		}
	}
	for _, s := range o.statuses.slots {
		if s.trial != nil {
			r.answered(s, s.trial)
		}
	}
	for _, h := range o.hosts {
		switch {
		case h.stage == stuck:
			n := h.events.len()
			r.unreadable += n
			r.events[0] -= n
			r.live -= n
		case h.trial != nil:
			r.answered(h, h.trial)
		}
	}
	return o.empty, r
}

// answered says that what waits in m is what l is for, and how many messages that is.
func (r *remainder) answered(m member, l *lot) int {
	fate := l.key.told().fate
	of, n := r.statuses, 1
	if !l.key.newest {
		of, n = r.events, m.waitingEvents()
	}
	of[0] -= n
	of[fate] += n
	return n
}

func (r *remainder) Error() string {
	var parts []string
	events, statuses := r.unreadable, 0
	add := func(n int, noun, why string) {
		switch {
		case n > 1:
			noun += "s"
			fallthrough
		case n == 1:
			parts = append(parts, fmt.Sprintf("%d %s %s", n, noun, why))
		}
	}
	for _, w := range []struct {
		fate publish.Fate
		why  string
	}{
		{publish.Unroutable, "that no queue is bound for"},
		{publish.Refused, "that the broker does not take (nack)"},
		{publish.Rejected, "that the broker ends the connection for"},
		{0, "that the broker has not confirmed"},
	} {
		add(r.events[w.fate], "event", w.why)
		add(r.statuses[w.fate], "status message", w.why)
		events += r.events[w.fate]
		statuses += r.statuses[w.fate]
	}
	add(r.unreadable, "event", "that cannot be read from the state file")
	return "not delivered: " + strings.Join(parts, ", ") + "; " + r.fortune(events > 0, statuses > 0)
}

// fortune says what becomes of what is left when the process ends.
func (r *remainder) fortune(events, statuses bool) string {
	switch {
	case events && r.kept && statuses:
		return "events stay in the state file, statuses are not kept"
	case events && r.kept:
		return "they stay in the state file"
	}
	return "they are not kept"
}

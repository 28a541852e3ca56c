// Package outbox holds the messages that the broker has not confirmed yet.
//
//	collector → PutStatus → waiting (newest per host) → Take → publish → Settle
//
// Statuses are level-triggered: each one says all there is to say of its host, so only the newest per host waits, and a broker that
// is away for an hour costs one message per host. Of a host at most one is in flight; statuses of one host are never reordered.
// What the broker has not confirmed is handed out again under the same message id, until it is confirmed, a newer status of
// the host takes its place, or the host is dropped.
//
// So far all of it is in memory: when the process ends, what waits is gone, and the first poll after the start makes it anew.
package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"service_manager/publish"
)

// retryRefused is how long a status that the broker refused waits, if no newer one comes first. A refusal is a full queue or one
// without its node; the other queues bound to the exchange got the message and get it again with each try.
const retryRefused = 5 * time.Second

// An Outbox is the [publish.Source] of one collector. It is safe for concurrent use.
type Outbox struct {
	ready chan struct{}

	mu       sync.Mutex
	hosts    map[string]*slot // Those with something waiting or in flight.
	inFlight map[string]*slot // By message id.
	queue    []*slot          // Slots to take from, oldest first; one that has nothing to take any more is passed over.
	open     int              // Messages waiting or in flight.
	empty    chan struct{}    // Closed when open comes to 0; nil while no one waits for it.
}

// A slot is a host's place.
type slot struct {
	host    string
	waiting *publish.Message
	queued  bool // In queue.
	flying  bool // A message of it is in flight, so the waiting one stays.
	dropped bool // No longer in hosts; what is in flight is not taken back.
}

// New returns an empty outbox.
func New() *Outbox {
	return &Outbox{
		ready:    make(chan struct{}, 1),
		hosts:    map[string]*slot{},
		inFlight: map[string]*slot{},
	}
}

// PutStatus hands in the newest status of a host. It takes the place of an older one that still waits.
func (o *Outbox) PutStatus(host string, m publish.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.hosts[host]
	if s == nil {
		s = &slot{host: host}
		o.hosts[host] = s
	}
	if s.waiting == nil {
		o.open++
	}
	s.waiting = &m
	o.offer(s)
}

// offer queues the slot if it has something to take.
func (o *Outbox) offer(s *slot) {
	if s.queued || s.flying || s.waiting == nil {
		return
	}
	s.queued = true
	o.queue = append(o.queue, s)
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// Ready implements [publish.Source].
func (o *Outbox) Ready() <-chan struct{} {
	return o.ready
}

// Take implements [publish.Source].
func (o *Outbox) Take() (publish.Message, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 {
		s := o.queue[0]
		o.queue[0] = nil
		o.queue = o.queue[1:]
		s.queued = false
		if s.waiting == nil {
			continue
		}
		m := *s.waiting
		s.waiting, s.flying = nil, true
		o.inFlight[m.ID] = s
		return m, true
	}
	return publish.Message{}, false
}

// Settle implements [publish.Source]. A lost status is handed out again, a refused one after some seconds; neither if a newer one of its
// host waits. Anything else is done with.
func (o *Outbox) Settle(m publish.Message, f publish.Fate) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.inFlight[m.ID]
	if s == nil {
		return
	}
	delete(o.inFlight, m.ID)
	s.flying = false
	again := (f == publish.Lost || f == publish.Refused) && s.waiting == nil && !s.dropped
	if !again {
		o.done()
		o.offer(s)
		if s.waiting == nil && !s.dropped {
			delete(o.hosts, s.host)
		}
		return
	}
	s.waiting = &m
	if f == publish.Lost {
		o.offer(s)
		return
	}
	time.AfterFunc(retryRefused, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.offer(s) // Whatever waits by now, if it is not on its way already.
	})
}

// Drop forgets what waits of a host that has left the inventory. What is in flight stays so until it is settled.
func (o *Outbox) Drop(host string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.hosts[host]
	if s == nil {
		return
	}
	delete(o.hosts, host)
	s.dropped = true
	if s.waiting != nil {
		s.waiting = nil
		o.done()
	}
}

// done counts one message less.
func (o *Outbox) done() {
	o.open--
	if o.open == 0 && o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
}

// Drain waits until nothing waits or is in flight any more. When ctx ends first, the error says how many messages are left and
// wraps ctx's cause.
func (o *Outbox) Drain(ctx context.Context) error {
	o.mu.Lock()
	if o.open == 0 {
		o.mu.Unlock()
		return nil
	}
	if o.empty == nil {
		o.empty = make(chan struct{})
	}
	empty := o.empty
	o.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d messages are not confirmed by the broker: %w", o.Len(), context.Cause(ctx))
	}
}

// Len returns how many messages wait or are in flight.
func (o *Outbox) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open
}

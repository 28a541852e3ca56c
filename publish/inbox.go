package publish

import (
	"sync"
	"time"
)

// What may wait for the handling of a Subscriber.
const (
	inboxItems = 10_000
	inboxBytes = 64 << 20 // Of bodies.
)

// An arrival is a message or, in its place among them, news of the subscription. Only one of its fields is set.
type arrival struct {
	delivery *Delivery
	bound    *binding
	lost     *loss
}

// A binding says that the queue is bound.
type binding struct {
	broker string
	since  time.Time // When the queue before it was lost; zero where it is the first.
}

// A loss says that there is no queue now.
type loss struct {
	err   error
	since time.Time
}

// An inbox holds what has arrived and not been handled. It never makes the connection wait: beyond its bounds the oldest is dropped.
// It is safe for concurrent use.
type inbox struct {
	// ready has a value when take may have more than at the last take that had none.
	ready           chan struct{}
	items, maxBytes int

	mu      sync.Mutex
	waiting []arrival // The oldest first.
	bytes   int
	dropped int // Messages, since the last take.
}

func newInbox(items, maxBytes int) *inbox {
	return &inbox{ready: make(chan struct{}, 1), items: items, maxBytes: maxBytes}
}

// put adds a, and drops the oldest while there is too much.
func (b *inbox) put(a arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, a)
	b.bytes += a.size()
	for len(b.waiting) > 1 && (len(b.waiting) > b.items || b.bytes > b.maxBytes) {
		if b.pop().delivery != nil {
			b.dropped++
		}
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns the oldest arrival, and how many messages were dropped before it since the last take; false when there is none now.
func (b *inbox) take() (a arrival, dropped int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return arrival{}, 0, false
	}
	dropped, b.dropped = b.dropped, 0
	return b.pop(), dropped, true
}

func (b *inbox) pop() arrival {
	a := b.waiting[0]
	b.waiting[0] = arrival{}
	b.waiting = b.waiting[1:]
	b.bytes -= a.size()
	return a
}

func (a arrival) size() int {
	if a.delivery == nil {
		return 0
	}
	return len(a.delivery.Body)
}

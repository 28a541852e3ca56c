package main

import (
	"context"
	"sync"

	"service_manager/publish"
)

// A relay is a sender that can be exchanged for another one while it runs. What the one before had in flight goes through the next.
type relay struct {
	exchanged chan struct{} // holds a value while next is to be begun with

	mu        sync.Mutex
	now, next sender // next is nil but for the time until now has ended
}

func newRelay(first sender) *relay { return &relay{exchanged: make(chan struct{}, 1), now: first} }

// exchange has another sender take over.
func (r *relay) exchange(next sender) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = next
	select {
	case r.exchanged <- struct{}{}:
	default: // Not noticed yet.
	}
}

// begin says which sender is to run.
func (r *relay) begin() sender {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		r.now, r.next = r.next, nil
		select {
		case <-r.exchanged: // By another one since, which is this one.
		default:
		}
	}
	return r.now
}

func (r *relay) current() sender {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Run implements [sender]. It ends when ctx does, or when a sender fails.
func (r *relay) Run(ctx context.Context, source publish.Source) error {
	for {
		err := r.runOne(ctx, source)
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// runOne runs the sender that there is until it ends, or is to be exchanged.
func (r *relay) runOne(ctx context.Context, source publish.Source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	now := r.begin()
	go func() { ended <- now.Run(ctx, source) }()
	select {
	case err := <-ended:
		return err
	case <-r.exchanged:
		cancel()
		return <-ended
	}
}

// stats are those of the sender that runs, also while it is being exchanged; nil where it has none.
func (r *relay) stats() *publish.Stats {
	s, ok := r.current().(interface{ Stats() publish.Stats })
	if !ok {
		return nil
	}
	return new(s.Stats())
}

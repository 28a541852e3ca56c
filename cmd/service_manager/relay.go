package main

import (
	"context"
	"sync"

	"service_manager/publish"
)

// A relay is a sender that can be exchanged for another one while it runs. What the one before had in flight goes through the next.
type relay struct {
	exchanged chan struct{} // holds a value after an exchange

	mu  sync.Mutex
	now sender
}

func newRelay(first sender) *relay { return &relay{exchanged: make(chan struct{}, 1), now: first} }

// exchange has another sender take over.
func (r *relay) exchange(next sender) {
	r.mu.Lock()
	r.now = next
	r.mu.Unlock()
	select {
	case r.exchanged <- struct{}{}:
	default: // Not noticed yet.
	}
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
	go func() { ended <- r.current().Run(ctx, source) }()
	select {
	case err := <-ended:
		return err
	case <-r.exchanged:
		cancel()
		return <-ended
	}
}

// stats are those of the sender that there is; nil where it has none.
func (r *relay) stats() *publish.Stats {
	s, ok := r.current().(interface{ Stats() publish.Stats })
	if !ok {
		return nil
	}
	return new(s.Stats())
}

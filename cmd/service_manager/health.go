package main

import (
	"fmt"
	"sync"
	"time"

	"service_manager/publish"
)

// publisherLate is how long a publisher with a connection may do nothing. There is always something to send: a heartbeat each interval.
// Whatever the broker does to it, a confirm that is overdue, or the connection's end, is something; what the broker refuses is tried
// every 5 minutes at least.
const publisherLate = 10 * time.Minute

// health says whether the parts of a pipeline get on. It is safe for concurrent use.
type health struct {
	collector interface{ Alive(now time.Time) error }
	relay     *relay

	mu        sync.Mutex
	heartbeat time.Duration // of the collector's notices; 0: none, so that nothing is known of the publisher
	last      publish.Stats
	moved     time.Time // when the publisher last did something, or could not
}

// alive says what does not get on, which only a defect of the program is to blame for, or a disk that hangs: a restart is worth while.
func (h *health) alive(now time.Time) error {
	if err := h.collector.Alive(now); err != nil {
		return err
	}
	stats := h.relay.stats()
	h.mu.Lock()
	defer h.mu.Unlock()
	if stats == nil || h.heartbeat <= 0 {
		return nil
	}
	if *stats != h.last || stats.Broker == "" || stats.Blocked || h.moved.IsZero() {
		h.last, h.moved = *stats, now
	}
	if idle := now.Sub(h.moved); idle > publisherLate+2*h.heartbeat {
		return fmt.Errorf("nothing was sent to the broker since %v, and nothing came of what was sent before", idle.Round(time.Second))
	}
	return nil
}

// expect says how often there is something to send from now on.
func (h *health) expect(heartbeat time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.heartbeat != heartbeat {
		h.heartbeat, h.moved = heartbeat, time.Time{}
	}
}

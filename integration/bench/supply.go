package bench

import (
	"fmt"
	"sync"
	"time"

	"service_manager/publish"
)

// A supply is a [publish.Source] that hands out its messages in turn, each again when it is long settled. It hands out one first, to begin
// with a connection that works, and then as many as are taken in a time.
type supply struct {
	messages []publish.Message
	ready    chan struct{}
	first    chan struct{} // Closed when the first is settled.
	all      chan struct{} // Closed when the time is over and all is settled.

	mu             sync.Mutex
	until          time.Time // Zero before open.
	taken, settled int
	over           bool
	err            error // What was not confirmed.
}

func newSupply(mm []publish.Message) *supply {
	return &supply{messages: mm, ready: make(chan struct{}, 1), first: make(chan struct{}), all: make(chan struct{})}
}

// open hands out messages until the given time.
func (s *supply) open(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = until
	s.ready <- struct{}{}
}

// Ready implements [publish.Source].
func (s *supply) Ready() <-chan struct{} { return s.ready }

// Take implements [publish.Source].
func (s *supply) Take() (publish.Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken > 0 && !time.Now().Before(s.until) {
		s.end()
		return publish.Message{}, false
	}
	m := s.messages[s.taken%len(s.messages)]
	s.taken++
	return m, true
}

// Settle implements [publish.Source].
func (s *supply) Settle(m publish.Message, f publish.Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f != publish.Confirmed && s.err == nil {
		s.err = fmt.Errorf("the message of host %s was not confirmed: %v", m.Host, f)
	}
	s.settled++
	if s.settled == 1 {
		close(s.first)
	}
	s.end()
}

// end closes all when there is nothing to wait for any more.
func (s *supply) end() {
	if !s.over && !s.until.IsZero() && !time.Now().Before(s.until) && s.settled == s.taken {
		s.over = true
		close(s.all)
	}
}

// result returns how many were confirmed.
func (s *supply) result() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled, s.err
}

package collector_test

import (
	"sync"

	"service_manager/publish"
)

// A fakeOutbox is one in the shape that the collector knows. It keeps everything.
type fakeOutbox struct {
	commit func(host string) error // What becomes of a commit; nil: it succeeds.

	mu       sync.Mutex
	newest   map[string]publish.Status
	notices  []publish.Notice
	states   map[string][]byte
	events   []publish.Event
	attempts int
	inCommit map[string]bool // By host.
	overlap  bool            // Two commits of one host were under way at once.
}

func (o *fakeOutbox) PutStatus(s publish.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.newest == nil {
		o.newest = make(map[string]publish.Status)
	}
	o.newest[s.Host.Name] = s
}

func (o *fakeOutbox) PutNotice(n publish.Notice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notices = append(o.notices, n)
}

func (o *fakeOutbox) Backlog() publish.Backlog { return publish.Backlog{Events: 3} }

func (o *fakeOutbox) Commit(host string, state []byte, events []publish.Event) error {
	o.mu.Lock()
	o.attempts++
	if o.inCommit == nil {
		o.inCommit = make(map[string]bool)
	}
	o.overlap = o.overlap || o.inCommit[host]
	o.inCommit[host] = true
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.inCommit[host] = false
	}()
	if o.commit != nil {
		if err := o.commit(host); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.states == nil {
		o.states = make(map[string][]byte)
	}
	o.states[host] = state
	o.events = append(o.events, events...)
	return nil
}

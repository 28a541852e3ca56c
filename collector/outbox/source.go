package outbox

import "service_manager/publish"

// Ready implements [publish.Source].
func (o *Outbox) Ready() <-chan struct{} { return o.ready }

// Take implements [publish.Source]: events first, then notices, then statuses. It waits for no write to the disk.
func (o *Outbox) Take() (publish.Message, bool) {
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return publish.Message{}, false
		}
		if h := o.nextHost(); h != nil {
			if m, ok := o.takeEvent(h); ok {
				return m, true
			}
			continue
		}
		s := o.notices.next()
		if s == nil {
			s = o.statuses.next()
		}
		if s == nil {
			o.mu.Unlock()
			return publish.Message{}, false
		}
		if m, ok := o.takeNewest(s); ok {
			return m, true
		}
	}
}

// Settle implements [publish.Source].
//
// An event is done with when it is confirmed. One that is lost is handed out again, first of its host. One that is refused or returned
// is tried again now and then (see lot), until it is confirmed, has been returned for Config.UnroutableFor, or has ended the connection
// three times. Statuses and notices are handed out again if they were lost, and after some seconds if they were refused, unless a newer
// one waits. Where one has ended the connection, the newest in its place waits until it is tried in turn with others of its kind.
func (o *Outbox) Settle(m publish.Message, f publish.Fate) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fl, ok := o.inFlight[m.ID]
	if !ok {
		return
	}
	delete(o.inFlight, m.ID)
	if f == publish.Confirmed {
		o.confirms++
	}
	if fl.host != nil {
		o.settleEvent(fl.host, m, f)
	} else {
		o.settleNewest(fl.slot, m, f)
	}
}

// done counts n messages less.
func (o *Outbox) done(n int) {
	o.open -= n
	if o.open == 0 && o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
}

// Len returns how many messages wait or are in flight.
func (o *Outbox) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open
}

package outbox

import (
	"time"

	"service_manager/publish"
)

// Stats is a snapshot of an outbox.
type Stats struct {
	Events      int       // That wait, are in flight, or parked.
	Bytes       int64     // Of those, in the state file.
	Oldest      time.Time // When the oldest of those was observed; zero if there is none.
	Full        bool      // There is no room for more events.
	InFlight    int       // Messages of all kinds that were handed out.
	Parked      int       // Hosts whose first event the broker did not take, and that are tried again now and then.
	Quarantined int       // Events set aside, since the file is new; the newest of them are kept.
	Dropped     uint64    // Events dropped since Open because no queue is bound for them.
	Commits     uint64    // Transactions since Open.
	Committed   uint64    // Events committed since Open.
}

// Stats returns what there is now. It looks at each host.
func (o *Outbox) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.Events, s.Bytes, s.InFlight = o.usage.events, o.usage.bytes, len(o.inFlight)
	for _, h := range o.hosts {
		if h.events.len() == 0 {
			continue
		}
		if at := time.UnixMilli(h.events.items[0].at); s.Oldest.IsZero() || at.Before(s.Oldest) {
			s.Oldest = at
		}
	}
	return s
}

// Backlog is the part of Stats that goes into a notice.
func (o *Outbox) Backlog() publish.Backlog {
	s := o.Stats()
	b := publish.Backlog{Events: s.Events, Bytes: s.Bytes, Full: s.Full, Quarantined: s.Quarantined, Dropped: s.Dropped}
	if !s.Oldest.IsZero() {
		b.OldestEvent = &publish.Time{Time: s.Oldest}
	}
	return b
}

// Confirmed is the seq of the host's last event that the broker has confirmed, 0 if there is none in this epoch: the event_seq of a
// status that is handed over now.
func (o *Outbox) Confirmed(host string) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if h := o.hosts[host]; h != nil {
		return h.confirmed
	}
	return 0
}

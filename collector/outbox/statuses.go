package outbox

import (
	"cmp"
	"log/slog"
	"time"

	"service_manager/publish"
)

// retryRefused is how long a status or notice that the broker refused waits, if no newer one comes first. A refusal is a full queue or one
// without its node; the other queues bound to the exchange got the message and get it again with each try.
const retryRefused = 5 * time.Second

// company is how long a status waits for others, where one was handed out just before. It is less than a poll takes, and a thousandth of an
// interval.
const company = 10 * time.Millisecond

// newest holds the newest message of each name: a host, or what a notice tells.
type newest struct {
	slots map[string]*slot
	queue fifo[*slot] // Slots to take from, oldest first; one that has nothing to take any more is passed over.
}

func newNewest() *newest { return &newest{slots: map[string]*slot{}} }

// A slot is a name's place.
type slot struct {
	of      *newest
	name    string
	status  *publish.Status  // Waits, and is encoded when it is taken.
	message *publish.Message // Waits; of status and message at most one is set.
	queued  bool             // In queue.
	flying  bool             // A message of it is in flight, so the waiting one stays.
	parked  bool             // In a lot, with what waits or comes: the last one was rejected.
	trial   *lot             // It is on trial for that.
	others  uint64           // Outbox.confirms at its last rejection.
	nacked  bool             // The last one was refused.
}

func (s *slot) waits() bool { return s.status != nil || s.message != nil }

// PutStatus hands in the newest status of a host. It takes the place of an older one that still waits. EventSeq and Epoch are set when
// it is taken.
func (o *Outbox) PutStatus(status publish.Status) {
	o.putNewest(o.statuses, status.Host.Name, &status, nil)
}

// PutNotice hands in a notice. It takes the place of an older one that tells the same and still waits. Epoch is set.
func (o *Outbox) PutNotice(n publish.Notice) {
	n.Epoch = o.epoch
	m, err := n.Message()
	if err != nil { // The inventory lets no such name in; should one come, it must show.
		o.log.Error("a notice cannot be sent", slog.String("event", n.Event), slog.Any("err", err))
		return
	}
	o.putNewest(o.notices, n.Event, nil, &m)
}

func (o *Outbox) putNewest(in *newest, name string, status *publish.Status, message *publish.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := in.slots[name]
	if s == nil {
		s = &slot{of: in, name: name}
		in.slots[name] = s
	}
	if !s.waits() {
		o.open++
	}
	s.status, s.message = status, message
	if status != nil {
		o.queueNewest(s, o.signalSoon)
		return
	}
	o.offerNewest(s)
}

// offerNewest queues the slot if it has something to take.
func (o *Outbox) offerNewest(s *slot) { o.queueNewest(s, o.signal) }

func (o *Outbox) queueNewest(s *slot, signal func()) {
	if s.queued || s.flying || s.parked || !s.waits() {
		return
	}
	s.queued = true
	s.of.queue.push(s)
	signal()
}

// next returns the next slot in turn that has something to take; nil if none has.
func (n *newest) next() *slot {
	for {
		s, ok := n.queue.pop()
		if !ok {
			return nil
		}
		s.queued = false
		if s.waits() {
			return s
		}
		if !s.flying && !s.parked { // It was withdrawn.
			delete(s.of.slots, s.name)
		}
	}
}

// withdraw takes back the status of a host that waits, since the host was removed. One that the broker has ended a connection for stays
// where it is.
func (o *Outbox) withdraw(host string) {
	s := o.statuses.slots[host]
	if s == nil || !s.waits() || s.parked || s.trial != nil {
		return
	}
	s.status, s.message = nil, nil
	o.done(1)
	if !s.queued && !s.flying {
		o.markNacked(s, false)
		delete(s.of.slots, host)
	}
}

// takeNewest returns what waits in the slot and unlocks. It reports false where that cannot be encoded.
func (o *Outbox) takeNewest(s *slot) (publish.Message, bool) {
	status, message := s.status, s.message
	s.status, s.message, s.flying = nil, nil, true
	var confirmed uint64
	if h := o.hosts[s.name]; status != nil && h != nil {
		confirmed = h.confirmed
	}
	o.mu.Unlock()
	m, err := o.encodeStatus(status, message, confirmed)

	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil { // As in PutNotice.
		o.log.Error("a status cannot be sent", slog.String("host", s.name), slog.Any("err", err))
		s.flying = false
		o.done(1)
		o.goOn(s, false)
		return publish.Message{}, false
	}
	o.inFlight[m.ID] = flight{slot: s}
	return m, true
}

// encodeStatus makes the message of a status, or returns the one that there is: a repetition stays as it was.
func (o *Outbox) encodeStatus(status *publish.Status, message *publish.Message, confirmed uint64) (publish.Message, error) {
	if message != nil {
		return *message, nil
	}
	status.EventSeq, status.Epoch = confirmed, o.epoch
	m, err := status.Message()
	m.TTL = o.config.StatusTTL
	return m, err
}

func (o *Outbox) settleNewest(s *slot, m publish.Message, f publish.Fate) {
	s.flying = false
	again := (f == publish.Lost || f == publish.Refused || f == publish.Rejected) && !s.waits()
	if again {
		s.message = &m
	} else {
		o.done(1)
	}
	if f != publish.Lost {
		o.markNacked(s, f == publish.Refused)
	}
	switch {
	case f == publish.Rejected:
		o.parkSlot(s)
	case f == publish.Lost:
		o.offerNewest(s) // Still on trial, if it was.
	case f == publish.Refused && again:
		o.endTrial(&s.trial, true)
		time.AfterFunc(retryRefused, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.offerNewest(s) // Whatever waits by now, if it is not on its way already.
		})
	default:
		o.goOn(s, f != publish.Invalid)
	}
}

// goOn has a slot go on after a message that does not come again. Taken says that the broker did not end the connection for it.
func (o *Outbox) goOn(s *slot, taken bool) {
	o.endTrial(&s.trial, taken)
	o.offerNewest(s)
	if !s.waits() {
		o.markNacked(s, false)
		delete(s.of.slots, s.name)
	}
}

// parkSlot keeps back what waits in a slot and what comes: for the last one the broker ended the connection, and would do so for the
// next. All such slots are one lot, so that they do not take the connection from the others. Those are another one, tried less and less,
// where anything was confirmed since the slot's last rejection, or if this is its first one, since that of any: else the broker takes
// nothing from us, and must be found to do so again at once.
func (o *Outbox) parkSlot(s *slot) {
	key := lotKey{fate: publish.Rejected, newest: true}
	if o.confirms > cmp.Or(s.others, o.others) {
		key.fate = publish.Invalid
	}
	s.others, o.others = o.confirms, o.confirms
	s.parked = true
	o.admit(s, &s.trial, key)
}

func (s *slot) try(o *Outbox, l *lot) {
	s.parked, s.trial = false, l
	o.offerNewest(s)
}

func (s *slot) waitingEvents() int { return 0 }

// markNacked remembers and tells which slots' last messages were refused.
func (o *Outbox) markNacked(s *slot, nacked bool) {
	key := lotKey{fate: publish.Refused, newest: true}
	if s.nacked != nacked {
		s.nacked = nacked
		if nacked {
			o.nacked++
		} else if o.nacked--; o.nacked == 0 {
			o.tellOver(key)
		}
	}
	if nacked {
		o.tell(key, o.nacked, 0)
	}
}

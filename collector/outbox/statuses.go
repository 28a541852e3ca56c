package outbox

import (
	"log/slog"
	"time"

	"service_manager/publish"
)

// retryRefused is how long a status or notice that the broker refused waits, if no newer one comes first. A refusal is a full queue or one
// without its node; the other queues bound to the exchange got the message and get it again with each try.
const retryRefused = 5 * time.Second

// pauseRejected is how long a host's statuses wait after maxRejections of them in a row have ended the connection, if anything else was
// confirmed meanwhile: else the broker takes nothing from us, and must be found to do so again at once.
const pauseRejected = 5 * time.Minute

// newest holds the newest message of each name: a host, or what a notice tells.
type newest struct {
	slots map[string]*slot
	queue fifo[*slot] // Slots to take from, oldest first; one that has nothing to take any more is passed over.
}

func newNewest() *newest { return &newest{slots: map[string]*slot{}} }

// A slot is a name's place.
type slot struct {
	of         *newest
	name       string
	status     *publish.Status  // Waits, and is encoded when it is taken.
	message    *publish.Message // Waits; of status and message at most one is set.
	queued     bool             // In queue.
	flying     bool             // A message of it is in flight, so the waiting one stays.
	rejections int              // In a row.
	others     uint64           // Outbox.confirms at the first of them.
	paused     bool             // Because of them.
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
	o.offerNewest(s)
}

// offerNewest queues the slot if it has something to take.
func (o *Outbox) offerNewest(s *slot) {
	if s.queued || s.flying || s.paused || !s.waits() {
		return
	}
	s.queued = true
	s.of.queue.push(s)
	o.signal()
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
		o.settled(s)
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
	again := (f == publish.Lost || f == publish.Refused || f == publish.Rejected) && !s.waits()
	if again {
		s.message = &m
		s.flying = false
	}
	switch f {
	case publish.Rejected:
		if s.rejections == 0 {
			s.others = o.confirms
		}
		s.rejections++
		if s.rejections >= maxRejections && o.confirms > s.others && !s.paused {
			o.pause(s)
		}
	case publish.Confirmed, publish.Unroutable:
		s.rejections = 0
	default:
	}
	switch {
	case !again:
		o.settled(s)
	case f == publish.Lost:
		o.offerNewest(s)
	default:
		time.AfterFunc(retryRefused, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.offerNewest(s) // Whatever waits by now, if it is not on its way already.
		})
	}
}

// settled ends the flight of a message that does not come again.
func (o *Outbox) settled(s *slot) {
	s.flying = false
	o.done(1)
	o.offerNewest(s)
	if !s.waits() {
		delete(s.of.slots, s.name)
	}
}

// pause keeps back what comes into the slot: the broker ends the connection for it each time.
func (o *Outbox) pause(s *slot) {
	s.paused = true
	o.log.Error("the broker ends the connection because of what is sent again and again; pausing it",
		slog.String("of", s.name), slog.Int("times", s.rejections), slog.Duration("for", pauseRejected))
	time.AfterFunc(pauseRejected, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		s.paused = false
		o.offerNewest(s)
	})
}

package publish

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// windowBytes bounds the bodies in flight, beside Config.Window.
const windowBytes = 16 << 20

// reasonWait is how long to wait, after a publish has failed, for the connection to say why it ended.
const reasonWait = time.Second

// A wire is what a session needs of an AMQP channel in confirm mode.
type wire struct {
	publish func(Message) (confirmation, error)
	// returns must have room for a whole window: amqp091 drops what a full channel does not take within five seconds.
	returns <-chan amqp.Return
	blocked <-chan amqp.Blocking
	closed  <-chan *amqp.Error // Has the reason, before confirmations resolve because of it; then closed.
}

// A confirmation is an *amqp.DeferredConfirmation.
type confirmation interface {
	Done() <-chan struct{}
	Acked() bool
}

// A session publishes through one channel, from one goroutine, until something ends it.
type session struct {
	wire
	p   *Publisher
	src Source

	window    []pending // In the order sent.
	held      *Message  // Taken, and waits for the window to be empty, to be sent alone.
	bytes     int
	returned  map[string]struct{} // IDs of returned messages whose confirm has not been seen yet.
	confirmed bool                // The broker has confirmed something.
	paused    bool                // It has told us to pause.
	resumed   time.Time           // When it last told us to go on.
	err       error               // Why the session has ended.
}

type pending struct {
	Message
	confirm confirmation
	sent    time.Time
}

// unsent is the confirmation of a message whose publish has failed.
type unsent struct{}

func (unsent) Done() <-chan struct{} { return nil }
func (unsent) Acked() bool           { return false }

func newSession(p *Publisher, src Source, w wire) *session {
	return &session{wire: w, p: p, src: src, returned: map[string]struct{}{}}
}

// run publishes until ctx ends (nil) or the connection is of no use any more (why). What is then unsettled is for abandon.
func (s *session) run(ctx context.Context) error {
	now := make(chan struct{})
	close(now)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var again <-chan struct{} // Ready at once after a message was sent: there may be more, but confirms have their turn.
		if s.err == nil && s.send(ctx) {
			again = now
		}
		if s.err != nil {
			return s.err
		}
		var head <-chan struct{}
		var late <-chan time.Time
		if len(s.window) > 0 {
			head = s.window[0].confirm.Done()
			if !s.paused { // A broker in alarm confirms nothing: its time does not count.
				timer.Reset(time.Until(s.deadline()))
				late = timer.C
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-s.src.Ready():
		case <-head:
			s.settleHead()
		case b, ok := <-s.blocked:
			s.pause(ctx, b, ok)
		case e := <-s.closed:
			return ended(e)
		case <-late:
			return fmt.Errorf("no confirm within %v of %d messages in flight: a queue without majority, or a stuck broker", s.p.cfg.ConfirmTimeout, len(s.window))
		}
	}
}

// send takes one message from the source and publishes it, and reports whether there was one.
func (s *session) send(ctx context.Context) bool {
	if !s.room() {
		return false
	}
	m, ok := s.next()
	if !ok {
		return false
	}
	if len(s.window) > 0 && s.p.suspects.has(m) {
		s.held = &m
		return false
	}
	if err := m.Validate(s.p.cfg.MaxBody); err != nil {
		s.p.log.ErrorContext(ctx, "message cannot be sent", slog.String("host", m.Host), slog.Any("err", err))
		s.settle(m, Invalid)
		return true
	}
	c, err := s.publish(m)
	if err != nil {
		c, s.err = unsent{}, s.reason(err)
	}
	s.window = append(s.window, pending{Message: m, confirm: c, sent: time.Now()})
	s.bytes += len(m.Body)
	if err != nil {
		return false
	}
	s.p.count(func(st *Stats) { st.Published++; st.InFlight = len(s.window) })
	return true
}

// next takes a message: the one held back, or one of the source.
func (s *session) next() (Message, bool) {
	if s.held == nil {
		return s.src.Take()
	}
	m := *s.held
	s.held = nil
	return m, true
}

// room reports whether a message may be sent now. The first of a session goes alone: a broker in alarm says so only in answer to a
// publish, and then nothing more should be under way. So does a suspect.
func (s *session) room() bool {
	if s.paused {
		return false
	}
	if len(s.window) == 0 {
		return true
	}
	if !s.confirmed || s.held != nil || s.p.suspects.has(s.window[0].Message) {
		return false
	}
	return len(s.window) < s.p.cfg.Window && s.bytes < windowBytes
}

// deadline is when the oldest message's confirm is overdue.
func (s *session) deadline() time.Time {
	from := s.window[0].sent
	if s.resumed.After(from) {
		from = s.resumed
	}
	return from.Add(s.p.cfg.ConfirmTimeout)
}

func (s *session) pause(ctx context.Context, b amqp.Blocking, ok bool) {
	if !ok { // Closed with the connection; s.closed says more.
		s.blocked = nil
		return
	}
	if b.Active == s.paused {
		return
	}
	s.paused = b.Active
	if b.Active {
		s.p.log.WarnContext(ctx, "the broker tells to pause", slog.String("reason", b.Reason))
	} else {
		s.resumed = time.Now()
		s.p.log.InfoContext(ctx, "the broker takes messages again")
	}
	s.p.count(func(st *Stats) {
		st.Blocked = b.Active
		if b.Active {
			st.Blocks++
		}
	})
}

// settleHead settles the oldest message, which is done.
func (s *session) settleHead() {
	fate := Refused
	if s.window[0].confirm.Acked() {
		s.confirmed = true
		fate = s.acked(s.window[0])
	} else {
		// A nack, or the end of the channel, of which closed has the reason first.
		select {
		case e := <-s.closed:
			s.err = ended(e) // The rest is for abandon.
			return
		default:
		}
	}
	p := s.pop()
	s.p.suspects.acquit(p.Message)
	s.settle(p.Message, fate)
}

// acked tells a routed message from a returned one. The broker sends the return before the ack, and amqp091's one reader has put it
// into returns before it resolves the confirmation, so it is there by now. https://www.rabbitmq.com/docs/confirms
func (s *session) acked(p pending) Fate {
	for {
		select {
		case r, ok := <-s.returns:
			if ok {
				s.returned[r.MessageId] = struct{}{}
				continue
			}
			s.returns = nil
		default:
		}
		break
	}
	if _, ok := s.returned[p.ID]; ok {
		delete(s.returned, p.ID)
		return Unroutable
	}
	return Confirmed
}

// abandon settles what is left after the connection has been closed because of err: some of it may have been confirmed on the way
// out. It reports whether err is about one of these messages.
func (s *session) abandon(ctx context.Context, err error) (blamed bool) {
	if s.held != nil {
		s.settle(*s.held, Lost)
		s.held = nil
	}
	fate := Lost
	if aboutMessage(err) {
		fate, blamed = s.blame(ctx, err)
	}
	for len(s.window) > 0 {
		p := s.pop()
		if p.confirm.Acked() {
			s.settle(p.Message, s.acked(p))
		} else {
			s.settle(p.Message, fate)
		}
	}
	return blamed
}

// blame finds out which message err is about, and returns what is the fate of all that is not confirmed. Where it cannot be told, each
// that may be meant is sent alone by the next sessions.
func (s *session) blame(ctx context.Context, err error) (f Fate, blamed bool) {
	var open []Message
	for _, p := range s.window {
		if !p.confirm.Acked() {
			open = append(open, p.Message)
		}
	}
	switch len(open) {
	case 0:
		return Lost, false
	case 1:
		if m := open[0]; s.p.suspects.convict(m) {
			s.p.log.ErrorContext(ctx, "the broker rejects a message", slog.String("routing_key", m.Key), slog.String("id", m.ID), slog.Any("err", err))
		}
		return Rejected, true
	}
	n := s.p.suspects.accuse(open, err)
	s.p.log.WarnContext(ctx, "the broker rejects one of several messages, the suspects are sent one by one", slog.Int("suspects", n), slog.Any("err", err))
	return Lost, true
}

func (s *session) pop() pending {
	p := s.window[0]
	s.window[0] = pending{}
	s.window = s.window[1:]
	s.bytes -= len(p.Body)
	return p
}

func (s *session) settle(m Message, f Fate) {
	s.p.count(func(st *Stats) {
		st.InFlight = len(s.window)
		switch f {
		case Confirmed:
			st.Confirmed++
		case Unroutable:
			st.Returned++
		case Refused:
			st.Nacked++
		case Lost:
			st.Lost++
		case Invalid:
			st.Invalid++
		case Rejected:
			st.Rejected++
		}
	})
	s.src.Settle(m, f)
}

// reason returns why the connection ended, which says more than the publish that failed because of it.
func (s *session) reason(err error) error {
	t := time.NewTimer(reasonWait)
	defer t.Stop()
	select {
	case e := <-s.closed:
		if e != nil {
			return e
		}
	case <-t.C:
	}
	return err
}

func ended(e *amqp.Error) error {
	if e == nil {
		return amqp.ErrClosed
	}
	return e
}

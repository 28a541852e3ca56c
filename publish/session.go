package publish

import (
	"context"
	"errors"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// reasonWait is how long to wait, after a publish has failed, for the connection to say why it ended.
const reasonWait = time.Second

const (
	// lookEvery is how often the confirms of all messages in flight are looked at. In between, each is seen that comes in the order
	// sent: amqp091 tells of no other, as its NotifyPublish holds back what comes before its turn.
	lookEvery = 20 * time.Millisecond
	// probeEvery is after how long of silence a new session sends one more message.
	probeEvery = time.Second
	// verdictWait is how long to wait whether the broker ends the channel because of a message. It does so at once.
	verdictWait = time.Second
	// unansweredShare is the part of the window that is open to messages whose queue withholds its confirms.
	unansweredShare = 4
	// crowded is the part of ConfirmTimeout after which a message that the broker has let pass is overdue while the window is full: a
	// queue of many hosts would fill it with what it withholds, and the others would wait.
	crowded = 6
	// renewAfter is how many messages are sent on one connection after one whose confirm was given up: amqp091 remembers each of their
	// confirms until that one comes.
	renewAfter = 100_000
	// together is how many messages are sent at a time.
	together = 64
	// heldFor is how long a connection must have lasted to be of use, where nothing was confirmed.
	heldFor = 5 * time.Second
)

// errRenew ends a session whose connection is to be replaced by a new one.
var errRenew = errors.New("the connection is renewed, because a confirm on it was given up")

// A wire is what a session needs of an AMQP channel in confirm mode.
type wire struct {
	publish func(Message) (confirmation, error)
	// Between hold and release, messages are held back, to be written at once.
	hold    func()
	release func() error
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
	// up is called when the connection has proved to be of use: the broker has confirmed something, or it has held for heldFor.
	up func(held bool)

	window    window
	aside     aside
	alone     bool                // What was sent last is under suspicion, and nothing else is sent until its fate is known.
	returned  map[string]struct{} // IDs of returned messages whose confirm has not been seen yet.
	confirmed bool                // The broker has confirmed something.
	held      bool                // The session has lasted for heldFor.
	paused    bool                // It has told us to pause.
	resumed   time.Time           // When it last told us to go on.
	err       error               // Why the session has ended.
}

func newSession(p *Publisher, src Source, w wire) *session {
	s := &session{wire: w, p: p, src: src, up: func(bool) {}, returned: map[string]struct{}{}}
	s.aside.room = p.cfg.Window
	return s
}

// run publishes until ctx ends (nil) or the connection is of no use any more (why). What is then unsettled is for abandon.
func (s *session) run(ctx context.Context) error {
	now := make(chan struct{})
	close(now)
	held, timer := time.NewTimer(heldFor), time.NewTimer(0)
	defer held.Stop()
	defer timer.Stop()
	looked := time.Now()
	for {
		var again <-chan struct{} // Ready at once after messages were sent: there may be more, but confirms have their turn.
		if s.err == nil && s.sendSome(ctx) {
			again = now
		}
		if s.err != nil {
			return s.err
		}
		var head <-chan struct{}
		var look <-chan time.Time
		if len(s.window.open) > 0 {
			head = s.window.open[0].confirm.Done()
		}
		if head != nil || s.aside.len() > 0 {
			timer.Reset(time.Until(looked.Add(lookEvery)))
			look = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-s.src.Ready():
		case <-head:
			s.settleHead(ctx)
		case b, ok := <-s.blocked:
			s.pause(ctx, b, ok)
		case e := <-s.closed:
			return ended(e)
		case <-held.C:
			s.held = true
			if s.confirmed || s.paused || len(s.window.open) == 0 { // Else it is not known whether anything is answered.
				s.up(true)
			}
		case <-look:
			looked = time.Now()
			s.settleDone(ctx)
			if s.err == nil {
				s.err = s.overdue(ctx)
			}
		}
	}
}

// sendSome sends what there is, up to a bound, in one write, and reports whether there may be more.
func (s *session) sendSome(ctx context.Context) (more bool) {
	s.hold()
	for range together {
		if more = s.send(ctx); !more {
			break
		}
	}
	err := s.release()
	if s.err == nil {
		s.err = err
	}
	if s.err != nil {
		s.err = s.reason(s.err)
	}
	return more
}

// send takes one message from the source, publishes it or puts it aside, and reports whether there may be another one.
func (s *session) send(ctx context.Context) bool {
	if !s.room() {
		return false
	}
	m, why, ok := s.next()
	if !ok {
		return false
	}
	if why == unsuspected {
		if why = s.p.standing(m); why != unsuspected {
			if !s.aside.put(m, why) {
				s.settle(m, Refused)
			}
			return true
		}
	}
	if err := m.Validate(s.p.cfg.MaxBody); err != nil {
		s.p.log.ErrorContext(ctx, "message cannot be sent", slog.String("host", m.Host), slog.Any("err", err))
		s.settle(m, Invalid)
		return true
	}
	c, err := s.publish(m)
	if err != nil {
		c, s.err = unsent{}, err
	}
	s.window.add(m, c, why == unanswered)
	if err != nil {
		return false
	}
	s.alone = why == suspected || why == guilty
	s.p.count(func(st *Stats) { st.Published++; st.InFlight = len(s.window.open) })
	return true
}

// next takes a message: one that has been aside for long enough, one of the source, or, where that has none, one from aside. It says why
// the message was aside.
func (s *session) next() (Message, standing, bool) {
	if s.confirmed { // Else it would be the session's first, on which all others wait.
		if why := s.aside.ripe(s.mayGo); why != unsuspected {
			if why != unanswered && !s.quiet() {
				return Message{}, why, false // Hold the others back for this one.
			}
			return s.aside.take(why), why, true
		}
	}
	if m, ok := s.src.Take(); ok {
		return m, unsuspected, true
	}
	for why := range standings {
		if s.aside.has(why) && s.mayGo(why) && (why == unanswered || s.quiet()) {
			return s.aside.take(why), why, true
		}
	}
	return Message{}, unsuspected, false
}

// mayGo reports whether there is room for one more message of those aside for this reason.
func (s *session) mayGo(why standing) bool {
	switch why {
	case guilty:
		return s.p.suspects.retry()
	case unanswered:
		return s.window.unanswered < max(1, s.p.cfg.Window/unansweredShare)
	default:
		return true
	}
}

// quiet reports whether the channel's end could be told to be about the next message: the broker has let pass all that is in flight.
func (s *session) quiet() bool {
	for _, p := range s.window.open {
		if !s.window.passed(p) && !p.unanswered && time.Since(p.sent) < verdictWait {
			return false
		}
	}
	return true
}

// room reports whether a message may be sent now. The first of a session goes alone: a broker in alarm says so only in answer to a
// publish, and then nothing more should be under way. Where it says nothing at all for a while, the next may have a queue that answers.
func (s *session) room() bool {
	if s.paused || s.window.full(s.p.cfg.Window) {
		return false
	}
	if s.alone {
		if !s.quiet() {
			return false
		}
		s.alone = false
	}
	return s.confirmed || len(s.window.open) == 0 || time.Since(s.window.lastSent) >= probeEvery
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

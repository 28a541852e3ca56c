package publish

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// settleHead settles the oldest message, which is done.
func (s *session) settleHead(ctx context.Context) {
	if s.isEnd(s.window.open[0]) {
		return
	}
	s.answered(ctx, s.window.pop())
}

// settleDone settles all messages that are done: the confirms of one queue do not wait for those of another.
func (s *session) settleDone(ctx context.Context) {
	for _, p := range s.window.popDone(func(p pending) bool { return !s.isEnd(p) }) {
		s.answered(ctx, p)
	}
}

// isEnd reports whether the message is done because the channel has ended, of which closed has the reason first. The rest is for abandon.
func (s *session) isEnd(p pending) bool {
	if s.err == nil && !p.confirm.Acked() {
		select {
		case e := <-s.closed:
			s.err = ended(e)
		default:
		}
	}
	return s.err != nil
}

// answered settles a message that the broker has confirmed or refused.
func (s *session) answered(ctx context.Context, p pending) {
	fate := Refused
	if p.confirm.Acked() {
		fate = s.acked(p)
		if !s.confirmed {
			s.confirmed = true
			s.up(s.held)
		}
	}
	s.p.withheld.free(ctx, s.p.log, p.Message)
	s.p.suspects.acquit(ctx, s.p.log, p.Message)
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
	for _, m := range s.aside.clear() {
		s.settle(m, Lost)
	}
	for _, p := range s.window.popDone(func(p pending) bool { return p.confirm.Acked() }) {
		s.settle(p.Message, s.acked(p))
	}
	fates := map[uint64]Fate{}
	if aboutMessage(err) {
		blamed = s.blame(ctx, err, fates)
	}
	for len(s.window.open) > 0 {
		p := s.window.pop()
		s.settle(p.Message, cmp.Or(fates[p.n], Lost))
	}
	return blamed
}

// blame finds out which message err is about, and says so in fates. Where it cannot be told, each that may be meant is sent alone by the
// next sessions.
func (s *session) blame(ctx context.Context, err error, fates map[uint64]Fate) (blamed bool) {
	open := s.window.unpassed()
	switch len(open) {
	case 0:
		return false
	case 1:
		fates[open[0].n] = Rejected
		s.p.suspects.convict(ctx, s.p.log, open[0].Message, err)
		return true
	}
	s.p.suspects.accuse(ctx, s.p.log, open, err)
	return true
}

func (s *session) settle(m Message, f Fate) {
	s.p.count(func(st *Stats) {
		st.InFlight = len(s.window.open)
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

// deadline is when the message's confirm is overdue. The time of an alarm, in which a broker confirms nothing, does not count.
func (s *session) deadline(p pending) time.Time {
	timeout := s.p.cfg.ConfirmTimeout
	if s.window.full(s.p.cfg.Window) && s.window.passed(p) && s.window.answeredAt.After(s.resumed) {
		timeout /= crowded
	}
	return later(p.sent, s.resumed).Add(timeout)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// overdue settles the messages whose confirm is overdue. Where the broker has answered others meanwhile, it is not the connection that
// fails but their queue, and they are as good as refused, though they may still arrive; else it returns why the session is over.
func (s *session) overdue(ctx context.Context) error {
	now, n := time.Now(), 0
	for n < len(s.window.open) && !s.paused && !now.Before(s.deadline(s.window.open[n])) {
		s.p.withheld.add(s.window.open[n].Message)
		n++
	}
	if n == 0 {
		if s.window.givenUp > 0 && s.window.sent-s.window.givenUp > renewAfter {
			return errRenew
		}
		return nil
	}
	oldest := s.window.open[0]
	if !s.window.answeredAt.After(later(oldest.sent, s.resumed)) {
		return fmt.Errorf("no confirm within %v of %s in flight, the oldest with the key %s: a queue without majority, or a stuck broker",
			s.p.cfg.ConfirmTimeout, plural(len(s.window.open), "message"), oldest.Key)
	}
	s.p.withheld.report(ctx, s.p.log)
	s.window.givenUp = cmp.Or(s.window.givenUp, oldest.n)
	for range n {
		s.settle(s.window.pop().Message, Refused)
	}
	return nil
}

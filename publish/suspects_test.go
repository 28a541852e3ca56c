package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

// A pickyBroker confirms every message after a millisecond, but ends the channel over one to a host in poison.
type pickyBroker struct {
	poison map[string]amqp.Error

	mu       sync.Mutex
	sessions int
	alone    int // Messages that were sent with nothing else in flight.
}

func (b *pickyBroker) connect(context.Context, broker) (*link, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions++
	var open []*fakeConfirm
	ended := false
	f := newFakeWire()
	f.publish = func(m Message) (confirmation, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if ended {
			return nil, amqp.ErrClosed
		}
		if len(open) == 0 {
			b.alone++
		}
		c := &fakeConfirm{Message: m, done: make(chan struct{})}
		open = append(open, c)
		time.AfterFunc(time.Millisecond, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if ended {
				return
			}
			c := open[0] // In the order sent, whichever timer this is.
			why, poison := b.poison[c.Host]
			if !poison {
				open = open[1:]
				c.resolve(true)
				return
			}
			ended = true
			f.closed <- &why
			for _, c := range open {
				c.resolve(false)
			}
		})
		return c, nil
	}
	return f.link(), nil
}

// mend has the broker take everything.
func (b *pickyBroker) mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.poison)
}

// A stubborn source hands out again what was lost, first of all, and what was rejected, at the end.
type stubborn struct {
	*pile
	forever bool // Also what was rejected.
}

func (s *stubborn) Settle(m Message, f Fate) {
	s.pile.Settle(m, f)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case f == Lost:
		s.waiting = slices.Insert(s.waiting, 0, m)
	case f == Rejected && s.forever:
		s.waiting = append(s.waiting, m)
	}
}

func (s *stubborn) count(fate string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, told := range s.fates {
		if strings.HasSuffix(told, " "+fate) {
			n++
		}
	}
	return n
}

func serverError(code int, reason string) amqp.Error {
	return amqp.Error{Code: code, Reason: reason, Server: true}
}

func TestPoison(t *testing.T) {
	unnamed := serverError(amqp.PreconditionFailed, "PRECONDITION_FAILED - for reasons of its own")
	toPoison := serverError(amqp.AccessRefused, "ACCESS_REFUSED - write access to topic 'status.web.poison' in exchange 'x' in vhost '/' refused for user 'u'")
	tooBig := serverError(amqp.PreconditionFailed, "PRECONDITION_FAILED - message size 17 is larger than configured max size 16")
	good := hosts(300)
	among := func(at int, poison ...string) []string { return slices.Insert(slices.Clone(good), at, poison...) }
	for name, tc := range map[string]struct {
		hosts    []string
		poison   map[string]amqp.Error
		sessions int
		alone    int // At most, of the messages of all sessions.
	}{
		"the first":             {among(0, "poison"), map[string]amqp.Error{"poison": unnamed}, 2, 10},
		"the broker names none": {among(50, "poison"), map[string]amqp.Error{"poison": unnamed}, 3, 200},
		"the broker names it":   {among(50, "poison"), map[string]amqp.Error{"poison": toPoison}, 3, 30},
		"and its size":          {among(50, "poison"), map[string]amqp.Error{"poison": tooBig}, 3, 30},
		"two of them":           {among(50, "poison", "also poison"), map[string]amqp.Error{"poison": unnamed, "also poison": unnamed}, 4, 300},
		"the last":              {among(300, "poison"), map[string]amqp.Error{"poison": serverError(amqp.FrameError, "FRAME_ERROR")}, 2, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &pickyBroker{poison: tc.poison}
				p, log := newTestPublisher(t, Config{Attempts: 1, Window: 100}, b.connect)
				src := &stubborn{pile: newPile(tc.hosts...)}
				ctx, cancel := context.WithCancel(t.Context())
				var wg conc.WaitGroup
				wg.Go(func() {
					if err := p.Run(ctx, src); err != nil {
						t.Error(err)
					}
				})
				time.Sleep(5 * time.Second)
				if st := p.Stats(); st.Confirmed != uint64(len(good)) || st.Rejected != uint64(len(tc.poison)) || st.InFlight != 0 {
					t.Errorf("%d confirmed, %d rejected: %+v", src.count("confirmed"), src.count("rejected"), st)
				}
				cancel()
				wg.Wait()
				if b.sessions != tc.sessions || b.alone > tc.alone {
					t.Errorf("%d sessions, want %d; %d messages were sent alone, want at most %d", b.sessions, tc.sessions, b.alone, tc.alone)
				}
				if n := strings.Count(log.String(), "level=ERROR"); n != len(tc.poison) {
					t.Errorf("%d errors in the log:\n%s", n, log)
				}
			})
		})
	}
}

// TestPoisonIsRetried shows that a source that never gives up on messages costs neither a storm of connections, nor the other messages
// more than a moment, nor the log more than a few lines; and that all is well soon after the broker takes them.
func TestPoisonIsRetried(t *testing.T) {
	for _, poisons := range []int{1, 40} {
		t.Run(fmt.Sprint(poisons), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &pickyBroker{poison: map[string]amqp.Error{}}
				p, log := newTestPublisher(t, Config{}, b.connect)
				src := &stubborn{pile: newPile(), forever: true}
				for i := range poisons {
					host := fmt.Sprint("poison", i)
					b.poison[host] = serverError(amqp.AccessRefused, "ACCESS_REFUSED - write access to topic '"+message(host).Key+"' in exchange 'x'")
					src.put(host)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg conc.WaitGroup
				wg.Go(func() {
					if err := p.Run(ctx, src); err != nil {
						t.Error(err)
					}
				})
				late := 0
				for i := range 600 {
					src.put(fmt.Sprint("h", i))
					time.Sleep(time.Second)
					if n := src.count("confirmed"); n < i+1 {
						late++
					}
				}
				if n := src.count("confirmed"); n < 598 || late > 2*poisons {
					t.Errorf("%d of 600 messages were confirmed, %d times one was not within a second", n, late)
				}
				if most := 2*poisons + 120; b.sessions > most {
					t.Errorf("%d sessions in 10 minutes, want at most %d", b.sessions, most)
				}
				if n := strings.Count(log.String(), "\n"); n > 8 {
					t.Errorf("%d lines in the log:\n%s", n, log)
				}
				b.mend()
				time.Sleep(2 * guiltyEvery)
				if n := src.count("confirmed"); n != 600+poisons {
					t.Errorf("%d of %d messages were confirmed in the end", n, 600+poisons)
				}
				if n := strings.Count(log.String(), "takes again what it rejected"); n < 1 || n > 3 {
					t.Errorf("the log says %d times that it is over:\n%s", n, log)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

func TestAboutMessage(t *testing.T) {
	for reason, tc := range map[string]struct {
		code   int
		server bool
		want   bool
	}{
		"PRECONDITION_FAILED - message size 17825792 is larger than configured max size 16777216": {amqp.PreconditionFailed, true, true},
		"ACCESS_REFUSED - write access to topic 'event.web.a' in exchange 'x' in vhost '/'":       {amqp.AccessRefused, true, true},
		"ACCESS_REFUSED - access to topic 'event.web.a' in exchange 'x' in vhost '/'":             {amqp.AccessRefused, true, true}, // 3.10
		"ACCESS_REFUSED - write access to exchange 'x' in vhost '/' refused for user 'u'":         {amqp.AccessRefused, true, false},
		"NOT_FOUND - no exchange 'x' in vhost '/'":                                                {amqp.NotFound, true, false},
		"CONNECTION_FORCED - shutdown":                                                            {amqp.ConnectionForced, true, false},
		"FRAME_ERROR - cannot decode <<>>":                                                        {amqp.FrameError, true, true},
		"EOF":                                                                                     {amqp.FrameError, false, false},
	} {
		e := &amqp.Error{Code: tc.code, Reason: reason, Server: tc.server}
		if got := aboutMessage(&BrokerError{Err: e}); got != tc.want {
			t.Errorf("%s: got %v", reason, got)
		}
	}
	if aboutMessage(errors.New("bang")) || aboutMessage(nil) {
		t.Error("about a message without a word of the broker")
	}
}

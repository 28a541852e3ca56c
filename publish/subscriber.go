package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sourcegraph/conc"
)

// SubscriberConfig configures a Subscriber.
type SubscriberConfig struct {
	// Broker says how to reach the broker and what the exchange is called. What is only about publishing has no effect, nor has Declare:
	// the exchange must be there.
	Broker Config
	// Patterns are what the queue is bound with, at least one: words of a routing key, * for any one word, # for any number of them.
	Patterns []string
	// Bound, Lost and Dropped, where not nil, are told what else happens, in its place among the messages.
	//
	// Bound: the queue is there, on the broker of this address. Messages sent between lost and now were missed; it is zero at first.
	Bound func(broker string, lost time.Time)
	// Lost: there is no queue since then; the reason is a *BrokerError. It is told again every minute, with the latest reason.
	Lost func(err error, since time.Time)
	// Dropped: so many messages had to be dropped before the next one, because handling them took too long.
	Dropped func(n int)
}

// A Subscriber receives messages through a queue of its own, which ends with its connection: it misses what is sent while there is
// none. To miss nothing, a consumer declares a durable queue instead.
type Subscriber struct {
	cfg     SubscriberConfig
	brokers []broker
	connect func(context.Context, broker) (*feed, error)
	inbox   *inbox
}

// NewSubscriber checks the configuration. It neither dials nor reads files.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	p, err := New(cfg.Broker)
	if err != nil {
		return nil, err
	}
	if len(cfg.Patterns) == 0 {
		return nil, errors.New("no pattern to bind a queue with")
	}
	for _, pattern := range cfg.Patterns {
		if len(pattern) > MaxKey {
			return nil, fmt.Errorf("a pattern has %d bytes, AMQP allows %d", len(pattern), MaxKey)
		}
	}
	cfg.Broker = p.cfg
	cfg.Patterns = slices.Clone(cfg.Patterns)
	s := &Subscriber{cfg: cfg, brokers: p.brokers, inbox: newInbox(inboxItems, inboxBytes)}
	s.connect = s.dial
	return s, nil
}

// Run receives messages and calls handle with each, until ctx ends (nil), or the last *BrokerError when at first none of the brokers can
// be subscribed to; once one could be, it goes on trying. It must not run twice at the same time.
//
// handle is called from the goroutine of Run, and may take its time: the connection is not kept waiting meanwhile. What has arrived by
// then waits in memory, the newest 10,000 messages and 64 MiB. Run returns within about two seconds after ctx, but not before handle.
func (s *Subscriber) Run(ctx context.Context, handle func(Delivery)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		receiver conc.WaitGroup
		failure  error
	)
	receiver.Go(func() {
		defer stop()
		failure = s.receive(ctx)
	})
	for ctx.Err() == nil {
		a, dropped, ok := s.inbox.take()
		if !ok {
			select {
			case <-ctx.Done():
			case <-s.inbox.ready:
			}
			continue
		}
		s.tell(a, dropped, handle)
	}
	receiver.Wait()
	return failure
}

// tell calls who wants to know of a.
func (s *Subscriber) tell(a arrival, dropped int, handle func(Delivery)) {
	if dropped > 0 && s.cfg.Dropped != nil {
		s.cfg.Dropped(dropped)
	}
	switch {
	case a.delivery != nil:
		handle(*a.delivery)
	case a.bound != nil && s.cfg.Bound != nil:
		s.cfg.Bound(a.bound.broker, a.bound.since)
	case a.lost != nil && s.cfg.Lost != nil:
		s.cfg.Lost(a.lost.err, a.lost.since)
	}
}

// receive fills the inbox, through one connection after the other.
func (s *Subscriber) receive(ctx context.Context) error {
	order := shuffled(s.brokers)
	var out outage
	for i, failed, ever := 0, 0, false; ; i++ {
		b := order[i%len(order)]
		bound, good, err := s.serve(ctx, b, &out)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ended as told
		}
		ever = ever || bound
		if good {
			failed = 0
		} else {
			failed++
		}
		if !ever && failed >= len(order) {
			return err
		}
		if ever {
			out.report(s.inbox, err)
		}
		if failed%len(order) == 0 && !sleep(ctx, backoff(failed/len(order))) {
			return nil
		}
	}
}

// serve makes one connection and receives through it until it or ctx ends. It reports whether it came to that, why it ended, and whether
// it was worth the while: what the broker refuses, or ends at once, it would refuse or end again.
func (s *Subscriber) serve(ctx context.Context, b broker, out *outage) (bound, good bool, err error) {
	f, err := s.connect(ctx, b)
	if err != nil {
		return false, false, s.explain(b, err, false)
	}
	s.inbox.put(arrival{bound: &binding{broker: b.addr, since: out.since}})
	*out = outage{}
	start := time.Now()

	stop := context.AfterFunc(ctx, f.closeSoon) // Frees a call of amqp091 that waits for an answer.
	received, err := f.read(ctx, s.inbox)
	stop()
	f.close(ctx.Err() != nil)

	held := time.Since(start) >= maxBackoff
	return true, !refusal(err) && (received || held), s.explain(b, err, true)
}

// An outage is a time without a queue; zero while there is none.
type outage struct {
	since time.Time
	told  time.Time
}

// report tells of the outage at first, and then once a minute.
func (o *outage) report(in *inbox, err error) {
	now := time.Now()
	if o.since.IsZero() {
		o.since = now
	} else if now.Sub(o.told) < waitingEvery {
		return
	}
	o.told = now
	in.put(arrival{lost: &loss{err: err, since: o.since}})
}

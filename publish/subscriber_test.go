package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

// A fakeFeed is a connection whose broker is the test.
type fakeFeed struct {
	*feed
	deliveries chan amqp.Delivery
	deleted    chan string
	closed     chan *amqp.Error
	bound      int        // How often it was bound again.
	failWith   chan error // Of the next bind.
	ended      bool
}

func newFakeFeed() *fakeFeed {
	f := &fakeFeed{deliveries: make(chan amqp.Delivery), deleted: make(chan string, 1), closed: make(chan *amqp.Error, 1), failWith: make(chan error, 1)}
	f.feed = &feed{
		deliveries: f.deliveries, deleted: f.deleted, closed: f.closed, closeSoon: func() {}, close: func(bool) { f.ended = true },
		bind: func() error {
			f.bound++
			select {
			case err := <-f.failWith:
				return err
			default:
				return nil
			}
		},
	}
	return f
}

// A subscriberTest is a Subscriber that runs in a synctest bubble, and what it told.
type subscriberTest struct {
	*Subscriber
	t      *testing.T
	handle func(Delivery)
	cancel context.CancelFunc
	wg     conc.WaitGroup
	err    error // Of Run, after over.

	mu     sync.Mutex
	feeds  []*fakeFeed
	dials  []time.Time
	refuse error // Of the next dials.
	told   []string
}

func testSubscriber(t *testing.T, urls []string, f func(*subscriberTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &subscriberTest{t: t}
		config := SubscriberConfig{
			Broker:   Config{URLs: urls, Exchange: "x"},
			Patterns: []string{"#"},
			Bound:    func(_ string, lost time.Time) { s.tell("bound after %v", ago(lost)) },
			Lost:     func(err error, since time.Time) { s.tell("lost %v: %v", ago(since), err) },
			Dropped:  func(n int) { s.tell("dropped %d", n) },
		}
		var err error
		if s.Subscriber, err = NewSubscriber(config); err != nil {
			t.Fatal(err)
		}
		s.handle = func(d Delivery) { s.tell("%s", d.Body) }
		s.connect = func(context.Context, broker) (*feed, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dials = append(s.dials, time.Now())
			if s.refuse != nil {
				return nil, s.refuse
			}
			f := newFakeFeed()
			s.feeds = append(s.feeds, f)
			return f.feed, nil
		}
		f(s)
	})
}

func ago(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Round(100 * time.Millisecond)
}

func (s *subscriberTest) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

// news returns what was told since the last call.
func (s *subscriberTest) news() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told
	s.told = nil
	return told
}

// dialsFail lets the next dials fail with err, nil for success.
func (s *subscriberTest) dialsFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

func (s *subscriberTest) last() *fakeFeed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feeds[len(s.feeds)-1]
}

func (s *subscriberTest) start() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.cancel = cancel
	s.wg.Go(func() { s.err = s.Run(ctx, func(d Delivery) { s.handle(d) }) })
	synctest.Wait()
}

func (s *subscriberTest) over() {
	s.cancel()
	s.wg.Wait()
}

func (s *subscriberTest) send(bodies ...string) {
	for _, body := range bodies {
		s.last().deliveries <- amqp.Delivery{Body: []byte(body)}
	}
	synctest.Wait()
}

func (s *subscriberTest) want(told ...string) {
	s.t.Helper()
	if diff := cmp.Diff(told, s.news()); diff != "" {
		s.t.Error("told -want +got:\n" + diff)
	}
}

var oneURL = []string{"amqp://u:s3cret@broker.example/"} //nolint:gochecknoglobals // a constant, if Go had such

func TestSubscriberReceives(t *testing.T) {
	testSubscriber(t, oneURL, func(s *subscriberTest) {
		s.start()
		s.last().deliveries <- amqp.Delivery{RoutingKey: "k", MessageId: "id", Body: []byte("a")}
		s.send("b")
		s.want("bound after 0s", "a", "b")
		s.over()
		if s.err != nil || !s.last().ended {
			t.Errorf("ended with %v, connection closed: %v", s.err, s.last().ended)
		}
	})
}

// At first it tries each broker once.
func TestSubscriberGivesUpAtFirst(t *testing.T) {
	testSubscriber(t, []string{"amqp://a", "amqp://u:s3cret@b"}, func(s *subscriberTest) {
		s.dialsFail(errDown)
		s.start()
		s.wg.Wait()
		if _, ok := errors.AsType[*BrokerError](s.err); !ok || !errors.Is(s.err, errDown) || strings.Contains(s.err.Error(), "s3cret") {
			t.Errorf("ended with %v", s.err)
		}
		if len(s.dials) != 2 {
			t.Errorf("%d dials, want 2", len(s.dials))
		}
		s.want()
	})
}

// Once it has been connected it waits, and tells since when.
func TestSubscriberWaitsForTheBroker(t *testing.T) {
	testSubscriber(t, oneURL, func(s *subscriberTest) {
		s.start()
		s.send("a")
		s.dialsFail(errDown)
		s.last().closed <- &amqp.Error{Code: amqp.ConnectionForced, Reason: "CONNECTION_FORCED - bye", Server: true}
		s.want("bound after 0s", "a", "lost 0s: broker amqp://broker.example:5672/: CONNECTION_FORCED - bye (320)")
		time.Sleep(3*time.Minute - time.Second)
		told := s.news()
		if len(told) != 2 || !strings.HasPrefix(told[1], "lost 2m") || !strings.HasSuffix(told[1], "connection refused") {
			t.Errorf("in 3 minutes it told %q", told)
		}
		for i := 2; i < len(s.dials); i++ {
			if d := s.dials[i].Sub(s.dials[i-1]); d < minBackoff || d > maxBackoff {
				t.Errorf("waited %v before dial %d", d, i)
			}
		}
		s.dialsFail(nil)
		time.Sleep(maxBackoff)
		synctest.Wait()
		s.send("b")
		if told := s.news(); len(told) != 2 || !strings.HasPrefix(told[0], "bound after ") || told[1] != "b" {
			t.Errorf("told %q", told)
		}
		s.over()
		if s.err != nil {
			t.Error(s.err)
		}
	})
}

// The end of the queue alone is noticed, and so is that of the exchange.
func TestSubscriberLosesItsQueue(t *testing.T) {
	const addr = "lost 0s: broker amqp://broker.example:5672/: "
	noExchange := &amqp.Error{Code: amqp.NotFound, Reason: "NOT_FOUND - no exchange 'x' in vhost '/'", Server: true}
	for name, test := range map[string]struct {
		end  func(*fakeFeed)
		want string
	}{
		"queue deleted": {func(f *fakeFeed) {
			f.deleted <- AppID
			close(f.deliveries)
		}, addr + "the temporary queue was deleted"},
		"channel closed": {func(f *fakeFeed) {
			close(f.deliveries)
			f.closed <- &amqp.Error{Code: amqp.FrameError, Reason: "EOF"}
		}, addr + "EOF"},
		"without a word": {func(f *fakeFeed) { close(f.deliveries) }, addr + "channel/connection is not open"},
		"exchange gone": {
			func(f *fakeFeed) { f.failWith <- noExchange },
			addr + "NOT_FOUND - no exchange 'x' in vhost '/' (404): a collector declares it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testSubscriber(t, oneURL, func(s *subscriberTest) {
				s.start()
				test.end(s.last())
				time.Sleep(rebindEvery + maxBackoff)
				if told := s.news(); len(told) != 3 || !strings.HasPrefix(told[1], test.want) || !strings.HasPrefix(told[2], "bound after ") {
					t.Errorf("told %q, want %q", told, test.want)
				}
				if !s.feeds[0].ended {
					t.Error("the connection was left open")
				}
				s.over()
			})
		})
	}
}

func TestSubscriberBindsAgain(t *testing.T) {
	testSubscriber(t, oneURL, func(s *subscriberTest) {
		s.start()
		time.Sleep(10*rebindEvery + time.Second)
		s.over()
		if got := s.last().bound; got != 10 || len(s.feeds) != 1 {
			t.Errorf("bound %d times, %d connections", got, len(s.feeds))
		}
	})
}

// A broker that ends each connection is tried at the pace of one that is away.
func TestSubscriberDoesNotHammer(t *testing.T) {
	testSubscriber(t, oneURL, func(s *subscriberTest) {
		connect := s.connect
		s.connect = func(ctx context.Context, b broker) (*feed, error) {
			f, err := connect(ctx, b)
			s.last().closed <- &amqp.Error{Code: amqp.AccessRefused, Reason: "ACCESS_REFUSED", Server: true}
			return f, err
		}
		s.start()
		time.Sleep(10 * time.Minute)
		s.over()
		if got := len(s.dials); got < 120 || got > 1000 {
			t.Errorf("%d connections in 10 minutes", got)
		}
	})
}

// Slow handling costs the oldest messages, and says so; it does not hold up the connection.
func TestSubscriberDrops(t *testing.T) {
	testSubscriber(t, oneURL, func(s *subscriberTest) {
		s.inbox = newInbox(3, 1000)
		hold := make(chan struct{})
		s.handle = func(d Delivery) {
			s.tell("%s", d.Body)
			<-hold
		}
		s.start()
		s.send("a")
		s.send("b", "c", "d", "e", "f")
		s.want("bound after 0s", "a")
		close(hold)
		s.want("dropped 2", "d", "e", "f")
		s.over()
	})
}

// After the end of its context nothing is handled any more.
func TestSubscriberEndsAtOnce(t *testing.T) {
	testSubscriber(t, oneURL, func(s *subscriberTest) {
		s.handle = func(d Delivery) {
			s.tell("%s", d.Body)
			time.Sleep(time.Second)
			s.cancel()
		}
		s.start()
		s.send("a", "b", "c")
		s.wg.Wait()
		s.want("bound after 0s", "a")
	})
}

func TestNewSubscriberRejects(t *testing.T) {
	good := Config{URLs: oneURL, Exchange: "x"}
	for name, test := range map[string]struct {
		cfg  SubscriberConfig
		want string
	}{
		"no broker":    {SubscriberConfig{Broker: Config{Exchange: "x"}, Patterns: []string{"#"}}, "no broker URL"},
		"no pattern":   {SubscriberConfig{Broker: good}, "no pattern"},
		"long pattern": {SubscriberConfig{Broker: good, Patterns: []string{strings.Repeat("x", 256)}}, "256 bytes"},
	} {
		if _, err := NewSubscriber(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestSubscriberExplains(t *testing.T) {
	s, err := NewSubscriber(SubscriberConfig{Broker: Config{URLs: []string{"amqp://u:s3cret@h/a%20b"}, Exchange: "fleet.x"}, Patterns: []string{"#"}})
	if err != nil {
		t.Fatal(err)
	}
	const grant = `rabbitmqctl set_permissions -p 'a b' USER '^amq\.gen-' '^amq\.gen-' '^(fleet\.x$|amq\.gen-)'`
	for name, test := range map[string]struct {
		err       error
		want      string
		forbidden bool
	}{
		"may not declare":  {&amqp.Error{Code: 403, Reason: "ACCESS_REFUSED - configure access to queue 'amq.gen-x' in vhost '/' refused for user 'u'", Server: true}, grant, true},
		"may not read":     {&amqp.Error{Code: 403, Reason: "ACCESS_REFUSED - access to exchange 'fleet.x' in vhost '/' refused for user 'u'", Server: true}, grant, true},
		"not in the vhost": {&amqp.Error{Code: 530, Reason: "NOT_ALLOWED - access to vhost '/' refused for user 'u'", Server: true}, grant, true},
		"wrong password":   {&amqp.Error{Code: 403, Reason: "ACCESS_REFUSED - Login was refused", Server: true}, "check user and password", false},
		"no such vhost":    {&amqp.Error{Code: 530, Reason: "NOT_ALLOWED - vhost x not found", Server: true}, "add_vhost", false},
		"no exchange":      {&amqp.Error{Code: 404, Reason: "NOT_FOUND - no exchange 'fleet.x' in vhost '/'", Server: true}, "a collector declares it", false},
		"no broker":        {errDown, "connection refused", false},
	} {
		e := s.explain(s.brokers[0], test.err, false)
		if !strings.Contains(e.Error(), test.want) || e.Forbidden() != test.forbidden {
			t.Errorf("%s: forbidden %v, %v\nwant %q", name, e.Forbidden(), e, test.want)
		}
	}
}

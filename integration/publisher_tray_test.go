//go:build integration

package integration

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"

	"service_manager/integration/proxy"
	"service_manager/publish"
)

// patience bounds what must happen; reaching it is a failure.
const patience = 60 * time.Second

// brokerURL returns the URL of the stack's broker for an account that may declare and delete.
func brokerURL(tb testing.TB) string {
	tb.Helper()
	return stack.url("admin")
}

// through returns the broker's URL with the proxy's address in it, and the proxy.
func through(tb testing.TB) (string, *proxy.Proxy) {
	tb.Helper()
	u, err := url.Parse(brokerURL(tb))
	if err != nil {
		tb.Fatal(err)
	}
	p, err := proxy.Listen(u.Host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	u.Host = p.Addr()
	return u.String(), p
}

// A desk is a test's own connection to the broker, with an exchange of its own.
type desk struct {
	ch       *amqp.Channel
	exchange string
}

func newDesk(tb testing.TB) desk {
	tb.Helper()
	conn, err := amqp.Dial(brokerURL(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		tb.Fatal(err)
	}
	d := desk{ch: ch, exchange: "test." + uuid.NewString()}
	tb.Cleanup(func() { _ = ch.ExchangeDelete(d.exchange, false, false) })
	d.declare(tb)
	return d
}

func (d desk) declare(tb testing.TB) {
	tb.Helper()
	if err := d.ch.ExchangeDeclare(d.exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		tb.Fatal(err)
	}
}

// bind returns a new queue that gets what matches key.
func (d desk) bind(tb testing.TB, key string, args amqp.Table) string {
	tb.Helper()
	q, err := d.ch.QueueDeclare("", false, true, true, false, args)
	if err != nil {
		tb.Fatal(err)
	}
	if err := d.ch.QueueBind(q.Name, key, d.exchange, false, nil); err != nil {
		tb.Fatal(err)
	}
	return q.Name
}

// drain returns how often each message id is in the queue, and the last message.
func (d desk) drain(tb testing.TB, queue string) (map[string]int, amqp.Delivery) {
	tb.Helper()
	q, err := d.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		tb.Fatal(err)
	}
	deliveries, err := d.ch.Consume(queue, "drain", true, false, false, false, nil)
	if err != nil {
		tb.Fatal(err)
	}
	got := map[string]int{}
	var last amqp.Delivery
	for range q.Messages {
		last = <-deliveries
		got[last.MessageId]++
	}
	if err := d.ch.Cancel("drain", false); err != nil {
		tb.Fatal(err)
	}
	last.ConsumerTag = ""
	return got, last
}

// A tray is a source that keeps messages until they are confirmed, unroutable or invalid.
type tray struct {
	t     testing.TB
	ready chan struct{}

	mu      sync.Mutex
	waiting []publish.Message
	taken   map[string]bool
	fates   map[string][]publish.Fate
	changed chan struct{} // Closed at every Settle.
	once    bool          // Also Lost and Refused are final.
}

func newTray(tb testing.TB) *tray {
	tb.Helper()
	return &tray{
		t: tb, ready: make(chan struct{}, 1), changed: make(chan struct{}),
		taken: map[string]bool{}, fates: map[string][]publish.Fate{},
	}
}

func (s *tray) put(mm ...publish.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, mm...)
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *tray) Ready() <-chan struct{} { return s.ready }

func (s *tray) Take() (publish.Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return publish.Message{}, false
	}
	m := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.taken[m.ID] = true
	return m, true
}

func (s *tray) Settle(m publish.Message, f publish.Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.taken[m.ID] {
		s.t.Errorf("message %s settled as %v without having been taken", m.ID, f)
	}
	s.taken[m.ID] = false
	s.fates[m.ID] = append(s.fates[m.ID], f)
	if !s.once && (f == publish.Lost || f == publish.Refused) {
		s.waiting = append(s.waiting, m)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// counts returns how often each fate has been told.
func (s *tray) counts() map[publish.Fate]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[publish.Fate]int{}
	for _, fates := range s.fates {
		for _, f := range fates {
			n[f]++
		}
	}
	return n
}

// await waits until cond is true of the counts.
func (s *tray) await(what string, cond func(map[publish.Fate]int) bool) {
	s.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if cond(s.counts()) {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			s.t.Fatalf("no %s within %v, fates so far: %v", what, patience, s.counts())
		}
	}
}

func (s *tray) awaitConfirmed(n int) {
	s.t.Helper()
	s.await(fmt.Sprint(n, " confirms"), func(c map[publish.Fate]int) bool { return c[publish.Confirmed] >= n })
}

// start runs a publisher and returns it with a function that ends it.
func start(tb testing.TB, cfg publish.Config, src publish.Source) (*publish.Publisher, func()) {
	tb.Helper()
	p, err := publish.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg conc.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx, src); err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	stop := func() { cancel(); wg.Wait() }
	tb.Cleanup(stop)
	return p, stop
}

// messages returns n valid messages with the given key.
func messages(tb testing.TB, n int, host string, padding int) []publish.Message {
	tb.Helper()
	mm := make([]publish.Message, 0, n)
	for range n {
		text := strings.Repeat("x", padding)
		m, err := publish.Status{
			ID: uuid.NewString(), Collector: "test", Epoch: "e", Outcome: "ok",
			Host: publish.HostRef{Name: host, Group: "web"}, Time: publish.Time{Time: time.Now()},
			Error: &text,
		}.Message()
		if err != nil {
			tb.Fatal(err)
		}
		mm = append(mm, m)
	}
	return mm
}

// missing returns how many of mm are not in got.
func missing(mm []publish.Message, got map[string]int) int {
	n := 0
	for _, m := range mm {
		if got[m.ID] == 0 {
			n++
		}
	}
	return n
}

// within fails the test when f has not returned after patience.
func within(tb testing.TB, what string, f func()) {
	tb.Helper()
	done := make(chan struct{})
	var wg conc.WaitGroup
	wg.Go(func() { f(); close(done) })
	select {
	case <-done:
		wg.Wait()
	case <-time.After(patience):
		tb.Fatalf("waited %v for %s", patience, what)
	}
}

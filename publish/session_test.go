package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

// A fakeWire is a channel whose broker is the test.
type fakeWire struct {
	wire
	sent     []*fakeConfirm
	failWith error // Of the next publishes.

	held        int   // Messages since the last hold.
	writes      []int // Messages in each write.
	failRelease error
	returns     chan amqp.Return
	blocked     chan amqp.Blocking
	closed      chan *amqp.Error
}

type fakeConfirm struct {
	Message
	done chan struct{}
	ack  bool
}

func (c *fakeConfirm) Done() <-chan struct{} { return c.done }

func (c *fakeConfirm) Acked() bool {
	select {
	case <-c.done:
		return c.ack
	default:
		return false
	}
}

func (c *fakeConfirm) resolve(ack bool) {
	c.ack = ack
	close(c.done)
}

func newFakeWire() *fakeWire {
	f := &fakeWire{returns: make(chan amqp.Return, 10), blocked: make(chan amqp.Blocking, 10), closed: make(chan *amqp.Error, 1)}
	f.wire = wire{returns: f.returns, blocked: f.blocked, closed: f.closed, publish: func(m Message) (confirmation, error) {
		if f.failWith != nil {
			return nil, f.failWith
		}
		c := &fakeConfirm{Message: m, done: make(chan struct{})}
		f.sent = append(f.sent, c)
		f.held++
		return c, nil
	}}
	f.hold = func() { f.held = 0 }
	f.release = func() error {
		if f.held > 0 {
			f.writes = append(f.writes, f.held)
		}
		return f.failRelease
	}
	return f
}

// end resolves what is open as amqp091 does when the channel ends: the reason first.
func (f *fakeWire) end(why *amqp.Error) {
	f.closed <- why
	for _, c := range f.sent {
		select {
		case <-c.done:
		default:
			c.resolve(false)
		}
	}
}

// A sessionTest is a session that runs against a fake wire in a synctest bubble.
type sessionTest struct {
	t      *testing.T
	f      *fakeWire
	src    *pile
	p      *Publisher
	cancel context.CancelFunc
	wg     conc.WaitGroup
	err    error // Of run, after over.
}

func testSession(t *testing.T, cfg Config, f func(*sessionTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.URLs, cfg.Exchange = []string{"amqp://u:p@broker.example/"}, "x"
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		st := &sessionTest{t: t, f: newFakeWire(), src: newPile(), p: p, cancel: cancel}
		s := newSession(p, st.src, st.f.wire)
		st.wg.Go(func() {
			st.err = s.run(ctx)
			s.abandon(ctx, st.err)
		})
		synctest.Wait()
		f(st)
		cancel()
		st.wg.Wait()
	})
}

func (st *sessionTest) put(hosts ...string) {
	st.src.put(hosts...)
	synctest.Wait()
}

func (st *sessionTest) resolve(i int, ack bool) {
	st.f.sent[i].resolve(ack)
	st.look()
}

// look waits until the session has looked at all confirms.
func (st *sessionTest) look() {
	time.Sleep(lookEvery)
	synctest.Wait()
}

// opened gets the first message confirmed, so that the window opens.
func (st *sessionTest) opened() {
	st.t.Helper()
	st.put("first")
	st.resolve(0, true)
	st.told("first confirmed")
}

func (st *sessionTest) told(want ...string) {
	st.t.Helper()
	if diff := cmp.Diff(want, st.src.told()); diff != "" {
		st.t.Error("fates -want +got:\n" + diff)
	}
}

func (st *sessionTest) inFlight(want int) {
	st.t.Helper()
	if got := st.p.Stats().InFlight; got != want {
		st.t.Errorf("%d in flight, want %d", got, want)
	}
}

// over waits for the end of run.
func (st *sessionTest) over() error {
	st.wg.Wait()
	return st.err
}

func hosts(n int) []string {
	hh := make([]string, 0, n)
	for i := range n {
		hh = append(hh, fmt.Sprint("h", i))
	}
	return hh
}

func TestSessionFirstMessageGoesAlone(t *testing.T) {
	testSession(t, Config{Window: 3}, func(st *sessionTest) {
		st.put(hosts(9)...)
		st.inFlight(1)
		st.resolve(0, true)
		st.told("h0 confirmed")
		st.inFlight(3)
		st.resolve(2, true) // Not the oldest.
		st.told("h2 confirmed")
		st.inFlight(3)
		st.resolve(1, true)
		st.told("h1 confirmed")
		st.inFlight(3)
		if len(st.f.sent) != 6 {
			st.t.Errorf("sent %d, want 6", len(st.f.sent))
		}
	})
}

func TestSessionWindowBytes(t *testing.T) {
	testSession(t, Config{MaxBody: windowBytes}, func(st *sessionTest) {
		st.opened()
		for _, h := range hosts(4) {
			m := message(h)
			m.Body = make([]byte, windowBytes/2)
			st.src.putMessages(m)
		}
		synctest.Wait()
		st.inFlight(2)
	})
}

func TestSessionReturns(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.put("a", "b", "c")
		st.f.returns <- amqp.Return{MessageId: "id-c"}
		st.f.returns <- amqp.Return{MessageId: "id-b"}
		st.resolve(3, true)
		st.resolve(2, true)
		st.resolve(1, true)
		st.told("c unroutable", "b unroutable", "a confirmed")
		st.put("b") // The same again, now routed.
		st.resolve(4, true)
		st.told("b confirmed")
	})
}

func TestSessionRefused(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.put("a")
		st.resolve(0, false)
		st.told("a refused")
		st.put("b")
		st.resolve(1, true)
		st.told("b confirmed")
		if got := st.p.Stats(); got.Nacked != 1 || got.Confirmed != 1 || got.Published != 2 {
			st.t.Errorf("stats: %+v", got)
		}
	})
}

// TestSessionConfirmTimeout has a broker that answers nothing any more.
func TestSessionConfirmTimeout(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		start := time.Now()
		st.put("a")
		time.Sleep(20 * time.Second)
		st.put("b", "c")
		err := st.over()
		if err == nil || !strings.Contains(err.Error(), "no confirm within 30s of 3 messages in flight, the oldest with the key status.web.a:") {
			st.t.Errorf("got %v", err)
		}
		if d := time.Since(start); d < 30*time.Second || d > 30*time.Second+lookEvery {
			st.t.Errorf("ended after %v", d)
		}
		st.told("a lost", "b lost", "c lost")
	})
}

// TestSessionStuckQueue has one queue that withholds its confirms.
func TestSessionStuckQueue(t *testing.T) {
	testSession(t, Config{Window: 8}, func(st *sessionTest) {
		st.opened()
		st.put("stuck")
		for i := range 29 { // The others are confirmed all the time.
			st.put(fmt.Sprint("h", i))
			st.resolve(2+i, true)
			st.told(fmt.Sprintf("h%d confirmed", i))
			time.Sleep(time.Second - lookEvery)
		}
		time.Sleep(time.Second)
		st.look()
		st.told("stuck refused")
		st.inFlight(0)

		st.put("stuck", "other") // It stands back, but is tried.
		if got := st.f.sent[len(st.f.sent)-2].Host + " " + st.f.sent[len(st.f.sent)-1].Host; got != "other stuck" {
			st.t.Errorf("sent %s", got)
		}
		st.put("stuck", "stuck", "stuck") // But a quarter of the window.
		st.inFlight(3)
		st.f.sent[len(st.f.sent)-3].resolve(true)
		st.look()
		st.told("other confirmed")
		st.inFlight(2)
		sent := len(st.f.sent)
		st.resolve(sent-2, true)
		st.resolve(sent-1, true)
		st.told("stuck confirmed", "stuck confirmed")
		st.inFlight(2) // The rest.
	})
}

// sent returns the hosts of the messages sent since the first n.
func (st *sessionTest) sent(n int) string {
	var sent []string
	for _, c := range st.f.sent[n:] {
		sent = append(sent, c.Host)
	}
	return strings.Join(sent, " ")
}

// TestSessionSuspect has a message under suspicion, which stands back: for what else there is, and until what is in flight has passed.
func TestSessionSuspect(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.p.suspects.charges[message("suspect").Key] = charge{}
		expect := func(want string) {
			st.t.Helper()
			if got := st.sent(1); got != want {
				st.t.Errorf("sent %q, want %q", got, want)
			}
		}
		st.put("stuck", "suspect", "a")
		expect("stuck a")
		st.resolve(2, true) // The broker deals with them in turn: it has let pass the stuck one.
		expect("stuck a suspect")
		st.put("b")
		expect("stuck a suspect")
		st.resolve(3, true)
		expect("stuck a suspect b")
	})
}

// TestSessionSuspectHasItsTurn never lets the source run empty.
func TestSessionSuspectHasItsTurn(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.p.suspects.charges[message("suspect").Key] = charge{}
		st.put("suspect", "h")
		for i := 0; i < 1000 && !strings.Contains(st.sent(1), "suspect"); i++ { // One is always in flight.
			st.put("h")
			st.f.sent[i+1].resolve(true)
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		if sent := st.sent(1); !strings.HasSuffix(sent, " suspect") {
			st.t.Errorf("sent %s", sent)
		}
	})
}

// TestSessionCrowded has a queue of many hosts that withholds its confirms: they leave room for others before their time.
func TestSessionCrowded(t *testing.T) {
	testSession(t, Config{Window: 4}, func(st *sessionTest) {
		st.opened()
		st.put("s0", "s1", "s2", "a", "b", "c")
		st.resolve(4, true)
		st.told("a confirmed")
		time.Sleep(6 * time.Second)
		st.look()
		st.told("s0 refused", "s1 refused", "s2 refused")
		st.resolve(5, true)
		st.resolve(6, true)
		st.told("b confirmed", "c confirmed")
	})
}

// TestSessionRenewed goes on for long on a connection on which a confirm was given up.
func TestSessionRenewed(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.put("stuck", "a")
		st.resolve(2, true)
		time.Sleep(31 * time.Second)
		st.look()
		st.told("a confirmed", "stuck refused")
		for range renewAfter / 1000 {
			st.put(hosts(1000)...)
			for _, c := range st.f.sent[len(st.f.sent)-1000:] {
				c.resolve(true)
			}
			st.look()
		}
		if got := len(st.src.told()); got != renewAfter {
			st.t.Errorf("%d confirmed", got)
		}
		st.put("more")
		st.look()
		if err := st.over(); !errors.Is(err, errRenew) {
			st.t.Errorf("got %v", err)
		}
		st.told("more lost")
	})
}

// TestSessionStuckFirst has the first message of a session withheld, on which the others wait.
func TestSessionStuckFirst(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.put("stuck", "a", "b", "c")
		st.inFlight(1)
		time.Sleep(probeEvery)
		st.look()
		st.inFlight(2)
		st.resolve(1, true)
		st.told("a confirmed")
		st.inFlight(3)
	})
}

func TestSessionBlocked(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.put("a")
		time.Sleep(29 * time.Second)
		synctest.Wait()
		st.f.blocked <- amqp.Blocking{Active: true, Reason: "low on memory"}
		st.put("b")
		time.Sleep(time.Hour) // No confirm, no timeout.
		st.inFlight(1)
		if got := st.p.Stats(); !got.Blocked || got.Blocks != 1 {
			st.t.Errorf("stats: %+v", got)
		}
		st.f.blocked <- amqp.Blocking{Active: false}
		synctest.Wait()
		st.inFlight(2)
		time.Sleep(29 * time.Second) // The time for a starts anew.
		synctest.Wait()
		st.told()
		st.resolve(1, true)
		st.resolve(2, true)
		st.told("a confirmed", "b confirmed")
		if st.p.Stats().Blocked {
			st.t.Error("still blocked")
		}
	})
}

func TestSessionConnectionEnds(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.put("a", "b", "c")
		st.f.sent[2].resolve(true) // b
		why := &amqp.Error{Code: amqp.ConnectionForced, Reason: "CONNECTION_FORCED", Server: true}
		st.f.end(why)
		if err := st.over(); !errors.Is(err, why) {
			st.t.Errorf("got %v", err)
		}
		st.told("b confirmed", "a lost", "c lost")
		st.inFlight(0)
	})
}

// TestSessionEndIsNoRefusal settles a message whose confirmation the end of the channel has resolved before run has seen that end.
func TestSessionEndIsNoRefusal(t *testing.T) {
	p, err := New(Config{URLs: []string{"amqp://h/"}, Exchange: "x"})
	if err != nil {
		t.Fatal(err)
	}
	f, src := newFakeWire(), newPile("a")
	s := newSession(p, src, f.wire)
	s.send(t.Context())
	f.end(&amqp.Error{Code: amqp.FrameError, Reason: "EOF"})
	s.settleHead(t.Context())
	s.abandon(t.Context(), s.err)
	if diff := cmp.Diff([]string{"a lost"}, src.told()); diff != "" || s.err == nil {
		t.Errorf("fates -want +got:\n%s\nsession's end: %v", diff, s.err)
	}
}

func TestSessionPublishFails(t *testing.T) {
	why := &amqp.Error{Code: amqp.NotFound, Reason: "NOT_FOUND - no exchange", Server: true}
	for name, tc := range map[string]struct {
		reason *amqp.Error // What the channel says a moment later.
		want   error
	}{
		"and the reason comes":    {why, why},
		"and the reason does not": {nil, amqp.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			testSession(t, Config{}, func(st *sessionTest) {
				st.opened()
				st.put("a")
				st.f.failWith = amqp.ErrClosed
				st.put("b", "c")
				if tc.reason != nil {
					st.f.end(tc.reason)
				}
				if err := st.over(); !errors.Is(err, tc.want) {
					st.t.Errorf("got %v, want %v", err, tc.want)
				}
				st.told("a lost", "b lost") // c was never taken.
				if _, ok := st.src.Take(); !ok {
					st.t.Error("c is gone")
				}
			})
		})
	}
}

func TestSessionInvalid(t *testing.T) {
	testSession(t, Config{MaxBody: 30}, func(st *sessionTest) {
		st.put(strings.Repeat("a", 50), "b")
		st.told(strings.Repeat("a", 50) + " invalid")
		st.resolve(0, true)
		st.told("b confirmed")
	})
}

func TestSessionContextEnds(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.put("a")
		st.cancel()
		if err := st.over(); err != nil {
			st.t.Error(err)
		}
		st.told("a lost")
	})
}

func TestWhatWaitsIsWrittenAtOnce(t *testing.T) {
	testSession(t, Config{Window: 100}, func(st *sessionTest) {
		st.opened()
		var hosts []string
		for i := range together + 10 {
			hosts = append(hosts, fmt.Sprintf("host-%d", i))
		}
		st.put(hosts...)
		if diff := cmp.Diff([]int{1, together, 10}, st.f.writes); diff != "" {
			t.Error("messages by write, -want +got:\n" + diff)
		}
		st.put("late")
		if diff := cmp.Diff([]int{1, together, 10, 1}, st.f.writes); diff != "" {
			t.Error("messages by write, -want +got:\n" + diff)
		}
	})
}

// A write that fails at last is the end, as one of a message is, and all that was in it is lost.
func TestWriteOfSeveralFails(t *testing.T) {
	testSession(t, Config{}, func(st *sessionTest) {
		st.opened()
		st.f.failRelease = errors.New("no route to host")
		st.put("a", "b")
		st.f.end(&amqp.Error{Code: 501, Reason: "no route to host"})
		if err := st.over(); err == nil || !strings.Contains(err.Error(), "no route to host") {
			t.Errorf("the session ended with %v", err)
		}
		st.told("a lost", "b lost")
	})
}

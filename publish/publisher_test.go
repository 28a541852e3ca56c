package publish

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

var errDown = errors.New("connection refused")

// newTestPublisher returns a Publisher that connects by connect, and what it logs.
func newTestPublisher(t *testing.T, cfg Config, connect func(context.Context, broker) (*link, error)) (*Publisher, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cfg.Exchange = "x"
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	if cfg.URLs == nil {
		cfg.URLs = []string{"amqp://user:s3cret@broker.example/"}
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.connect = connect
	return p, &log
}

func (f *fakeWire) link() *link {
	return &link{wire: f.wire, declare: func(Queue) error { return nil }, close: func(bool) {}, closeSoon: func() {}}
}

func TestNewRejects(t *testing.T) {
	good := []string{"amqp://u:s3cret@h/"}
	queue := func(q Queue) Config { return Config{URLs: good, Exchange: "x", Queues: []Queue{q}} }
	for name, tc := range map[string]struct {
		cfg  Config
		want string
	}{
		"no URL":             {Config{Exchange: "x"}, "no broker URL"},
		"no AMQP":            {Config{Exchange: "x", URLs: []string{"http://u:s3cret@h/"}}, "broker URL 1 of 1: not an AMQP URL"},
		"no URL at all":      {Config{Exchange: "x", URLs: []string{good[0], "amqp://u:s3cret%zz@h/"}}, "broker URL 2 of 2: not an AMQP URL"},
		"slash in password":  {Config{Exchange: "x", URLs: []string{"amqp://u:123/s3cret@h/"}}, "percent-encoded"},
		"hash in password":   {Config{Exchange: "x", URLs: []string{"amqp://u:123#s3cret@h/"}}, "percent-encoded"},
		"query in password":  {Config{Exchange: "x", URLs: []string{"amqp://u:123?s3cret@h/"}}, "percent-encoded"},
		"at in password":     {Config{Exchange: "x", URLs: []string{"amqp://u:12@s3cret@h/"}}, "percent-encoded"},
		"one slash":          {Config{Exchange: "x", URLs: []string{"amqp:/u:s3cret@h/"}}, "not an AMQP URL"},
		"no exchange":        {Config{URLs: good}, "no exchange"},
		"long exchange":      {Config{URLs: good, Exchange: strings.Repeat("x", 128)}, "127 bytes"},
		"declare":            {Config{URLs: good, Exchange: "x", Declare: "maybe"}, `declare = "maybe"`},
		"certificate only":   {Config{URLs: []string{"amqps://h/"}, Exchange: "x", CertFile: "c.pem"}, "both its cert_file and its key_file"},
		"CA without TLS":     {Config{URLs: good, Exchange: "x", CAFile: "ca.pem"}, "need an amqps:// URL"},
		"EXTERNAL, no TLS":   {Config{URLs: good, Exchange: "x", External: true}, "need an amqps:// URL"},
		"negative":           {Config{URLs: good, Exchange: "x", Window: -1}, "negative"},
		"too quick a beat":   {Config{URLs: good, Exchange: "x", Heartbeat: time.Millisecond}, "at least 1s"},
		"negative heartbeat": {Config{URLs: good, Exchange: "x", Heartbeat: -time.Second}, "at least 1s"},
		"nameless queue":     {queue(Queue{Type: QueueQuorum}), `queue "": a name`},
		"type of queue":      {queue(Queue{Name: "q", Type: "lazy"}), `its type is "lazy"`},
		"negative bound":     {queue(Queue{Name: "q", Type: QueueClassic, MaxAge: -1}), "must not be negative"},
		"messages of stream": {queue(Queue{Name: "q", Type: QueueStream, MaxMessages: 1}), "cannot be bounded by messages"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q and no password", err, tc.want)
			}
		})
	}
}

func TestParseBroker(t *testing.T) {
	for raw, want := range map[string]string{
		"amqp://":         "amqp://localhost:5672/",
		"amqp://h":        "amqp://h:5672/",
		"amqp://u:p@h:5/": "amqp://h:5/",
		"amqp://u%40d:p%40%2F@h/%2Fv?heartbeat=5":        "amqp://h:5672/%2Fv",
		"amqps://u@[::1]/fleet":                          "amqps://[::1]:5671/fleet",
		"amqps://h?cacertfile=/etc/ca.pem&certfile=c%40": "amqps://h:5671/",
	} {
		b, err := parseBroker(raw)
		if err != nil || b.addr != want {
			t.Errorf("%s: got %q, %v, want %q", raw, b.addr, err, want)
		}
	}
}

func FuzzParseBroker(f *testing.F) {
	f.Add("amqp://user:s3cret@host:5672/vhost")
	f.Add("amqp://u:1/s3cret@h")
	f.Fuzz(func(t *testing.T, raw string) {
		if b, err := parseBroker(raw); err == nil && strings.Contains(b.addr, "@") {
			t.Errorf("%q is shown as %q", raw, b.addr)
		}
	})
}

func TestRunGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := map[string]int{}
		var at []time.Time
		p, log := newTestPublisher(t, Config{Attempts: 3, URLs: []string{"amqp://a/", "amqp://u:s3cret@b/"}}, func(_ context.Context, b broker) (*link, error) {
			dials[b.addr]++
			at = append(at, time.Now())
			return nil, errDown
		})
		err := p.Run(t.Context(), newPile("h"))
		be, ok := errors.AsType[*BrokerError](err)
		if !ok || !errors.Is(err, errDown) || be.Broker == "" {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff(map[string]int{"amqp://a:5672/": 3, "amqp://b:5672/": 3}, dials); diff != "" {
			t.Error("dials -want +got:\n" + diff)
		}
		for round := range 3 {
			if a, b := at[2*round], at[2*round+1]; !a.Equal(b) || round > 0 && !a.After(at[2*round-1]) {
				t.Errorf("round %d is not after a pause, or has one in it: %v", round, at)
			}
		}
		if strings.Contains(log.String()+err.Error(), "s3cret") {
			t.Error("a password was shown")
		}
	})
}

func TestRunWaitsForTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Time
		p, log := newTestPublisher(t, Config{}, func(context.Context, broker) (*link, error) {
			dials = append(dials, time.Now())
			if len(dials) > 1 {
				return nil, errDown
			}
			f := newFakeWire()
			f.closed <- &amqp.Error{Code: amqp.FrameError, Reason: "EOF"}
			return f.link(), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := p.Run(ctx, newPile("h")); err != nil {
			t.Error(err)
		}
		for i := 1; i < len(dials); i++ {
			if d := dials[i].Sub(dials[i-1]); d < minBackoff || d > maxBackoff {
				t.Errorf("waited %v before dial %d", d, i)
			}
		}
		if got := len(dials); got < 120 || got > 1000 {
			t.Errorf("%d dials in 10 minutes", got)
		}
		if got := strings.Count(log.String(), "\n"); got < 10 || got > 11 { // That it cannot; then one a minute.
			t.Errorf("%d lines in the log:\n%s", got, log)
		}
	})
}

func TestRunReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wires []*fakeWire
		p, log := newTestPublisher(t, Config{Attempts: 1}, func(context.Context, broker) (*link, error) {
			wires = append(wires, newFakeWire())
			return wires[len(wires)-1].link(), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		src := newPile()
		var wg conc.WaitGroup
		wg.Go(func() {
			if err := p.Run(ctx, src); err != nil {
				t.Error(err)
			}
		})
		for i := range 5 {
			src.put("h")
			synctest.Wait()
			if got := p.Stats(); got.Broker != "amqp://broker.example:5672/" || got.Sessions != uint64(i+1) {
				t.Fatalf("stats: %+v", got)
			}
			wires[i].sent[0].resolve(true) // A good session, so that Attempts does not count it.
			synctest.Wait()
			wires[i].end(&amqp.Error{Code: amqp.FrameError, Reason: "EOF"})
			synctest.Wait()
			if got := p.Stats().Broker; got != "" {
				t.Errorf("connected to %s after the end", got)
			}
			time.Sleep(2 * minBackoff)
		}
		time.Sleep(heldFor) // The last session confirms nothing, but lasts.
		synctest.Wait()
		cancel()
		wg.Wait()
		lost := strings.Count(log.String(), "lost the broker")
		if connected := strings.Count(log.String(), "connected to the broker"); connected != 6 || lost != 5 {
			t.Errorf("connected %d, lost %d in the log:\n%s", connected, lost, log)
		}
	})
}

// TestRunDoesNotHammer shows that a broker that refuses each session is tried at the pace of one that is away, and that the log does not
// say each time that it is there.
func TestRunDoesNotHammer(t *testing.T) {
	for name, tc := range map[string]struct {
		confirms int // Of each session.
		last     string
	}{
		"the first message":  {0, ""},
		"the second message": {1, "lost the broker"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sessions, src := 0, newPile()
				p, log := newTestPublisher(t, Config{}, func(context.Context, broker) (*link, error) {
					sessions++
					f := newFakeWire()
					publish := f.publish
					f.publish = func(m Message) (confirmation, error) {
						c, err := publish(m)
						if len(f.sent) <= tc.confirms {
							f.sent[len(f.sent)-1].resolve(true)
						} else {
							f.closed <- &amqp.Error{Code: amqp.AccessRefused, Reason: "ACCESS_REFUSED - write access to exchange 'x'", Server: true}
						}
						return c, err
					}
					src.put("a", "b")
					return f.link(), nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				if err := p.Run(ctx, src); err != nil {
					t.Error(err)
				}
				if sessions < 120 || sessions > 1000 {
					t.Errorf("%d sessions in 10 minutes", sessions)
				}
				if lines := strings.Count(log.String(), "\n"); lines > 13 {
					t.Errorf("%d lines in the log:\n%s", lines, log)
				}
				for _, text := range []string{"cannot publish to the broker, trying again", tc.last} {
					if strings.Count(log.String(), text) != 1 && text != "" {
						t.Errorf("not once %q in the log:\n%s", text, log)
					}
				}
			})
		})
	}
}

// TestDialFails is about sockets, so it runs in real time.
func TestDialFails(t *testing.T) {
	var lc net.ListenConfig
	hangsUp, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg conc.WaitGroup
	wg.Go(func() {
		for {
			conn, err := hangsUp.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	})
	defer wg.Wait()
	defer func() { _ = hangsUp.Close() }()
	for name, tc := range map[string]struct {
		url, ca, want string
	}{
		"nothing listens":      {"amqp://u:s3cret@127.0.0.1:1", "", "connection refused: is RabbitMQ running there"},
		"no broker":            {"amqp://u:s3cret@" + hangsUp.Addr().String(), "", "is this RabbitMQ's AMQP port"},
		"no CA file":           {"amqps://" + hangsUp.Addr().String(), "missing.pem", "reading the broker's CA certificate: open missing.pem"},
		"no certificate in it": {"amqps://" + hangsUp.Addr().String(), "publisher_test.go", "no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(Config{URLs: []string{tc.url}, Exchange: "x", CAFile: tc.ca, Attempts: 1})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Run(t.Context(), newPile())
			if _, ok := errors.AsType[*BrokerError](err); !ok || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestDialStopsWithItsContext connects to a listener that never answers.
func TestDialStopsWithItsContext(t *testing.T) {
	var lc net.ListenConfig
	silent, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	p, err := New(Config{URLs: []string{"amqp://" + silent.Addr().String()}, Exchange: "x"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg conc.WaitGroup
	wg.Go(func() {
		conn, err := silent.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Read(make([]byte, 8)) // The protocol header: the dial waits for an answer now.
		cancel()
	})
	if err := p.Run(ctx, newPile()); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

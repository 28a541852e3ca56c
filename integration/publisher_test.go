//go:build integration

package integration

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/integration/proxy"
	"service_manager/publish"
)

func TestPublisherConfirms(t *testing.T) {
	d := newDesk(t)
	q := d.bind(t, "status.web.*", nil)
	src := newTray(t)
	p, stop := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange, ConnectionName: "test"}, src)
	mm := messages(t, 2500, "web-01.example", 10)
	src.put(mm...)
	src.awaitConfirmed(len(mm))
	stop()

	got, last := d.drain(t, q)
	if len(got) != len(mm) || missing(mm, got) != 0 {
		t.Errorf("%d messages are in the queue and %d are missing, of %d", len(got), missing(mm, got), len(mm))
	}
	want := publish.Stats{Published: uint64(len(mm)), Confirmed: uint64(len(mm)), Sessions: 1}
	if diff := cmp.Diff(want, p.Stats()); diff != "" {
		t.Error("stats (-want +got):\n" + diff)
	}
	sent := mm[len(mm)-1]
	wantLast := amqp.Delivery{
		Headers: amqp.Table{
			"host": "web-01.example", "group": "web", "collector": "test", "outcome": "ok", "schema": int32(1),
			"x-stream-filter-value": "web-01.example",
		},
		ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: sent.ID, Type: "status", AppId: "service_manager",
		Timestamp: sent.Time.Truncate(time.Second), Exchange: d.exchange, RoutingKey: "status.web.web-01_example", Body: sent.Body,
	}
	last.Acknowledger, last.DeliveryTag = nil, 0
	if diff := cmp.Diff(wantLast, last); diff != "" {
		t.Error("as delivered (-want +got):\n" + diff)
	}
}

func TestPublisherSurvivesCuts(t *testing.T) {
	d := newDesk(t)
	q := d.bind(t, "#", nil)
	u, px := through(t)
	src := newTray(t)
	p, stop := start(t, publish.Config{URLs: []string{u}, Exchange: d.exchange}, src)
	mm := messages(t, 4000, "web-01", 500)
	const rounds = 4
	for i := range rounds {
		src.put(mm[i*1000 : (i+1)*1000]...)
		src.awaitConfirmed(i*1000 + 300)
		px.Cut()
	}
	src.awaitConfirmed(len(mm))
	stop()
	got, _ := d.drain(t, q)
	if n := missing(mm, got); n != 0 {
		t.Errorf("%d of %d confirmed messages are missing", n, len(mm))
	}
	st := p.Stats()
	if st.Sessions < 2 || st.Confirmed != uint64(len(mm)) || st.Published < st.Confirmed+st.Lost-rounds || st.InFlight != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestPublisherFrozenBroker(t *testing.T) {
	d := newDesk(t)
	q := d.bind(t, "#", nil)
	u, px := through(t)
	src := newTray(t)
	_, stop := start(t, publish.Config{URLs: []string{u}, Exchange: d.exchange, WriteTimeout: time.Second}, src)
	mm := messages(t, 61, "web-01", 500_000) // More than the buffers on the way take, less than a window.
	src.put(mm[0])
	src.awaitConfirmed(1)
	px.SetMode(proxy.Freeze)
	src.put(mm[1:]...)
	src.await("loss", func(c map[publish.Fate]int) bool { return c[publish.Lost] > 0 })
	px.SetMode(proxy.Forward)
	src.awaitConfirmed(len(mm))
	stop()
	got, _ := d.drain(t, q)
	if n := missing(mm, got); n != 0 {
		t.Errorf("%d of %d confirmed messages are missing", n, len(mm))
	}
}

func TestPublisherStopsWhileFrozen(t *testing.T) {
	d := newDesk(t)
	u, px := through(t)
	src := newTray(t)
	src.once = true
	_, stop := start(t, publish.Config{URLs: []string{u}, Exchange: d.exchange, WriteTimeout: time.Hour, ConfirmTimeout: time.Hour}, src)
	mm := messages(t, 61, "web-01", 500_000)
	src.put(mm[0])
	src.awaitConfirmed(1)
	px.SetMode(proxy.Freeze)
	src.put(mm[1:]...)
	within(t, "Run to return", stop)
	if c := src.counts(); c[publish.Confirmed] != 1 || c[publish.Lost] == 0 {
		t.Errorf("fates: %v", c)
	}
}

func TestPublisherBlackhole(t *testing.T) {
	d := newDesk(t)
	u, px := through(t)
	src := newTray(t)
	p, _ := start(t, publish.Config{URLs: []string{u}, Exchange: d.exchange, ConfirmTimeout: time.Second}, src)
	mm := messages(t, 20, "web-01", 100)
	src.put(mm[:10]...)
	src.awaitConfirmed(10)
	px.SetMode(proxy.Blackhole)
	src.put(mm[10:]...)
	src.await("loss", func(c map[publish.Fate]int) bool { return c[publish.Lost] >= 10 })
	px.SetMode(proxy.Forward)
	src.awaitConfirmed(20)
	if st := p.Stats(); st.Sessions < 2 {
		t.Errorf("stats: %+v", st)
	}
}

func TestPublisherExchangeDeleted(t *testing.T) {
	d := newDesk(t)
	src := newTray(t)
	p, _ := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange}, src)
	mm := messages(t, 200, "web-01", 100)
	src.put(mm[:100]...)
	src.awaitConfirmed(100)
	if err := d.ch.ExchangeDelete(d.exchange, false, false); err != nil {
		t.Fatal(err)
	}
	src.put(mm[100:]...)
	src.awaitConfirmed(200)
	if st := p.Stats(); st.Sessions < 2 || st.Lost == 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestPublisherUnroutable(t *testing.T) {
	d := newDesk(t)
	d.bind(t, "*.*.bound", nil)
	src := newTray(t)
	mm := messages(t, 3000, "bound", 100)
	for i := range mm {
		mm[i].Mandatory = i%2 == 0
		if i%3 == 0 {
			mm[i].Key = "status.web.nowhere"
		}
	}
	src.put(mm...)
	start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange}, src)
	src.await("all fates", func(c map[publish.Fate]int) bool { return c[publish.Confirmed]+c[publish.Unroutable] == len(mm) })
	wrong := 0
	for i, m := range mm {
		want := publish.Confirmed
		if i%6 == 0 {
			want = publish.Unroutable
		}
		if got := src.fates[m.ID]; len(got) != 1 || got[0] != want {
			wrong++
		}
	}
	if wrong != 0 {
		t.Errorf("%d of %d messages have a wrong fate", wrong, len(mm))
	}
}

func TestPublisherRefused(t *testing.T) {
	d := newDesk(t)
	d.bind(t, "#", amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
	src := newTray(t)
	src.once = true
	p, _ := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange}, src)
	src.put(messages(t, 50, "web-01", 100)...)
	src.await("all fates", func(c map[publish.Fate]int) bool { return c[publish.Confirmed]+c[publish.Refused] == 50 })
	if c := src.counts(); c[publish.Refused] < 40 || p.Stats().Sessions != 1 {
		t.Errorf("fates: %v, stats: %+v", c, p.Stats())
	}
}

func TestPublisherOversized(t *testing.T) {
	d := newDesk(t)
	src := newTray(t)
	mm := messages(t, 3, "web-01", 2<<20)
	mm[0], mm[2] = messages(t, 1, "web-01", 0)[0], messages(t, 1, "web-01", 0)[0]
	src.put(mm...)
	p, _ := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange}, src)
	src.awaitConfirmed(2)
	if c := src.counts(); c[publish.Invalid] != 1 || p.Stats().Sessions != 1 {
		t.Errorf("fates: %v, stats: %+v", c, p.Stats())
	}
}

func TestPublisherNextURL(t *testing.T) {
	d := newDesk(t)
	src := newTray(t)
	src.put(messages(t, 1, "web-01", 0)...)
	start(t, publish.Config{URLs: []string{"amqp://127.0.0.1:1/", brokerURL(t), "amqp://127.0.0.1:2/"}, Exchange: d.exchange, Attempts: 1}, src)
	src.awaitConfirmed(1)
}

func TestPublisherGivesUp(t *testing.T) {
	d := newDesk(t)
	if err := d.ch.ExchangeDeclare(d.exchange+".fanout", amqp.ExchangeFanout, false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.ch.ExchangeDelete(d.exchange+".fanout", false, false) })
	good, err := url.Parse(brokerURL(t))
	if err != nil {
		t.Fatal(err)
	}
	wrongPassword, noVhost := *good, *good
	wrongPassword.User = url.UserPassword(good.User.Username(), "s3cret-and-wrong")
	noVhost.Path = "/nowhere"
	for name, tc := range map[string]struct {
		cfg  publish.Config
		want string // In the error's text.
		code int    // Of the amqp.Error in it.
	}{
		"wrong password":         {publish.Config{URLs: []string{wrongPassword.String()}}, "check user and password", amqp.AccessRefused},
		"no vhost":               {publish.Config{URLs: []string{noVhost.String()}}, "add_vhost nowhere", amqp.NotAllowed},
		"passive and missing":    {publish.Config{Exchange: "missing", Declare: publish.DeclarePassive}, `set declare = "active"`, amqp.NotFound},
		"none and missing":       {publish.Config{Exchange: "missing", Declare: publish.DeclareNone}, `set declare = "active"`, amqp.NotFound},
		"another exchange there": {publish.Config{Exchange: d.exchange + ".fanout"}, "no durable topic exchange", amqp.PreconditionFailed},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tc.cfg
			if cfg.URLs == nil {
				cfg.URLs = []string{good.String()}
			}
			if cfg.Exchange == "" {
				cfg.Exchange = d.exchange
			}
			cfg.Attempts = 1
			p, err := publish.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			src := newTray(t)
			src.put(messages(t, 1, "web-01", 0)...)
			err = p.Run(ctx, src)
			t.Log(err)
			var be *publish.BrokerError
			var ae *amqp.Error
			if !errors.As(err, &be) || !errors.As(err, &ae) || ae.Code != tc.code || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v\nwant %q with code %d", err, tc.want, tc.code)
			}
			if strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), good.Host) {
				t.Errorf("credentials in, or no address: %v", err)
			}
		})
	}
}

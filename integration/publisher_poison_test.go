//go:build integration

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"service_manager/publish"
)

// TestPublisherTopicPermissions has messages that the broker refuses among many that it takes.
func TestPublisherTopicPermissions(t *testing.T) {
	d := newDesk(t)
	q := d.bind(t, "#", nil)
	const notPoison = `'^status\.(?!poison)'`
	stack.must(t, "broker", fmt.Sprintf("rabbitmqctl -q set_topic_permissions picky %s %s '^$'", d.exchange, notPoison))
	good, poison := messages(t, 600, "web-01", 100), messages(t, 3, "web-02", 100)
	all := slices.Clone(good)
	for i := range poison {
		poison[i].Key = fmt.Sprint("status.poison.web-0", i)
		all = slices.Insert(all, 150*(i+1), poison[i])
	}
	src := newTray(t)
	src.put(all...)
	p, stop := start(t, publish.Config{URLs: []string{stack.url("picky")}, Exchange: d.exchange}, src)
	src.await("fate of each message", func(c map[publish.Fate]int) bool { return c[publish.Confirmed]+c[publish.Rejected] == len(all) })
	stop()
	expectRejected(t, src, poison)
	if st := p.Stats(); st.Sessions > 7 {
		t.Errorf("more than two reconnects for each of 3 bad messages: %+v", st)
	}
	got, _ := d.drain(t, q)
	if n := missing(good, got); n != 0 || missing(poison, got) != len(poison) {
		t.Errorf("%d of %d good messages are missing, %d of the bad ones", n, len(good), missing(poison, got))
	}
}

func TestPublisherTooBigForTheBroker(t *testing.T) {
	d := newDesk(t)
	q := d.bind(t, "#", nil)
	good, big := messages(t, 100, "web-01", 100), messages(t, 1, "web-02", 17<<20) // RabbitMQ 4 takes 16 MiB.
	src := newTray(t)
	src.put(slices.Insert(slices.Clone(good), 50, big...)...)
	p, stop := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange, MaxBody: 20 << 20}, src)
	src.await("fate of each message", func(c map[publish.Fate]int) bool { return c[publish.Confirmed]+c[publish.Rejected] == 101 })
	stop()
	expectRejected(t, src, big)
	if st := p.Stats(); st.Sessions > 3 {
		t.Errorf("more than two reconnects for one bad message: %+v", st)
	}
	if got, _ := d.drain(t, q); missing(good, got) != 0 {
		t.Errorf("%d good messages are missing", missing(good, got))
	}
}

// expectRejected checks that no messages but these were rejected, each once.
func expectRejected(t *testing.T, src *tray, mm []publish.Message) {
	t.Helper()
	if n := src.counts()[publish.Rejected]; n != len(mm) {
		t.Errorf("%d messages were rejected, want %d", n, len(mm))
	}
	for _, m := range mm {
		if fates := src.fates[m.ID]; fates[len(fates)-1] != publish.Rejected {
			t.Errorf("%s: %v", m.Key, fates)
		}
	}
}

func TestPublisherExchangeDeletedPassive(t *testing.T) {
	d := newDesk(t)
	src := newTray(t)
	p, _ := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange, Declare: publish.DeclarePassive}, src)
	mm := messages(t, 200, "web-01", 100)
	src.put(mm[:100]...)
	src.awaitConfirmed(100)
	if err := d.ch.ExchangeDelete(d.exchange, false, false); err != nil {
		t.Fatal(err)
	}
	src.put(mm[100:]...)
	src.await("loss", func(c map[publish.Fate]int) bool { return c[publish.Lost] > 0 })
	time.Sleep(2 * time.Second)
	if st := p.Stats(); st.Confirmed != 100 || st.Rejected != 0 || st.Broker != "" {
		t.Errorf("without the exchange: %+v", st)
	}
	d.declare(t)
	back := time.Now()
	src.awaitConfirmed(200)
	if took := time.Since(back); took > 10*time.Second {
		t.Errorf("%v until the messages were confirmed", took)
	}
}

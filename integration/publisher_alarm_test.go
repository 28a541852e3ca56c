//go:build integration

package integration

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"service_manager/integration/proxy"
	"service_manager/publish"
)

// TestPublisherAlarm has the broker run short of memory, then of disk: it takes no messages then, and says so.
func TestPublisherAlarm(t *testing.T) {
	for name, tc := range map[string]struct{ raise, clear string }{
		"memory": {"set_vm_memory_high_watermark absolute 1MB", "set_vm_memory_high_watermark 0.6"},
		"disk":   {"set_disk_free_limit 1000000GB", "set_disk_free_limit 50MB"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			q := d.bind(t, "#", nil)
			src := newTray(t)
			p, stop := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange, ConfirmTimeout: time.Second}, src)
			mm := messages(t, 2000, "web-01", 10_000)
			src.put(mm[:1000]...)
			src.awaitConfirmed(1000)

			stack.must(t, "broker", "rabbitmqctl -q "+tc.raise)
			clearAlarm := func() { stack.must(t, "broker", "rabbitmqctl -q "+tc.clear) }
			defer clearAlarm()
			src.put(mm[1000:]...)
			eventually(t, "to be told to pause", func() bool { return p.Stats().Blocked })
			time.Sleep(2 * time.Second) // Longer than a confirm may take.
			if st := p.Stats(); !st.Blocked || st.Sessions != 1 || st.Confirmed == uint64(len(mm)) {
				t.Errorf("in the alarm: %+v", st)
			}
			clearAlarm()
			src.awaitConfirmed(len(mm))
			stop()
			if st := p.Stats(); st.Blocked || st.Blocks == 0 || st.Sessions != 1 || st.Lost != 0 || st.Published != uint64(len(mm)) {
				t.Errorf("after the alarm: %+v", st)
			}
			if got, _ := d.drain(t, q); missing(mm, got) != 0 {
				t.Errorf("%d confirmed messages are missing", missing(mm, got))
			}
		})
	}
}

func TestPublisherCloseAllConnections(t *testing.T) {
	d := newDesk(t)
	q, err := d.ch.QueueDeclare("test."+uuid.NewString(), true, false, false, false, nil) // One that outlives this connection.
	if err != nil {
		t.Fatal(err)
	}
	if err := d.ch.QueueBind(q.Name, "#", d.exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	src := newTray(t)
	p, stop := start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange}, src)
	mm := messages(t, 6_000, "web-01", 500)
	src.put(mm[:3_000]...)
	src.awaitConfirmed(100)
	stack.must(t, "broker", "rabbitmqctl -q close_all_connections test")
	src.put(mm[3_000:]...)
	src.awaitConfirmed(len(mm))
	stop()

	again := newDesk(t)
	got, _ := again.drain(t, q.Name)
	for _, err := range []error{again.ch.ExchangeDelete(d.exchange, false, false), deleteQueue(again, q.Name)} {
		if err != nil {
			t.Error(err)
		}
	}
	if n := missing(mm, got); n != 0 {
		t.Errorf("%d of %d confirmed messages are missing", n, len(mm))
	}
	if st := p.Stats(); st.Sessions != 2 || st.Rejected != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func deleteQueue(d desk, name string) error {
	_, err := d.ch.QueueDelete(name, false, false, false)
	return err
}

// TestPublisherHeartbeat has the broker fall silent while there is nothing to publish.
func TestPublisherHeartbeat(t *testing.T) {
	d := newDesk(t)
	u, px := through(t)
	src := newTray(t)
	p, _ := start(t, publish.Config{URLs: []string{u}, Exchange: d.exchange, Heartbeat: 2 * time.Second}, src)
	src.put(messages(t, 1, "web-01", 0)...)
	src.awaitConfirmed(1)
	time.Sleep(5 * time.Second)
	if st := p.Stats(); st.Sessions != 1 {
		t.Errorf("an idle connection did not last: %+v", st)
	}
	px.SetMode(proxy.Blackhole)
	silent := time.Now()
	eventually(t, "the connection to be given up", func() bool { return p.Stats().Broker == "" })
	if took := time.Since(silent); took > 6*time.Second {
		t.Errorf("given up after %v", took)
	}
	px.SetMode(proxy.Forward)
	src.put(messages(t, 1, "web-01", 0)...)
	src.awaitConfirmed(2)
}

// eventually waits until cond is true.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %v for %s", patience, what)
		}
	}
}

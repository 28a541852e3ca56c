//go:build integration

package integration

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/publish"
)

// A logbook is a log that may be read while it is written.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// errors returns the lines of level ERROR.
func (l *logbook) errors() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, "level=ERROR") {
			found = append(found, line)
		}
	}
	return found
}

// TestPublisherQueues has queues of each type, and some that cannot be declared, over two connections.
func TestPublisherQueues(t *testing.T) {
	d := newDesk(t)
	id := uuid.NewString()
	name := func(s string) string { return "test." + s + "." + id }
	queues := []publish.Queue{
		{Name: "test.forbidden." + id, Type: publish.QueueQuorum, Bindings: []string{"#"}},
		{Name: name("other"), Type: publish.QueueQuorum, Bindings: []string{"#"}, MaxMessages: 5},
		{Name: name("quorum"), Type: publish.QueueQuorum, Bindings: []string{"status.web.*", "event.#"}, MaxMessages: 1000, MaxAge: 24 * time.Hour},
		{Name: name("classic"), Type: publish.QueueClassic, Bindings: []string{"status.db.*"}, MaxBytes: 1 << 30},
		{Name: name("stream"), Type: publish.QueueStream, Bindings: []string{"#"}, MaxBytes: 1 << 30, MaxAge: 24 * time.Hour},
	}
	for _, q := range queues {
		t.Cleanup(func() { _ = deleteQueue(d, q.Name) })
	}
	if _, err := d.ch.QueueDeclare(name("other"), true, false, false, false, amqp.Table{"x-queue-type": "classic"}); err != nil {
		t.Fatal(err)
	}
	var log logbook
	src := newTray(t)
	src.put(messages(t, 100, "web-01", 0)...) // The very first must find its queue.
	toStream := messages(t, 1, "web-01", 0)
	toStream[0].Key, toStream[0].Mandatory = "collector.test.x", true // Unroutable without the stream.
	src.put(toStream...)
	p, _ := start(t, publish.Config{
		URLs: []string{stack.url("picky")}, Exchange: d.exchange, Queues: queues, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}, src)
	src.awaitConfirmed(101)
	if got, _ := d.drain(t, name("quorum")); len(got) != 100 {
		t.Errorf("%d messages in the quorum queue, want 100", len(got))
	}
	for _, name := range []string{name("classic"), name("other")} {
		if q, err := d.ch.QueueDeclarePassive(name, true, false, false, false, nil); err != nil || q.Messages != 0 {
			t.Errorf("queue %s: %d messages, want none: %v", name, q.Messages, err)
		}
	}
	for name, args := range map[string]amqp.Table{ // Which must equal those that it has.
		name("quorum"): {"x-queue-type": "quorum", "x-max-length": 1000, "x-message-ttl": 86_400_000},
		name("stream"): {"x-queue-type": "stream", "x-max-length-bytes": 1 << 30, "x-max-age": "86400s"},
	} {
		if _, err := d.ch.QueueDeclare(name, true, false, false, false, args); err != nil {
			t.Error(err)
		}
	}
	errors := log.errors()
	if len(errors) != 2 || !strings.Contains(errors[0], "rabbitmqctl set_permissions") || !strings.Contains(errors[1], "rabbitmqctl delete_queue") {
		t.Errorf("logged: %s", errors)
	}

	// Once more: no queue is news.
	if err := d.ch.ExchangeDelete(d.exchange, false, false); err != nil {
		t.Fatal(err)
	}
	src.put(messages(t, 1, "web-01", 0)...)
	src.awaitConfirmed(102)
	if again := log.errors(); p.Stats().Sessions < 2 || len(again) != len(errors) {
		t.Errorf("logged after reconnects: %s", again)
	}
	if got, _ := d.drain(t, name("quorum")); len(got) != 1 {
		t.Errorf("%d messages in the quorum queue after its exchange was declared again, want 1", len(got))
	}
}

// TestPublisherQueuesPassive looks for queues with an account that may only write to the exchange.
func TestPublisherQueuesPassive(t *testing.T) {
	d := newDesk(t)
	there := "test.there." + uuid.NewString()
	if _, err := d.ch.QueueDeclare(there, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deleteQueue(d, there) })
	var log logbook
	src := newTray(t)
	src.put(messages(t, 10, "web-01", 0)...)
	start(t, publish.Config{
		URLs: []string{stack.url("collector")}, Exchange: "service_manager", Declare: publish.DeclarePassive, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Queues: []publish.Queue{{Name: "test.missing", Type: publish.QueueQuorum}, {Name: there, Type: publish.QueueQuorum}},
	}, src)
	src.awaitConfirmed(10)
	if errors := log.errors(); len(errors) != 1 || !strings.Contains(errors[0], "no queue 'test.missing'") || !strings.Contains(errors[0], `declare = \"active\"`) {
		t.Errorf("logged: %s", errors)
	}
}

// TestPublisherProperties sends an event and a message of the collector, and looks at them as a consumer does.
func TestPublisherProperties(t *testing.T) {
	d := newDesk(t)
	q := d.bind(t, "#", nil)
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	unit := "nginx.service"
	event, err := publish.Event{
		Collector: "test", Epoch: "e", Seq: 18, Event: publish.UnitFailed, Host: publish.HostRef{Name: "web-01.example", Group: "web"}, Unit: &unit,
		ObservedAt: publish.Time{Time: at}, After: &publish.EventState{Unit: &publish.UnitState{Name: unit, ActiveState: "failed"}},
	}.Message()
	if err != nil {
		t.Fatal(err)
	}
	notice, err := publish.Notice{ID: uuid.NewString(), Collector: "test", Epoch: "e", Time: publish.Time{Time: at}, Event: publish.CollectorHeartbeat}.Message()
	if err != nil {
		t.Fatal(err)
	}
	status := messages(t, 2, "web-01", 0)
	status[0].TTL, status[1].TTL = time.Hour, time.Millisecond
	expired, kept := status[1], []publish.Message{event, notice, status[0]}
	src := newTray(t)
	src.put(append(kept, expired)...)
	start(t, publish.Config{URLs: []string{brokerURL(t)}, Exchange: d.exchange}, src)
	src.awaitConfirmed(4)
	time.Sleep(50 * time.Millisecond)

	for _, want := range []struct {
		sent       publish.Message
		key        string
		expiration string
		headers    amqp.Table
	}{
		{event, "event.web.web-01_example", "", amqp.Table{
			"host": "web-01.example", "group": "web", "collector": "test", "outcome": "ok", "schema": int32(1),
			"event": "unit.failed", "unit": "nginx.service", "seq": int64(18), "x-stream-filter-value": "web-01.example",
		}},
		{notice, "collector.test.heartbeat", "", amqp.Table{"collector": "test", "event": "heartbeat", "schema": int32(1)}},
		{status[0], "status.web.web-01", "3600000", amqp.Table{
			"host": "web-01", "group": "web", "collector": "test", "outcome": "ok", "schema": int32(1), "x-stream-filter-value": "web-01",
		}},
	} {
		got, ok, err := d.ch.Get(q, true)
		if err != nil || !ok {
			t.Fatalf("no %s: %v", want.key, err)
		}
		got.Acknowledger, got.DeliveryTag, got.MessageCount = nil, 0, 0
		delivery := amqp.Delivery{
			Headers: want.headers, ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: want.sent.ID, Type: want.sent.Type,
			AppId: "service_manager", Expiration: want.expiration, Timestamp: want.sent.Time.Truncate(time.Second),
			Exchange: d.exchange, RoutingKey: want.key, Body: want.sent.Body,
		}
		if diff := cmp.Diff(delivery, got); diff != "" {
			t.Errorf("%s as delivered (-want +got):\n%s", want.key, diff)
		}
	}
	if _, ok, err := d.ch.Get(q, true); ok || err != nil {
		t.Errorf("the message with a TTL of a millisecond is there, or %v", err)
	}
}

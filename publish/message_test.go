package publish

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestRoutingKey(t *testing.T) {
	for _, tc := range []struct{ kind, group, host, want string }{
		{KindStatus, "web", "web-01", "status.web.web-01"},
		{KindEvent, "a.b", "web-01.example.net", "event.a_b.web-01_example_net"},
		{KindCollector, "fleet-a", "heartbeat", "collector.fleet-a.heartbeat"},
	} {
		if got := RoutingKey(tc.kind, tc.group, tc.host); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func FuzzRoutingKey(f *testing.F) {
	f.Add("web", "web-01.example.net")
	f.Add("", ".")
	f.Fuzz(func(t *testing.T, group, host string) {
		if key := RoutingKey(KindStatus, group, host); strings.Count(key, ".") != 2 {
			t.Errorf("%q is not of three words", key)
		}
	})
}

func TestMessageValidate(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, tc := range map[string]struct {
		change  func(*Message)
		maxBody int
		want    string
	}{
		"long key":       {func(m *Message) { m.Key = long }, 0, "256 bytes, AMQP allows 255"},
		"no key":         {func(m *Message) { m.Key = "" }, 0, "must not be empty"},
		"no type":        {func(m *Message) { m.Type = "" }, 0, "must not be empty"},
		"long id":        {func(m *Message) { m.ID = long }, 0, "longer than 255 bytes"},
		"long unit":      {func(m *Message) { m.Unit = long }, 0, "longer than 255 bytes"},
		"no UTF-8":       {func(m *Message) { m.Group = "\xff" }, 0, "not UTF-8"},
		"no body":        {func(m *Message) { m.Body = nil }, 0, "no body"},
		"long body":      {func(m *Message) { m.Body = make([]byte, DefaultMaxBody+1) }, 0, "the limit is 1048576"},
		"own limit":      {func(m *Message) { m.Body = make([]byte, 11) }, 10, "the limit is 10"},
		"as it should":   {func(*Message) {}, 0, ""},
		"longest key":    {func(m *Message) { m.Key = long[:255] }, 0, ""},
		"longest body":   {func(m *Message) { m.Body = make([]byte, 10) }, 10, ""},
		"no host at all": {func(m *Message) { m.Host = "" }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := Message{Key: "k", ID: "1", Type: KindStatus, Host: "web-01", Body: []byte("{}")}
			tc.change(&m)
			err := m.Validate(tc.maxBody)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestMessagePublishing(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		m          Message
		headers    amqp.Table
		expiration string
	}{
		"event": {
			Message{Host: "web-01", Group: "web", Collector: "fleet-a", Event: "unit.failed", Unit: "a.service", Seq: 18},
			amqp.Table{
				"schema": int32(1), "host": "web-01", "group": "web", "collector": "fleet-a", "event": "unit.failed",
				"unit": "a.service", "seq": int64(18), "x-stream-filter-value": "web-01",
			},
			"",
		},
		"with a TTL":       {Message{TTL: 90 * time.Second}, amqp.Table{"schema": int32(1)}, "90000"},
		"with a short TTL": {Message{TTL: time.Microsecond}, amqp.Table{"schema": int32(1)}, "1"},
		"of the collector": {
			Message{Collector: "fleet-a", Event: "heartbeat"},
			amqp.Table{"schema": int32(1), "collector": "fleet-a", "event": "heartbeat"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := tc.m
			m.ID, m.Type, m.Time, m.Body = "1", "t", now, []byte("{}")
			want := amqp.Publishing{
				ContentType: "application/json", DeliveryMode: 2, MessageId: "1", Type: "t", AppId: "service_manager", Timestamp: now,
				Headers: tc.headers, Expiration: tc.expiration, Body: []byte("{}"),
			}
			if diff := cmp.Diff(want, m.publishing()); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
			if err := want.Headers.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

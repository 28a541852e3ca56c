package publish

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is sent can be decoded, to the same.
func TestDecode(t *testing.T) {
	at := Time{time.Date(2026, 11, 22, 10, 0, 0, 123e6, time.UTC)}
	host := HostRef{Name: "web-01", Group: "web", Labels: map[string]string{}}
	status := Status{Schema: Schema, Type: KindStatus, ID: "s", Host: host, Time: at, EventSeq: 17, Outcome: "ok", Units: []Unit{{Name: "a.service"}}}
	event := Event{
		Schema: Schema, Type: KindEvent, ID: EventID("", "", "web-01", 18), Event: UnitFailed, Host: host, Seq: 18, ObservedAt: at,
		Unit: new("a.service"), Before: &EventState{Unit: &UnitState{Name: "a.service"}}, After: &EventState{Host: &HostState{Outcome: "ok"}},
	}
	notice := Notice{Schema: Schema, Type: KindCollector, ID: "n", Collector: "c", Time: at, Event: CollectorStarted, Hosts: map[string]int{"ok": 1}}
	for _, sent := range []interface{ Message() (Message, error) }{status, event, notice} {
		m, err := sent.Message()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Delivery{Body: m.Body}.Decode()
		if diff := cmp.Diff(sent, got); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	}
}

func TestDecodeUnknown(t *testing.T) {
	for body, want := range map[string]string{
		"":                              "unexpected end of JSON",
		"hello":                         "invalid character",
		"null":                          "schema is 0",
		"[]":                            "cannot unmarshal array",
		`{"schema":2,"type":"status"}`:  "schema is 2, known is 1",
		`{"schema":1,"type":"weather"}`: `type is "weather"`,
		`{"schema":1,"type":"status","units":{}}`:       "cannot unmarshal object",
		`{"schema":1,"type":"event","observed_at":"-"}`: "decoding a message",
	} {
		if got, err := (Delivery{Body: []byte(body)}).Decode(); err == nil || got != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", body, got, err, want)
		}
	}
}

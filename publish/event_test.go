package publish

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// event returns an event of one host that the tests fill in.
func event(seq uint64, kind string) Event {
	return Event{
		Collector:  "fleet-a",
		Epoch:      "20261122T090000.000Z-5f3a7c2d",
		Seq:        seq,
		Event:      kind,
		Host:       HostRef{Name: "web-01.example", Group: "web", Address: "10.0.0.1", Labels: map[string]string{"env": "prod"}},
		ObservedAt: Time{time.Date(2026, 11, 22, 11, 0, 0, 120_999_999, time.FixedZone("CET", 3600))}, // All times must come out in UTC.
	}
}

// restarted is the event of testdata/event_unit.golden.json.
func restarted() Event {
	state := func(invocation string, restarts int) *EventState {
		return &EventState{Unit: &UnitState{
			Name: "mount_controller.service", LoadState: "loaded", ActiveState: "active", SubState: "running",
			UnitFileState: new("enabled"), Result: new("success"), InvocationID: new(invocation), Restarts: new(restarts),
			ExitCode: new("killed"), ExitStatus: new(9), NeedDaemonReload: new(false),
		}}
	}
	e := event(18, UnitRestarted)
	e.Unit, e.Restarts, e.Suppressed = new("mount_controller.service"), 2, 1
	e.HappenedAt = &HostTime{time.Date(2026, 11, 22, 9, 59, 57, 5, time.UTC)}
	e.Before, e.After = state("6d1f", 1), state("77b0", 3)
	return e
}

func missing() Event {
	e := event(19, UnitMissing)
	e.Unit = new("worker@1.service")
	e.Before = &EventState{Unit: &UnitState{Name: "worker@1.service", LoadState: "loaded", ActiveState: "active", SubState: "running"}}
	e.After = &EventState{Unit: &UnitState{Name: "worker@1.service", LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}}
	return e
}

func unreachable() Event {
	system := &System{State: new("running"), Systemd: new("252"), FailedUnits: new(0), QueuedJobs: new(0), BootID: new("1f0c2a6e")}
	e := event(20, HostUnreachable)
	e.Before = &EventState{Host: &HostState{Outcome: "ok", System: system}}
	e.After = &EventState{Host: &HostState{Outcome: "unreachable", Error: new(`dial tcp 10.0.0.1:22: "no route" <host>`), System: system}}
	return e
}

func removed() Event {
	e := event(21, HostRemoved)
	e.Host.Labels = nil
	e.Before = &EventState{Host: &HostState{Outcome: "unreachable", Error: new("connection refused")}} // It was never read.
	return e
}

func gap(seq uint64, reason string, first, last *uint64) Event {
	e := event(seq, Gap)
	e.Gap = &GapInfo{Reason: reason, Since: Time{time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)}, FirstSeq: first, LastSeq: last}
	return e
}

// goldenEvents are the events of each shape, by their files in testdata.
func goldenEvents() map[string]Event {
	return map[string]Event{
		"event_unit.golden.json":            restarted(),
		"event_unit_missing.golden.json":    missing(),
		"event_host.golden.json":            unreachable(),
		"event_host_removed.golden.json":    removed(),
		"event_gap_outbox_full.golden.json": gap(22, GapOutboxFull, nil, nil),
		"event_gap_unroutable.golden.json":  gap(31, GapUnroutable, new(uint64(23)), new(uint64(30))),
		"event_gap_refused.golden.json":     gap(33, GapRefused, new(uint64(32)), new(uint64(32))),
	}
}

func TestEventGolden(t *testing.T) {
	for file, e := range goldenEvents() {
		t.Run(file, func(t *testing.T) {
			m, err := e.Message()
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, file, m)
		})
	}
}

func TestEventMessage(t *testing.T) {
	for _, e := range []Event{restarted(), unreachable(), removed(), gap(22, GapOutboxFull, nil, nil)} {
		t.Run(e.Event, func(t *testing.T) {
			m, err := e.Message()
			if err != nil {
				t.Fatal(err)
			}
			want := Message{
				Key: "event.web.web-01_example", ID: EventID("fleet-a", e.Epoch, "web-01.example", e.Seq), Type: "event",
				Host: "web-01.example", Group: "web", Collector: "fleet-a", Event: e.Event, Seq: e.Seq, Time: e.ObservedAt.Time,
				Mandatory: true, Body: m.Body,
			}
			switch e.Event {
			case UnitRestarted:
				want.Unit, want.Outcome = "mount_controller.service", "ok"
			case HostUnreachable:
				want.Outcome = "unreachable"
			}
			if diff := cmp.Diff(want, m); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
		})
	}
}

// TestEventRoundTrip shows that a Go consumer reads what was sent.
func TestEventRoundTrip(t *testing.T) {
	for file, want := range goldenEvents() {
		t.Run(file, func(t *testing.T) {
			m, err := want.Message()
			if err != nil {
				t.Fatal(err)
			}
			var got Event
			if err := json.Unmarshal(m.Body, &got); err != nil {
				t.Fatal(err)
			}
			want.Schema, want.Type, want.ID = 1, "event", m.ID
			want.ObservedAt.Time = want.ObservedAt.Truncate(time.Millisecond)
			if want.HappenedAt != nil {
				want.HappenedAt.Time = want.HappenedAt.Truncate(time.Second)
			}
			if want.Host.Labels == nil {
				want.Host.Labels = map[string]string{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
		})
	}
}

func TestEventMessageErrors(t *testing.T) {
	e := restarted()
	e.Host.Name = strings.Repeat("h", 250)
	if _, err := e.Message(); err == nil || !strings.Contains(err.Error(), "the routing key has 260 bytes") {
		t.Errorf("got %v, want that the routing key is too long", err)
	}
}

func TestEventStateErrors(t *testing.T) {
	for _, text := range []string{`"unit"`, `{"outcome": 1}`, `{"outcome": "ok", "error": 1}`, `{"name": 1}`} {
		var s EventState
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s is taken for %+v", text, s)
		}
	}
}

// TestEventID has ids that were told to consumers: another one for the same event would make it an event that happened twice.
func TestEventID(t *testing.T) {
	type of struct {
		collector, epoch, host string
		seq                    uint64
	}
	want := map[of]string{
		{"fleet-a", "20261122T090000.000Z-5f3a7c2d", "web-01.example", 18}:                   "8c18c182-a975-5c00-9457-18480cd92000",
		{"fleet-a", "20261122T090000.000Z-5f3a7c2d", "web-01.example", 19}:                   "d62c1221-104e-5477-9cba-a65d23cf8b54",
		{"fleet-a", "20261122T090000.000Z-5f3a7c2d", "web-02.example", 18}:                   "7bc15548-b8e3-56c1-abb2-10c2c59406ad",
		{"fleet-a", "20261122T090000.001Z-5f3a7c2d", "web-01.example", 18}:                   "d41f0402-2988-5efc-b7af-06dd77a5dfee",
		{"fleet-b", "20261122T090000.000Z-5f3a7c2d", "web-01.example", 18}:                   "bb6cab62-f932-597e-bc84-975e08d0eec8",
		{"fleet-a", "20261122T090000.000Z-5f3a7c2d", "web-01.example", 18446744073709551615}: "5ec697d7-860a-5018-b595-7ab77e6ef539",
		{"a", "bc", "d", 1}: "3998661e-a7c7-5591-a924-586e36be5e2f",
		{"ab", "c", "d", 1}: "4110e7b3-974e-5f35-93e3-3e14df485fc2",
		{"a", "b", "cd", 1}: "c0436cab-1593-57df-af83-908fd24bd07a",
		{"a", "b", "c", 11}: "61205450-75fb-501b-ab03-94031e71d885",
		{"a", "b", "c1", 1}: "e480123e-7970-5ff6-bc10-dd5f8573154b",
	}
	got := map[of]string{}
	for e := range want {
		got[e] = EventID(e.collector, e.epoch, e.host, e.seq)
		if id, err := uuid.Parse(got[e]); err != nil || id.Version() != 5 || id.Variant() != uuid.RFC4122 {
			t.Errorf("%s is no UUIDv5: %v", got[e], err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	if ids := slices.Compact(slices.Sorted(maps.Values(got))); len(ids) != len(got) {
		t.Errorf("%d ids for %d events", len(ids), len(got))
	}
}

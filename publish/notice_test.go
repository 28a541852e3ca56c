package publish

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// heartbeat is the notice of testdata/notice.golden.json.
func heartbeat() Notice {
	return Notice{
		ID: "019ab0c1-0000-7000-8000-000000000003", Collector: "fleet.a", Epoch: "20261122T090000.000Z-5f3a7c2d",
		Time: Time{time.Date(2026, 11, 22, 11, 0, 0, 120_999_999, time.FixedZone("CET", 3600))}, Event: CollectorHeartbeat,
		Version: "1.2.3", IntervalSeconds: 10, Hosts: map[string]int{"ok": 18, "unreachable": 1, "pending": 1},
		OldestDataSeconds: new(12.5),
		Outbox: Backlog{
			Events: 3, Bytes: 2048, OldestEvent: &Time{time.Date(2026, 11, 22, 9, 59, 0, 0, time.UTC)}, Full: true, Quarantined: 1, Dropped: 8,
		},
	}
}

func goldenNotices() map[string]Notice {
	return map[string]Notice{
		"notice.golden.json": heartbeat(),
		"notice_started.golden.json": {
			ID: "019ab0c1-0000-7000-8000-000000000004", Collector: "fleet-a", Epoch: "20261122T090000.000Z-5f3a7c2d",
			Time: Time{time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}, Event: CollectorStarted, Version: "1.2.3", IntervalSeconds: 0.5,
		},
		"notice_reload_refused.golden.json": {
			ID: "019ab0c1-0000-7000-8000-000000000005", Collector: "fleet-a", Epoch: "20261122T090000.000Z-5f3a7c2d",
			Time: Time{time.Date(2026, 11, 22, 9, 5, 0, 0, time.UTC)}, Event: CollectorReloadRefused, Version: "1.2.3", IntervalSeconds: 10,
			Hosts: map[string]int{"ok": 20}, OldestDataSeconds: new(8.0),
			Reload: &Reload{Error: new("inventory.toml:7: unknown key \"unit\"; did you mean \"units\"?")},
		},
	}
}

func TestNoticeGolden(t *testing.T) {
	for file, n := range goldenNotices() {
		t.Run(file, func(t *testing.T) {
			m, err := n.Message()
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, file, m)
		})
	}
}

func TestNoticeMessage(t *testing.T) {
	n := heartbeat()
	m, err := n.Message()
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		Key: "collector.fleet_a.heartbeat", ID: n.ID, Type: "collector", Collector: "fleet.a", Event: "heartbeat", Time: n.Time.Time, Body: m.Body,
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestNoticeRoundTrip shows that a Go consumer reads what was sent.
func TestNoticeRoundTrip(t *testing.T) {
	for file, want := range goldenNotices() {
		t.Run(file, func(t *testing.T) {
			m, err := want.Message()
			if err != nil {
				t.Fatal(err)
			}
			var got Notice
			if err := json.Unmarshal(m.Body, &got); err != nil {
				t.Fatal(err)
			}
			want.Schema, want.Type = 1, "collector"
			want.Time.Time = want.Time.Truncate(time.Millisecond)
			if want.Hosts == nil {
				want.Hosts = map[string]int{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
		})
	}
}

func TestNoticeMessageErrors(t *testing.T) {
	for want, spoil := range map[string]func(*Notice){
		"must not be empty":                  func(n *Notice) { n.ID = "" },
		"encoding a notice of the collector": func(n *Notice) { n.IntervalSeconds = math.NaN() },
	} {
		n := heartbeat()
		spoil(&n)
		if _, err := n.Message(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

package publish

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample is the status of testdata/status.golden.json.
func sample() Status {
	berlin := time.FixedZone("CET", 3600) // All times must come out in UTC.
	return Status{
		ID:        "019ab0c1-0000-7000-8000-000000000001",
		Collector: "fleet-a",
		Epoch:     "2026-11-22T09:00:00Z-5f3a",
		Host:      HostRef{Name: "web-01.example", Group: "web", Address: "10.0.0.1", Labels: map[string]string{"env": "prod"}},
		Time:      Time{time.Date(2026, 11, 22, 11, 0, 0, 120_999_999, berlin)}, IntervalSeconds: 10, EventSeq: 17, Outcome: "ok",
		System: &System{
			State: new("running"), Systemd: new("252"), FailedUnits: new(0), QueuedJobs: new(0), BootID: new("1f0c2a6e"),
		},
		Units: []Unit{{
			Name: "mount_controller.service", Description: new("Mounts & unmounts <disks>"),
			LoadState: "loaded", ActiveState: "active", SubState: "running", UnitFileState: new("enabled"), Result: new("success"),
			Since: &HostTime{time.Date(2026, 11, 20, 9, 0, 0, 5, berlin)}, InvocationID: new("6d1f"), Restarts: new(0),
			MainPID: new(812), MemoryBytes: new(uint64(1234)), CPUSeconds: new(3.2), Tasks: new(uint64(4)), NeedDaemonReload: new(false),
		}},
		Poll: Poll{DurationMS: 112.4, DialMS: 100.5, QueuedMS: 0.3},
	}
}

func TestStatusGolden(t *testing.T) {
	for file, s := range map[string]Status{
		"status.golden.json": sample(),
		"status_never_read.golden.json": {
			ID: "019ab0c1-0000-7000-8000-000000000002", Collector: "fleet-a", Epoch: "2026-11-22T09:00:00Z-5f3a",
			Host: HostRef{Name: "web-02", Group: "web"}, Time: Time{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)},
			IntervalSeconds: 0.5, Outcome: "unreachable", Error: new("connection refused"),
		},
	} {
		t.Run(file, func(t *testing.T) {
			m, err := s.Message()
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, file, m)
		})
	}
}

func TestStatusMessage(t *testing.T) {
	s := sample()
	m, err := s.Message()
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		Key: "status.web.web-01_example", ID: s.ID, Type: "status", Host: "web-01.example", Group: "web", Collector: "fleet-a",
		Outcome: "ok", Time: s.Time.Time, Body: m.Body,
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestStatusRoundTrip shows that a Go consumer reads what was sent.
func TestStatusRoundTrip(t *testing.T) {
	m, err := sample().Message()
	if err != nil {
		t.Fatal(err)
	}
	var got Status
	if err := json.Unmarshal(m.Body, &got); err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Schema, want.Type = 1, "status"
	want.Time.Time = want.Time.Truncate(time.Millisecond)
	want.Units[0].Since.Time = want.Units[0].Since.Truncate(time.Second)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

func TestStatusMessageErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*Status)
		want  string
	}{
		"no id":     {func(s *Status) { s.ID = "" }, "must not be empty"},
		"long host": {func(s *Status) { s.Host.Name = strings.Repeat("h", 250) }, "the routing key has 261 bytes"},
		"no number": {func(s *Status) { s.Poll.DurationMS = math.NaN() }, `encoding the status of host "web-01.example"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample()
			tc.spoil(&s)
			if _, err := s.Message(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

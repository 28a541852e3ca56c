package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

// at is a time of the messages in the tests of tail, which are seen a moment later.
func at(hour, minute, second int) time.Time {
	return time.Date(2026, 11, 22, hour, minute, second, 0, time.UTC)
}

func seenAt() time.Time { return at(10, 0, 9) }

// A sendable is a status, event or notice.
type sendable interface {
	Message() (publish.Message, error)
}

// lineFor is what is printed for a message, as a broker would deliver it, without colours.
func lineFor(t *testing.T, m sendable) string {
	t.Helper()
	sent, err := m.Message()
	if err != nil {
		t.Fatal(err)
	}
	d := publish.Delivery{Key: sent.Key, ID: sent.ID, Time: sent.Time, Body: sent.Body}
	body, err := d.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return string(lineOf(d, body, seenAt()).append(nil, seenAt(), false))
}

func state(active, sub string) publish.UnitState {
	return publish.UnitState{
		Name: "nginx.service", LoadState: "loaded", ActiveState: active, SubState: sub, UnitFileState: new("enabled"), Result: new("success"),
		InvocationID: new("a"), Restarts: new(0), NeedDaemonReload: new(false),
	}
}

func with(u publish.UnitState, change func(*publish.UnitState)) publish.UnitState {
	change(&u)
	return u
}

func TestUnitEventLines(t *testing.T) {
	running, dead := state("active", "running"), state("inactive", "dead")
	broken := with(state("failed", "failed"), func(u *publish.UnitState) {
		u.Result, u.ExitCode, u.ExitStatus = new("exit-code"), new("exited"), new(1)
	})
	gone := publish.UnitState{Name: "nginx.service", LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}
	anew := with(running, func(u *publish.UnitState) { u.InvocationID = new("b") })
	unloaded := with(running, func(u *publish.UnitState) { u.ActiveState, u.SubState, u.InvocationID = "inactive", "dead", nil })
	for _, test := range []struct {
		event         string
		before, after *publish.UnitState
		change        func(*publish.Event)
		want          string
	}{
		{publish.UnitFailed, &running, &broken, nil, "! web-01 nginx.service active → failed (exit-code, exited 1)"},
		{publish.UnitFailed, &broken, &broken, nil, "! web-01 nginx.service failed again (exit-code, exited 1)"},
		{publish.UnitFailed, &running, &broken, func(e *publish.Event) {
			e.HappenedAt = &publish.HostTime{Time: at(3, 4, 5)}
		}, "! web-01 nginx.service active → failed (exit-code, exited 1), at 03:04:05"},
		{publish.UnitRecovered, &broken, &running, nil, "  web-01 nginx.service failed → active"},
		{publish.UnitRestarted, &running, &anew, func(e *publish.Event) { e.Restarts = 1 }, "  web-01 nginx.service active, restarted"},
		{publish.UnitRestarted, &running, &anew, func(e *publish.Event) {
			e.Restarts, e.Suppressed = 12, 4
		}, "  web-01 nginx.service active, restarted 12 times (it changes often: 4 polls left out)"},
		{publish.UnitChanged, &running, &dead, nil, "  web-01 nginx.service active → inactive"},
		{publish.UnitChanged, &running, new(state("active", "exited")), nil, "  web-01 nginx.service active/running → active/exited"},
		{publish.UnitChanged, &running, &anew, nil, "  web-01 nginx.service active, started in between"},
		{publish.UnitChanged, &running, &unloaded, nil, "  web-01 nginx.service active → inactive"},
		{publish.UnitChanged, &running, new(with(running, func(u *publish.UnitState) {
			u.UnitFileState = new("disabled")
		})), nil, "  web-01 nginx.service active, unit file enabled → disabled"},
		{publish.UnitChanged, &running, new(with(running, func(u *publish.UnitState) {
			u.NeedDaemonReload = new(true)
		})), nil, "  web-01 nginx.service active, its file has changed: daemon-reload needed"},
		{publish.UnitChanged, new(with(running, func(u *publish.UnitState) {
			u.NeedDaemonReload = new(true)
		})), &running, nil, "  web-01 nginx.service active, its file was reloaded"},
		{publish.UnitMissing, &running, &gone, nil, "! web-01 nginx.service active → not-found"},
		{publish.UnitMissing, &running, nil, nil, "! web-01 nginx.service active → no longer listed"},
		{publish.UnitAppeared, &gone, &running, nil, "  web-01 nginx.service not-found → active"},
		{publish.UnitAppeared, nil, &running, nil, "  web-01 nginx.service appeared, active"},
		{"unit.exploded", &running, &broken, nil, "! web-01 nginx.service active → failed (exit-code, exited 1)"},
		{"unit.exploded", nil, nil, nil, "  web-01 nginx.service unit.exploded"},
		{publish.UnitFailed, &running, new(with(broken, func(u *publish.UnitState) {
			u.Result = new("exit\x1b[2J\n-code")
		})), nil, "! web-01 nginx.service active → failed (exit·[2J·-code, exited 1)"},
	} {
		e := publish.Event{
			Event: test.event, Host: publish.HostRef{Name: "web-01", Group: "web"}, Unit: new("nginx.service"), Seq: 1,
			ObservedAt: publish.Time{Time: at(10, 0, 0)},
		}
		if test.before != nil {
			e.Before = &publish.EventState{Unit: test.before}
		}
		if test.after != nil {
			e.After = &publish.EventState{Unit: test.after}
		}
		if test.change != nil {
			test.change(&e)
		}
		if diff := cmp.Diff("10:00:00 "+test.want+"\n", lineFor(t, e)); diff != "" {
			t.Errorf("%s -want +got:\n%s", test.event, diff)
		}
	}
}

func TestHostEventLines(t *testing.T) {
	ok := &publish.EventState{Host: &publish.HostState{Outcome: "ok"}}
	refused := &publish.EventState{Host: &publish.HostState{Outcome: "unreachable", Error: new("connection refused")}}
	late := &publish.EventState{Host: &publish.HostState{Outcome: "timeout", Error: new("no answer")}}
	key := &publish.EventState{Host: &publish.HostState{Outcome: "host_key_changed", Error: new("another key: service_manager trust --replace web-01")}}
	since := publish.Time{Time: at(9, 30, 0).AddDate(0, 0, -1)}
	for _, test := range []struct {
		event         string
		before, after *publish.EventState
		gap           *publish.GapInfo
		want          string
	}{
		{publish.HostUnreachable, ok, refused, nil, "! web-01 ok → unreachable: connection refused"},
		{publish.HostUnreachable, refused, late, nil, "! web-01 unreachable → timeout: no answer"},
		{publish.HostUnreachable, late, late, nil, "! web-01 timeout: no answer"},
		{publish.HostRecovered, late, ok, nil, "  web-01 timeout → ok"},
		{publish.HostRebooted, ok, ok, nil, "  web-01 rebooted"},
		{publish.HostKeyChanged, ok, key, nil, "! web-01 ok → host_key_changed: another key: service_manager trust --replace web-01"},
		{publish.HostRemoved, ok, nil, nil, "  web-01 removed from the inventory"},
		{"host.moved", nil, nil, nil, "  web-01 host.moved"},
		{
			publish.Gap, nil, nil, &publish.GapInfo{Reason: publish.GapOutboxFull, Since: since},
			"  web-01 what came and went is not told: the collector had no room for more events, since 2026-11-21 09:30:00",
		},
		{
			publish.Gap, nil, nil, &publish.GapInfo{Reason: publish.GapUnroutable, Since: since, FirstSeq: new(uint64(3)), LastSeq: new(uint64(7))},
			"  web-01 events 3..7 dropped: no queue was bound for them, since 2026-11-21 09:30:00",
		},
		{
			publish.Gap, nil, nil, &publish.GapInfo{Reason: publish.GapRefused, Since: since, FirstSeq: new(uint64(3)), LastSeq: new(uint64(3))},
			"  web-01 event 3 set aside: the broker refuses them, since 2026-11-21 09:30:00",
		},
		{publish.Gap, nil, nil, &publish.GapInfo{Reason: "moths", Since: since}, "  web-01 events missing: moths, since 2026-11-21 09:30:00"},
	} {
		e := publish.Event{
			Event: test.event, Host: publish.HostRef{Name: "web-01", Group: "web"}, Seq: 1, ObservedAt: publish.Time{Time: at(10, 0, 0)},
			Before: test.before, After: test.after, Gap: test.gap,
		}
		if diff := cmp.Diff("10:00:00 "+test.want+"\n", lineFor(t, e)); diff != "" {
			t.Errorf("%s -want +got:\n%s", test.event, diff)
		}
	}
}

func TestStatusLines(t *testing.T) {
	unit := func(name, load, active string) publish.Unit {
		return publish.Unit{Name: name, LoadState: load, ActiveState: active}
	}
	for want, s := range map[string]publish.Status{
		"  web-01 ok, 2 units":          {Outcome: "ok", Units: []publish.Unit{unit("a", "loaded", "active"), unit("b", "loaded", "inactive")}},
		"  web-01 ok, 1 unit":           {Outcome: "ok", Units: []publish.Unit{unit("a", "masked", "inactive")}},
		"  web-01 ok, no units watched": {Outcome: "ok"},
		"! web-01 ok, 4 units, 2 failed: broken.service, d.service, 1 not-found: ghost.service": {Outcome: "ok", Units: []publish.Unit{
			unit("broken.service", "loaded", "failed"), unit("ghost.service", "not-found", "inactive"), unit("c", "loaded", "active"),
			unit("d.service", "loaded", "failed"),
		}},
		"! web-01 unreachable: connection refused since 09:59": {
			Outcome: "unreachable", Error: new("connection refused since 09:59"), Units: []publish.Unit{unit("a", "loaded", "failed")},
		},
		"! web-01 strange":           {Outcome: "strange"},
		"! web-01 timeout: a·[31m·b": {Outcome: "timeout", Error: new("a\u009b[31m\u202eb")},
	} {
		s.ID, s.Host, s.Time = "id", publish.HostRef{Name: "web-01", Group: "web"}, publish.Time{Time: at(10, 0, 0)}
		if diff := cmp.Diff("10:00:00 "+want+"\n", lineFor(t, s)); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
	}
}

func TestNoticeLines(t *testing.T) {
	for want, n := range map[string]publish.Notice{
		"  fleet-a collector started, version v1.2, 3 hosts: 3 pending": {
			Event: publish.CollectorStarted, Version: "v1.2", Hosts: map[string]int{"pending": 3},
		},
		"  fleet-a collector heartbeat, 3 hosts: 2 ok, 1 timeout, oldest data 12s, 5 events waiting for the broker": {
			Event: publish.CollectorHeartbeat, Hosts: map[string]int{"ok": 2, "timeout": 1}, OldestDataSeconds: new(12.3), Outbox: publish.Backlog{Events: 5},
		},
		"  fleet-a collector stopping, 0 hosts, 7 dropped that no queue was bound for, 1 set aside that the broker refuses": {
			Event: publish.CollectorStopping, Outbox: publish.Backlog{Dropped: 7, Quarantined: 1},
		},
		"! fleet-a collector heartbeat, 0 hosts, 9 events waiting for the broker, no room for more events": {
			Event: publish.CollectorHeartbeat, Outbox: publish.Backlog{Events: 9, Full: true},
		},
		"  fleet-a collector moved, 0 hosts": {Event: "moved"},
		"  fleet-a collector reloaded, 2 hosts: 2 ok, 1 added, 0 changed, 3 removed": {
			Event: publish.CollectorReloaded, Hosts: map[string]int{"ok": 2}, Reload: &publish.Reload{Added: 1, Removed: 3},
		},
		"! fleet-a collector reload refused, 2 hosts: 2 ok, a.toml:1: bad·a.toml:2: worse": {
			Event: publish.CollectorReloadRefused, Hosts: map[string]int{"ok": 2}, Reload: &publish.Reload{Error: new("a.toml:1: bad\na.toml:2: worse")},
		},
	} {
		n.ID, n.Collector, n.Time = "id", "fleet-a", publish.Time{Time: at(10, 0, 0)}
		if diff := cmp.Diff("10:00:00 "+want+"\n", lineFor(t, n)); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
	}
}

// What is no message of this program is shown as it is, as far as a terminal can take it.
func TestRawLines(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	for body, want := range map[string]string{
		"":                               "10:00:09   a.b ",
		"{\n \"schema\": 2,\t\"x\": 1 }": `10:00:09   a.b {"schema":2,"x":1}`,
		"\x1b]0;title\x07 <\xff>\r\n":    "10:00:09   a.b ·]0;title· <�>··",
		long:                             "10:00:09   a.b " + long[:2000] + "… (10000 bytes)",
	} {
		got := string(lineOf(publish.Delivery{Key: "a.b", Body: []byte(body)}, nil, seenAt()).append(nil, seenAt(), true))
		if diff := cmp.Diff(want+"\n", got); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
	}
}

package collector_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/publish"
)

// told are the events in short.
func (o *fakeOutbox) told() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var told []string
	for _, e := range o.events {
		unit := ""
		if e.Unit != nil {
			unit = " " + *e.Unit
		}
		told = append(told, e.Host.Name+" "+e.Event+unit)
	}
	return told
}

// failsAfter is a fleet whose one unit fails after a while.
func failsAfter(d time.Duration) *fakePool {
	start := time.Now()
	return &fakePool{poll: func(context.Context, string) (hosts.Snapshot, error) {
		s := snapshot()
		if time.Since(start) > d {
			s.Units[0].ActiveState, s.Units[0].SubState = "failed", "failed"
		}
		return s, nil
	}}
}

// A change is committed as an event with the state that it led to, once, and a poll without a change commits nothing.
func TestChangesAreCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &fakeOutbox{}
		run(t, collector.Config{Hosts: fleet(2, 10*time.Second), Pool: failsAfter(time.Minute), Outbox: box}, 2*time.Minute)
		want := []string{"web-01 unit.failed nginx.service", "web-02 unit.failed nginx.service"}
		got := box.told()
		if len(got) == 2 && got[0] > got[1] {
			got[0], got[1] = got[1], got[0]
		}
		if diff := cmp.Diff(want, got); diff != "" || box.attempts != 4 {
			t.Errorf("%d commits, want one per host for its first sight and one for the change; events (-want +got):\n%s", box.attempts, diff)
		}
	})
}

// What cannot be committed is not forgotten, and the statuses go on meanwhile.
func TestFailedCommitsAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		box := &fakeOutbox{commit: func(string) error {
			if at := time.Since(start); at > 30*time.Second && at < 5*time.Minute {
				return errors.New("no space left on device")
			}
			return nil
		}}
		seen := run(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: failsAfter(time.Minute), Outbox: box}, 6*time.Minute)
		if diff := cmp.Diff([]string{"web-01 unit.failed nginx.service"}, box.told()); diff != "" {
			t.Error("events (-want +got):\n" + diff)
		}
		if n := len(seen.of("web-01")); n < 36 {
			t.Errorf("%d statuses in 6 minutes, want one per interval", n)
		}
	})
}

// A disk that hangs holds up the host whose change it should take, and no other.
func TestSlowCommitHoldsUpNoOtherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		box := &fakeOutbox{commit: func(host string) error {
			if host == "web-01" {
				<-release
			}
			return nil
		}}
		time.AfterFunc(2*time.Minute, func() { close(release) })
		seen := run(t, collector.Config{Hosts: fleet(2, 10*time.Second), Pool: &fakePool{}, Outbox: box}, 3*time.Minute)
		if n := len(seen.of("web-02")); n < 18 {
			t.Errorf("%d statuses of another host in 3 minutes", n)
		}
		if n := len(seen.of("web-01")); n < 6 {
			t.Errorf("%d statuses of the host itself, of which at least those of the last minute are due", n)
		}
	})
}

// What happened while no collector ran is told by the next one, and so is that a host has left the inventory meanwhile.
func TestTakesUpWhereTheLastOneStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &fakeOutbox{}
		run(t, collector.Config{Hosts: fleet(3, 10*time.Second), Pool: &fakePool{}, Outbox: box}, 15*time.Second)
		known := func(host string) bool { return host != "web-03" }
		run(t, collector.Config{
			Hosts: fleet(1, 10*time.Second), Pool: failsAfter(-time.Second), Outbox: box, States: maps.Clone(box.states), Known: known,
		}, 15*time.Second)
		want := []string{"web-03 host.removed", "web-01 unit.failed nginx.service"}
		if diff := cmp.Diff(want, box.told()); diff != "" {
			t.Error("events (-want +got):\n" + diff)
		}
		if state, ok := box.states["web-03"]; !ok || state != nil {
			t.Errorf("the state of the host that was removed: %q", state)
		}
		if box.states["web-02"] == nil {
			t.Error("a host that is only not selected was forgotten")
		}
	})
}

// A stored state that cannot be read is as none.
func TestBadStoredState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &fakeOutbox{}
		run(t, collector.Config{
			Hosts: fleet(1, 10*time.Second), Pool: failsAfter(-time.Second), Outbox: box, States: map[string][]byte{"web-01": []byte("{")},
		}, 15*time.Second)
		if got := box.told(); len(got) != 0 || box.states["web-01"] == nil {
			t.Errorf("events %q, state %q", got, box.states["web-01"])
		}
	})
}

// The collector tells of itself: that it started, how the fleet is each interval, and that it stops.
func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(_ context.Context, host string) error {
			if host == "web-02" {
				return failure(hosts.Unreachable)
			}
			return nil
		}}
		box := &fakeOutbox{}
		run(t, collector.Config{
			Hosts: fleet(3, 10*time.Second), Pool: pool, Outbox: box, Heartbeat: 10 * time.Second, Version: "v1", Epoch: "e",
		}, 35*time.Second)
		var got []string
		for _, n := range box.notices {
			age := "none"
			if n.OldestDataSeconds != nil && *n.OldestDataSeconds <= 10 {
				age = "young"
			}
			got = append(got, fmt.Sprint(n.Event, n.Hosts, " ", age))
			if n.Collector != "fleet-a" || n.Epoch != "e" || n.Version != "v1" || n.IntervalSeconds != 10 || n.Outbox.Events != 3 || n.ID == "" {
				t.Errorf("%+v", n)
			}
		}
		all := publish.CollectorHeartbeat + "map[ok:2 unreachable:1] young"
		want := []string{
			publish.CollectorStarted + "map[pending:3] none", all, all, all,
			publish.CollectorStopping + "map[ok:2 unreachable:1] young",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
	})
}

package change

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
)

// flap polls s every two seconds, each time after a manual restart of api.service, and returns what was told.
func flap(s *scene, times int) []string {
	var got []string
	for range times {
		s.set("api.service", fmt.Sprintf("InvocationID=%032x", s.now.Unix()))
		got = append(got, s.poll(hosts.OK)...)
		s.now = s.now.Add(-8 * time.Second)
	}
	return got
}

const restarted = "unit.restarted api.service: active/running > active/running, restarts 1"

func TestFlapping(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	s.poll(hosts.OK)
	got := flap(s, 30)
	var want []string
	for second := 10; second < 22; second += 2 { // The burst; at 10:00:20 one came back.
		want = append(want, fmt.Sprintf("%s, at 10:00:%d", restarted, second))
	}
	want = append(want,
		restarted+", at 10:00:22",
		restarted+", suppressed 3, at 10:00:30",
		restarted+", suppressed 4, at 10:00:40",
		restarted+", suppressed 4, at 10:00:50",
		restarted+", suppressed 4, at 10:01:00",
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	// The burst is over. The next event in the bucket tells how it ended, once.
	s.now = s.now.Add(8 * time.Second)
	got = append(s.poll(hosts.OK), s.poll(hosts.OK)...)
	if diff := cmp.Diff([]string{restarted + ", suppressed 4, at 10:01:08"}, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	s.now = s.now.Add(time.Minute)
	if s.poll(hosts.OK); s.baseline.buckets != nil {
		t.Errorf("full buckets are kept: %v", s.baseline.buckets)
	}
	for i := 1; i < len(s.told); i++ {
		if diff := cmp.Diff(s.told[i-1].After, s.told[i].Before); diff != "" {
			t.Errorf("event %d: -after +before:\n%s", i, diff)
		}
	}
}

func TestFlappingIsConfigurable(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	s.baseline = NewBaseline(State{}, Flapping{Burst: 1, Refill: time.Hour})
	s.poll(hosts.OK)
	got := flap(s, 4)
	s.now = s.now.Add(time.Hour)
	got = append(got, s.poll(hosts.OK)...)
	if diff := cmp.Diff([]string{restarted + ", at 10:00:10", restarted + ", suppressed 3, at 10:00:16"}, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestFailuresAreNotSuppressed has failures while the bucket is empty: they are told at once, with the count so far.
func TestFailuresAreNotSuppressed(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	s.poll(hosts.OK)
	flap(s, 10)
	s.set("api.service", "ActiveState=failed", "SubState=failed")
	got := s.poll(hosts.OK)
	s.now = s.now.Add(-9 * time.Second)
	s.set("api.service", "ActiveState=active", "SubState=running", invocation(7))
	got = append(got, s.poll(hosts.OK)...)
	s.now = s.now.Add(-9 * time.Second)
	s.set("api.service", "NeedDaemonReload=yes") // They took nothing from the bucket, nor did they fill it.
	got = append(got, s.poll(hosts.OK)...)
	if diff := cmp.Diff([]string{
		"unit.failed api.service: active/running > failed/failed, restarts 1, suppressed 3, at 10:00:30",
		"unit.recovered api.service: failed/failed > active/running, restarts 1, at 10:00:31",
		"unit.changed api.service: active/running > active/running",
	}, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestBackAtTheBaseline has a burst that ends where it began: there is nothing to tell. Its count is told with the next change, until
// the bucket is full.
func TestBackAtTheBaseline(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		20 * time.Second: "unit.changed api.service: active/running > active/running, suppressed 2",
		80 * time.Second: "unit.changed api.service: active/running > active/running",
	} {
		s := captured(t, "252")
		s.poll(hosts.OK)
		flap(s, 6)
		s.baseline.buckets["api.service"] = bucket{full: s.now.Add(time.Minute)}
		s.set("api.service", "UnitFileState=disabled")
		s.poll(hosts.OK)
		s.now = s.now.Add(-8 * time.Second)
		s.poll(hosts.OK)
		s.set("api.service", "UnitFileState=enabled")
		s.now = s.now.Add(wait)
		if got := s.poll(hosts.OK); got != nil {
			t.Errorf("told %q", got)
		}
		s.set("api.service", "NeedDaemonReload=yes")
		if got := strings.Join(s.poll(hosts.OK), "\n"); got != want {
			t.Errorf("after %v: %s, want %s", wait, got, want)
		}
	}
}

// TestSuppressedAcrossAnOutage has a burst that the host's outage interrupts: what was suppressed is told when it is back.
func TestSuppressedAcrossAnOutage(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	s.poll(hosts.OK)
	flap(s, 10)
	s.poll(hosts.Timeout)
	s.now = s.now.Add(time.Hour)
	s.poll(hosts.Timeout)
	if diff := cmp.Diff([]string{
		"host.recovered: timeout 1f0c > ok 1f0c", restarted + ", suppressed 3, at 10:00:28",
	}, s.poll(hosts.OK)); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestUnitLeavesWithItsBucket has a flapping unit that is no longer asked for.
func TestUnitLeavesWithItsBucket(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	s.poll(hosts.OK)
	flap(s, 10)
	s.drop("api.service")
	if got := s.poll(hosts.OK); got != nil || s.baseline.buckets != nil {
		t.Errorf("told %q, buckets %v", got, s.baseline.buckets)
	}
}

// TestFailedCommitTakesNothing has commits that fail: neither the count nor the bucket may move.
func TestFailedCommitTakesNothing(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	s.poll(hosts.OK)
	s.failing = true
	flap(s, 20)
	s.failing = false
	got := flap(s, 1)
	if len(got) != 1 || strings.Contains(got[0], "suppressed") || s.baseline.buckets["api.service"].full != s.now.Add(8*time.Second) {
		t.Errorf("told %q, bucket %v", got, s.baseline.buckets)
	}
}

// TestClockSetBack has a collector whose clock is set back by a day: no bucket may stay empty for that long.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	b := bucket{full: time.Date(2026, 11, 24, 10, 1, 0, 0, time.UTC)}
	now := b.full.AddDate(0, 0, -1)
	if b.take(Flapping{}, now) || !b.take(Flapping{}, now.Add(time.Minute)) && !b.take(Flapping{}, now.Add(2*time.Minute)) {
		t.Errorf("bucket %v", b)
	}
}

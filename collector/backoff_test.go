package collector_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
)

// The delays between the dials of a host that cannot be reached are random up to a bound that doubles, and ends at 15 s or the interval.
func TestBackOffGrowsToItsBound(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		last     time.Duration
	}{
		{time.Second, 15 * time.Second},
		{10 * time.Second, 15 * time.Second},
		{time.Minute, time.Minute},
	} {
		for _, outcome := range []hosts.Outcome{hosts.Unreachable, hosts.Timeout, hosts.Throttled, hosts.ProtocolError, hosts.Denied} {
			longest := make([]time.Duration, 200)
			for range 30 { // Of so many fleets one comes near each bound, unless the delays are not spread up to it.
				synctest.Test(t, func(t *testing.T) {
					pool := &fakePool{connect: func(context.Context, string) error { return failure(outcome) }}
					run(t, collector.Config{Hosts: fleet(1, test.interval), Pool: pool}, 20*test.last)
					for i := range pool.dialled[1:] {
						longest[i] = max(longest[i], pool.dialled[i+1].Sub(pool.dialled[i]))
					}
				})
			}
			most := time.Second
			for i := range 10 {
				if longest[i] > most || longest[i] < most/2 {
					t.Errorf("%v, %s: up to %v between dials %d and %d, want nearly %v", test.interval, outcome, longest[i], i+1, i+2, most)
				}
				most = min(2*most, test.last)
			}
		}
	}
}

// A host that comes back is read and published as soon as a retry finds it, and keeps its phase.
func TestRecoveryIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pool := &fakePool{connect: func(context.Context, string) error {
			if at := time.Since(start); at > 61*time.Second && at < 5*time.Minute {
				return failure(hosts.Unreachable)
			}
			return nil
		}}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if at := time.Since(start); at > 61*time.Second && at < 5*time.Minute {
				pool.disconnect(host)
				return hosts.Snapshot{}, failure(hosts.Timeout)
			}
			return snapshot(), nil
		}
		seen := run(t, collector.Config{Hosts: fleet(1, time.Minute), Pool: pool}, 8*time.Minute)
		got := seen.of("web-01")
		phase := got[1].Time.UnixNano() % int64(time.Minute)
		recovered := false
		for i, s := range got[1:] {
			inPhase := s.Time.UnixNano()%int64(time.Minute) == phase
			before := got[i]
			if s.Outcome == "ok" && before.Outcome != "ok" {
				recovered = true
				if at := s.Time.Sub(start); at > 6*time.Minute || inPhase {
					t.Errorf("read again after %v, want within a minute of 5m, and not only at its next turn", at)
				}
			} else if s.Outcome == "ok" && !inPhase {
				t.Errorf("a poll at %v is out of phase", s.Time.Sub(start))
			}
		}
		if !recovered {
			t.Error("the host was not read again")
		}
	})
}

// A host that comes and goes is not hurried after: only one that was well for a minute begins anew.
func TestBackOffOfFlappingHost(t *testing.T) {
	for _, test := range []struct {
		well   time.Duration // How long it is well in between.
		within time.Duration // The next dial.
	}{
		{20 * time.Second, 15 * time.Second},
		{3 * time.Minute, time.Second},
	} {
		var longest time.Duration
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				const down = 5 * time.Minute
				bad := func() bool { at := time.Since(start); return at < down || at > down+test.well }
				pool := &fakePool{connect: func(context.Context, string) error {
					if bad() {
						return failure(hosts.Unreachable)
					}
					return nil
				}}
				pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
					if bad() {
						pool.disconnect(host)
						return hosts.Snapshot{}, failure(hosts.Timeout)
					}
					return snapshot(), nil
				}
				seen := run(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, down+test.well+time.Minute)
				for _, s := range seen.of("web-01") {
					if s.Outcome != "timeout" {
						continue
					}
					for _, at := range pool.dialled {
						if at.After(s.Time.Time) {
							longest = max(longest, at.Sub(s.Time.Time))
							return
						}
					}
				}
			})
		}
		if longest > test.within || longest < test.within/2 {
			t.Errorf("well for %v: the next dial up to %v later, want nearly %v", test.well, longest, test.within)
		}
	}
}

// In between, a host that is left alone has its status in each turn, with what was known and how old that is.
func TestBackOffIsReportedEachTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pool := &fakePool{connect: func(context.Context, string) error {
			if time.Since(start) > 15*time.Second {
				return failure(hosts.Unreachable)
			}
			return nil
		}}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if time.Since(start) > 15*time.Second {
				pool.disconnect(host)
				return hosts.Snapshot{}, failure(hosts.Timeout)
			}
			return snapshot(), nil
		}
		seen := run(t, collector.Config{Hosts: fleet(1, time.Second), Pool: pool}, 5*time.Minute)
		got := seen.of("web-01")
		repeated := 0
		for i, s := range got[1:] {
			if gap := s.Time.Sub(got[i].Time.Time); gap > time.Second {
				t.Fatalf("%v between statuses %d and %d", gap, i, i+1)
			}
			if s.Outcome == "ok" {
				continue
			}
			if s.Error == nil || s.StaleSince == nil || s.StaleSince.Sub(start) > 15*time.Second || len(s.Units) != 1 {
				t.Fatalf("status %d: %+v", i+1, s)
			}
			next := strings.Contains(*s.Error, "next try at")
			if next {
				repeated++
			}
		}
		if dials := len(pool.dialled); repeated < 100 || dials > 100 {
			t.Errorf("%d statuses say when the next try is, and there were %d dials", repeated, dials)
		}
	})
}

// A host that refuses the key must not be asked again each interval, which sshd punishes, but is reported each interval.
func TestPersistentTroubleIsNotTriedAgainSoon(t *testing.T) {
	for _, outcome := range []hosts.Outcome{hosts.AuthFailed, hosts.HostKeyUnknown, hosts.HostKeyChanged} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{connect: func(context.Context, string) error { return failure(outcome) }}
			seen := run(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, 5*time.Minute-time.Second)
			if pool.dials["web-01"] != 1 {
				t.Errorf("%s: dialled %d times in five minutes", outcome, pool.dials["web-01"])
			}
			got := seen.of("web-01")
			if len(got) < 30 {
				t.Errorf("%s: %d statuses in five minutes, want one per interval", outcome, len(got))
			}
			for i, s := range got {
				// The last may be so late that the next try is before the next turn.
				says := strings.Contains(*s.Error, ", next try at 2000-01-01T00:05:") || strings.Contains(*s.Error, ", next try at 2000-01-01T00:06:00Z")
				if s.Outcome != string(outcome) || !says && i < len(got)-1 {
					t.Fatalf("outcome %q, error %q; want %q and when it is tried again", s.Outcome, *s.Error, outcome)
				}
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(context.Context, string) error { return failure(hosts.AuthFailed) }}
		run(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, 9*time.Minute)
		if len(pool.dialled) != 2 {
			t.Fatalf("dialled at %v, want twice in nine minutes", pool.dialled)
		}
		if pause := pool.dialled[1].Sub(pool.dialled[0]); pause < 5*time.Minute || pause > 6*time.Minute {
			t.Errorf("dialled again after %v, want 5 to 6 minutes", pause)
		}
	})
}

// What keeps us out may be mended on our side: then no one has to wait for the pause to end.
func TestChangedFilesEndThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pool := &fakePool{changed: map[string]bool{}}
		pool.connect = func(_ context.Context, host string) error {
			if host == "web-01" && time.Since(start) > 35*time.Second {
				return nil
			}
			return failure(hosts.AuthFailed)
		}
		time.AfterFunc(35*time.Second, func() {
			pool.mu.Lock()
			defer pool.mu.Unlock()
			pool.changed["web-01"] = true
		})
		seen := run(t, collector.Config{Hosts: fleet(2, 10*time.Second), Pool: pool}, time.Minute)
		if pool.dials["web-01"] != 2 || pool.dials["web-02"] != 1 {
			t.Errorf("%d dials of the host whose key has changed, %d of the other; want 2 and 1", pool.dials["web-01"], pool.dials["web-02"])
		}
		for _, s := range seen.of("web-01") {
			if want := s.Time.Sub(start) > 45*time.Second; want && s.Outcome != "ok" {
				t.Errorf("%v after the start: %q", s.Time.Sub(start), s.Outcome)
			}
		}
		if got := len(seen.of("web-02")); got < 6 {
			t.Errorf("%d statuses of a paused host in a minute, want one per interval", got)
		}
	})
}

// Trouble that a host reports of itself bothers no one: it is looked at in each turn, not sooner and not later.
func TestHostsThatAnswerAreNotRetried(t *testing.T) {
	for _, outcome := range []hosts.Outcome{hosts.Denied, hosts.NoSystemd, hosts.CommandFailed} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{poll: func(context.Context, string) (hosts.Snapshot, error) { return hosts.Snapshot{}, failure(outcome) }}
			seen := run(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, time.Minute)
			if got := len(seen.of("web-01")); got < 6 || got > 7 || got != pool.polls["web-01"] {
				t.Errorf("%s: %d polls and %d statuses in a minute", outcome, pool.polls["web-01"], got)
			}
		})
	}
}

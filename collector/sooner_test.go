package collector_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
)

// in is a snapshot whose unit is in the given state.
func in(state string) hosts.Snapshot {
	s := snapshot()
	s.Units[0].ActiveState = state
	return s
}

// changed is like in, of a unit that was started n times.
func changed(state string, n int) hosts.Snapshot {
	s := in(state)
	s.Units[0].InvocationID = time.Duration(n).String()
	return s
}

// What happens on a host is followed: soon at first, then ever more rarely, beside its turns.
func TestChangeIsLookedAtSoon(t *testing.T) {
	for _, test := range []struct {
		name     string
		interval time.Duration
		during   string // The state of the unit in the first 3 s after the change.
		after    []time.Duration
	}{
		{"a change", 10 * time.Second, "active", []time.Duration{1, 3, 7, 10, 20, 30}},
		{"a start", 10 * time.Second, "activating", []time.Duration{1, 3, 4, 6, 10, 18, 20, 30}},
		{"a long interval", 30 * time.Second, "active", []time.Duration{1, 3, 7, 15, 30, 60, 90}},
		{"a short interval", time.Second, "active", []time.Duration{1, 2, 3, 4}},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{}
			var change time.Time
			pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
				if pool.polled(host) == 3 {
					change = time.Now()
				}
				switch {
				case change.IsZero():
					return changed("active", 1), nil
				case time.Since(change) < 3*time.Second:
					return changed(test.during, 2), nil
				}
				return changed("active", 2), nil
			}
			seen, stats := observed(t, collector.Config{Hosts: fleet(1, test.interval), Pool: pool, Outbox: &fakeOutbox{}}, 7*test.interval)
			var after []time.Duration
			for _, at := range pool.begun {
				if at.After(change) && len(after) < len(test.after) {
					after = append(after, at.Sub(change))
				}
			}
			extra := 0
			for i := range after {
				if after[i]%test.interval != 0 {
					extra++
				}
				if after[i] != test.after[i]*time.Second {
					t.Fatalf("%s: polls %v after the one that saw it, want %v s", test.name, after, test.after)
				}
			}
			if stats.Looks != uint64(extra) || len(seen.of("web-01")) != len(pool.begun) {
				t.Errorf("%s: %d looks, %d polls and %d statuses", test.name, stats.Looks, len(pool.begun), len(seen.of("web-01")))
			}
			for _, s := range seen.of("web-01") {
				if s.IntervalSeconds != test.interval.Seconds() {
					t.Errorf("%s: a status says that the next one is due in %v s", test.name, s.IntervalSeconds)
				}
			}
		})
	}
}

// However much happens on a host, it is polled at most twice as often as its interval says, and 6 times on top.
func TestLooksAreBounded(t *testing.T) {
	for _, test := range []struct {
		name     string
		interval time.Duration
		poll     func(n int) hosts.Snapshot
		least    int // Looks in 360 intervals.
		most     int
	}{
		{"failed and well in turn", 10 * time.Second, func(n int) hosts.Snapshot { return in([]string{"active", "failed"}[n%2]) }, 350, 366},
		{"failed and well in turn", 5 * time.Minute, func(n int) hosts.Snapshot { return in([]string{"active", "failed"}[n%2]) }, 350, 366},
		{"restarted all the time", 10 * time.Second, func(n int) hosts.Snapshot { return changed("active", n) }, 350, 366},
		{"starting for ever", 10 * time.Second, func(int) hosts.Snapshot { return in("activating") }, 3, 4},
		{"starting for ever", 5 * time.Minute, func(int) hosts.Snapshot { return in("reloading") }, 6, 9},
		{"idle", 10 * time.Second, func(int) hosts.Snapshot { return in("inactive") }, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{}
			pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) { return test.poll(pool.polled(host)), nil }
			_, stats := observed(t, collector.Config{Hosts: fleet(1, test.interval), Pool: pool, Outbox: &fakeOutbox{}}, 360*test.interval)
			if got := int(stats.Looks); got < test.least || got > test.most {
				t.Errorf("%s, %v: %d looks in 360 intervals, want %d to %d", test.name, test.interval, got, test.least, test.most)
			}
			if stats.Overruns+stats.WaitOverruns != 0 {
				t.Errorf("%s: %+v", test.name, stats)
			}
			for i := range pool.begun { // Over any time, the turns, as many looks, and 6.
				for j := i + 1; j < min(i+100, len(pool.begun)); j++ {
					if turns := int(pool.begun[j].Sub(pool.begun[i])/test.interval) + 1; j-i+1 > 2*turns+6 {
						t.Fatalf("%s: %d polls within %v", test.name, j-i+1, pool.begun[j].Sub(pool.begun[i]))
					}
				}
			}
		})
	}
}

// A look goes before no turn: there is none of a host in trouble or too slow, none without a connection, and none in a sweep.
func TestWhatIsNotLookedAt(t *testing.T) {
	flaps := func(n int) (hosts.Snapshot, error) { return in([]string{"active", "failed"}[n%2]), nil }
	for _, test := range []struct {
		name string
		poll func(ctx context.Context, pool *fakePool, n int) (hosts.Snapshot, error)
		box  *fakeOutbox
	}{
		{"it backs off", func(_ context.Context, _ *fakePool, n int) (hosts.Snapshot, error) {
			if n > 1 {
				return in("activating"), failure(hosts.Timeout)
			}
			return snapshot(), nil
		}, nil},
		{"it is denied", func(_ context.Context, _ *fakePool, n int) (hosts.Snapshot, error) {
			if n > 1 {
				return in("activating"), failure(hosts.Denied)
			}
			return snapshot(), nil
		}, nil},
		{"it has no connection", func(_ context.Context, pool *fakePool, n int) (hosts.Snapshot, error) {
			pool.disconnect("web-01")
			return flaps(n)
		}, nil},
		{"it is too slow", func(ctx context.Context, _ *fakePool, n int) (hosts.Snapshot, error) {
			took := 8500 * time.Millisecond // Not so much less that it would get its interval back.
			if n < 4 {
				took = 10500 * time.Millisecond
			}
			if err := sleep(ctx, took); err != nil {
				return hosts.Snapshot{}, err
			}
			return flaps(n)
		}, nil},
		{
			"its events are refused", func(_ context.Context, _ *fakePool, n int) (hosts.Snapshot, error) { return flaps(n) },
			&fakeOutbox{commit: func(string) error { return errInterrupted }},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{}
			pool.poll = func(ctx context.Context, host string) (hosts.Snapshot, error) {
				return test.poll(ctx, pool, pool.polled(host))
			}
			config := collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool, Outbox: test.box}
			if test.box == nil {
				config.Outbox = &fakeOutbox{}
			}
			if _, stats := observed(t, config, 10*time.Minute); stats.Looks > 1 || stats.Polls < 20 {
				t.Errorf("%s: %d looks, %d polls", test.name, stats.Looks, stats.Polls)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(context.Context, string) (hosts.Snapshot, error) { return in("activating"), nil }}
		c, err := collector.New(collector.Config{Name: "fleet-a", Hosts: fleet(3, 10*time.Second), Pool: pool})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Sweep(t.Context()); err != nil || len(pool.begun) != 3 {
			t.Errorf("a sweep of 3 hosts: %d polls, %v", len(pool.begun), err)
		}
	})
}

// A look that is still under way when the turn comes takes its place: no turn is missed, and the next one is kept.
func TestLookTakesThePlaceOfATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		pool.poll = func(ctx context.Context, host string) (hosts.Snapshot, error) {
			switch n := pool.polled(host); {
			case n < 3:
				return changed("active", 1), nil
			case n == 4:
				return changed("active", 2), sleep(ctx, 9500*time.Millisecond)
			}
			return changed("active", 2), nil
		}
		_, stats := observed(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool, Outbox: &fakeOutbox{}}, time.Minute)
		if stats.Looks != 2 || stats.Overruns+stats.WaitOverruns != 0 { // One more follows that turn.
			t.Errorf("%+v", stats)
		}
		if look, turn := pool.begun[3].Sub(pool.begun[2]), pool.begun[4].Sub(pool.begun[2]); look != time.Second || turn != 20*time.Second {
			t.Errorf("looked at %v after the change, and polled %v after it; want 1s and 20s", look, turn)
		}
	})
}

// A fleet that is late with its turns has no looks.
func TestLateFleetIsNotLookedAt(t *testing.T) {
	for _, test := range []struct{ parallel, least, most int }{
		{60, 4 * 60, 4 * 60}, // Each host is followed until its turns are nearer.
		{5, 0, 6},            // Half of the polls wait until the others have ended.
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{poll: func(ctx context.Context, _ string) (hosts.Snapshot, error) {
				return in("activating"), sleep(ctx, 240*time.Millisecond)
			}}
			config := collector.Config{Hosts: fleet(60, 3*time.Second), Pool: pool, Parallel: test.parallel, DialRate: 1000}
			if _, stats := observed(t, config, time.Minute); int(stats.Looks) < test.least/4 || int(stats.Looks) > test.most {
				t.Errorf("%d places: %d looks; want %d to %d", test.parallel, stats.Looks, test.least, test.most)
			}
		})
	}
}

package collector_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// Polls that answer within a moment are never more at a time than there are places.
func TestPollsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(context.Context, string) (hosts.Snapshot, error) {
			time.Sleep(200 * time.Millisecond)
			return snapshot(), nil
		}}
		run(t, collector.Config{Hosts: fleet(300, 10*time.Second), Pool: pool, Parallel: 7, DialRate: 1000}, time.Minute)
		if pool.inPoll.peak != 7 {
			t.Errorf("up to %d polls at a time, want 7", pool.inPoll.peak)
		}
	})
}

// Polls that hang give up their places, up to 8 times as many. Hosts that hung before get none of the places of the others, and leave
// some of the slow ones to those that hang for the first time.
func TestHangingPollsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var again gauge
		pool := &fakePool{}
		pool.poll = func(ctx context.Context, host string) (hosts.Snapshot, error) {
			if host <= "web-50" {
				return snapshot(), sleep(ctx, 50*time.Millisecond)
			}
			if time.Since(start) > 30*time.Second {
				pool.mu.Lock()
				leave := again.enter()
				pool.mu.Unlock()
				defer func() {
					pool.mu.Lock()
					defer pool.mu.Unlock()
					leave()
				}()
			}
			if err := sleep(ctx, 8*time.Second); err != nil {
				return hosts.Snapshot{}, err
			}
			return hosts.Snapshot{}, failure(hosts.Timeout)
		}
		seen := run(t, collector.Config{Hosts: fleet(99, 10*time.Second), Pool: pool, Parallel: 2, DialRate: 1000}, 3*time.Minute)
		if pool.inPoll.peak != 2+16 {
			t.Errorf("up to %d polls at a time, want 2 and 16 that hang", pool.inPoll.peak)
		}
		if again.peak != 16-2 {
			t.Errorf("up to %d polls of hosts that hung before, want 14", again.peak)
		}
		for _, h := range fleet(50, 0) {
			got := seen.of(h.Name)
			for i := 2; i < len(got); i++ {
				gap := got[i].Time.Sub(got[i-1].Time.Time)
				if got[i].Time.Sub(start) > 30*time.Second && (gap > 10*time.Second+200*time.Millisecond || got[i].StaleSince != nil) {
					t.Errorf("%s: %v between polls %d and %d", h.Name, gap, i-1, i)
				}
			}
		}
	})
}

// A poll that finds its connection dead late, dials and polls again, takes no longer than one timeout of each kind.
func TestPollEndsWithinItsTimeouts(t *testing.T) {
	for _, test := range []struct {
		name                string
		first, dial, second time.Duration
		outcome             string
		took                time.Duration
	}{
		{"all is quick", time.Second, time.Second, time.Second, "ok", 3 * time.Second},
		{"the second poll hangs", time.Second, time.Second, time.Hour, "timeout", 10 * time.Second},
		{"the dial hangs", 7900 * time.Millisecond, time.Hour, 0, "unreachable", 12900 * time.Millisecond},
		{"all is late", 7900 * time.Millisecond, 4900 * time.Millisecond, time.Hour, "timeout", 13 * time.Second},
		{"there is just time", 7900 * time.Millisecond, 4900 * time.Millisecond, 200 * time.Millisecond, "ok", 13 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := &lateFirst{}
			pool.connect = func(ctx context.Context, _ string) error {
				if pool.dials["web-01"] == 1 {
					return nil
				}
				return within(ctx, test.dial, 5*time.Second, hosts.Unreachable)
			}
			pool.times = []time.Duration{0, test.first, test.second}
			all := fleet(1, 20*time.Second)
			all[0].Timeout, all[0].ConnectTimeout = 8*time.Second, 5*time.Second
			seen := run(t, collector.Config{Hosts: all, Pool: pool}, 34*time.Second)
			got := seen.of("web-01")
			if len(got) < 2 {
				t.Fatalf("%s: %d statuses", test.name, len(got))
			}
			poll := got[1].Poll
			want := publish.Poll{DurationMS: test.took.Seconds() * 1000, DialMS: min(test.dial, 5*time.Second).Seconds() * 1000}
			if got[1].Outcome != test.outcome || poll != want {
				t.Errorf("%s: %q, %+v; want %q, %+v", test.name, got[1].Outcome, poll, test.outcome, want)
			}
		})
	}
}

// A lateFirst is a pool whose second poll finds the connection dead. Polls keep to the host's timeout.
type lateFirst struct {
	fakePool
	times []time.Duration
}

func (p *lateFirst) Poll(ctx context.Context, h inventory.Host) (hosts.Snapshot, error) {
	p.mu.Lock()
	n := len(p.asked)
	p.asked = append(p.asked, h)
	p.mu.Unlock()
	if n >= len(p.times) {
		return snapshot(), nil
	}
	if err := within(ctx, p.times[n], h.Timeout, hosts.Timeout); err != nil {
		return hosts.Snapshot{}, err
	}
	if n == 1 {
		p.disconnect(h.Name)
		return hosts.Snapshot{}, &hosts.Error{Outcome: hosts.ProtocolError, Err: hosts.ErrNotConnected}
	}
	return snapshot(), nil
}

// within takes d, or fails with outcome when that is longer than limit.
func within(ctx context.Context, d, limit time.Duration, outcome hosts.Outcome) error {
	if err := sleep(ctx, min(d, limit)); err != nil {
		return err
	}
	if d > limit {
		return failure(outcome)
	}
	return nil
}

// The time that a poll waits between a dead connection and its redial is waiting, not work.
func TestWaitingForTheRedialIsNotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(context.Context, string) error { time.Sleep(100 * time.Millisecond); return nil }}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			time.Sleep(10 * time.Millisecond)
			if pool.polled(host) == 2 {
				pool.disconnect(host)
				return hosts.Snapshot{}, &hosts.Error{Outcome: hosts.ProtocolError, Err: hosts.ErrNotConnected}
			}
			return snapshot(), nil
		}
		seen := run(t, collector.Config{Hosts: fleet(30, 10*time.Second), Pool: pool, DialRate: 1}, 2*time.Minute)
		redials, longest := 0, 0.0
		for _, h := range fleet(30, 0) {
			for _, s := range seen.of(h.Name)[1:] {
				if s.Poll.DurationMS == 10 {
					if s.Poll.DialMS != 0 {
						t.Errorf("%s: a poll on a standing connection took %v ms to connect", h.Name, s.Poll.DialMS)
					}
					continue
				}
				redials++
				longest = max(longest, s.Poll.QueuedMS)
				if s.Poll.DurationMS != 120 {
					t.Errorf("%s: a poll of 10 ms, a dial of 100 ms and another poll took %v ms", h.Name, s.Poll.DurationMS)
				}
			}
		}
		if redials != 30 || longest < 1000 {
			t.Errorf("%d polls with a redial, which waited up to %v ms: the test shows nothing", redials, longest)
		}
	})
}

var errInterrupted = errors.New("interrupted")

// A sweep ends, whatever the hosts do, and has each of them exactly once.
func TestSweepOfAFleetInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, _, _ := simulated(1000)
		conditions := []condition{healthy, refusing, vanished, frozen, hungPID1, noAccount}
		s := newSimulation(t, func(host string, _ time.Duration) condition {
			return conditions[int(host[len(host)-1]+host[len(host)-2])%len(conditions)]
		})
		c, err := collector.New(collector.Config{Name: "fleet-a", Hosts: behind(all, "a", "b"), Pool: s, Observe: s.observe})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if took := s.at(); took > 5*time.Second+13*time.Second { // 200 dials per second, then the last poll.
			t.Errorf("the sweep took %v", took)
		}
		for _, h := range all {
			got := s.statuses[h.Name]
			if len(got) != 1 || s.perHost[h.Name] != 1 || got[0].Poll.DurationMS > 13_000 {
				t.Fatalf("%s: %d statuses, %d dials", h.Name, len(got), s.perHost[h.Name])
			}
			if got[0].Error != nil && strings.Contains(*got[0].Error, "next try") {
				t.Errorf("%s: a sweep says when it tries again: %s", h.Name, *got[0].Error)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errInterrupted) })
		if err := c.Sweep(ctx); !errors.Is(err, errInterrupted) {
			t.Errorf("a sweep that was interrupted: %v", err)
		}
	})
}

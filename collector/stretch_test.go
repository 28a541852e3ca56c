package collector_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
)

// observed runs a collector for the given time, and returns what it observed, and its numbers in the end.
func observed(t *testing.T, config collector.Config, d time.Duration) (*record, collector.Stats) {
	t.Helper()
	seen := &record{}
	config.Name, config.Observe = "fleet-a", seen.observe
	c, err := collector.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	c.Run(ctx)
	return seen, c.Stats()
}

// A host whose polls take longer than its interval misses turns, until its interval is stretched: to the multiple that holds its polls,
// in turns that it had before. When the host is as fast as ever, so is its interval.
func TestSlowHostIsStretched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pool := &fakePool{poll: func(ctx context.Context, _ string) (hosts.Snapshot, error) {
			if at := time.Since(start); at > time.Minute && at < 10*time.Minute {
				return snapshot(), sleep(ctx, 25*time.Second)
			}
			return snapshot(), nil
		}}
		seen, stats := observed(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, 20*time.Minute)
		if pool.inPoll.peak != 1 {
			t.Errorf("up to %d polls of one host at a time", pool.inPoll.peak)
		}
		if stats.Overruns != 2*2 || stats.WaitOverruns != 0 || stats.Stretched != 0 {
			t.Errorf("%+v; want each of the first two slow polls to miss two turns", stats)
		}
		got := seen.of("web-01")
		begun := func(i int) time.Time {
			return got[i].Time.Add(-time.Duration(got[i].Poll.DurationMS) * time.Millisecond)
		}
		var slow, long int
		for i := range got {
			if got[i].StaleSince != nil || got[i].Outcome != "ok" || got[i].Poll.QueuedMS != 0 {
				t.Fatalf("status %d: %+v", i, got[i])
			}
			if got[i].Poll.DurationMS > 0 {
				slow++
			}
			if got[i].IntervalSeconds == 30 {
				long++
			}
			if i > 1 && begun(i).Sub(begun(1))%(10*time.Second) != 0 {
				t.Errorf("poll %d began out of phase", i)
			}
			// What a status says of the next one is what consumers wait for.
			if i > 0 && i < len(got)-1 && got[i].IntervalSeconds == got[i-1].IntervalSeconds && got[i].Poll == got[i-1].Poll {
				if gap := got[i].Time.Sub(got[i-1].Time.Time); gap.Seconds() > got[i].IntervalSeconds+got[i].Poll.DurationMS/1000 {
					t.Errorf("poll %d ended %v after the one before, though %v s were told", i, gap, got[i].IntervalSeconds)
				}
			}
		}
		if slow < 17 || slow > 19 || long != slow-1+4 {
			t.Errorf("%d slow polls in 9 minutes, and %d told of an interval of 30 s; want 18 or so, and all but the first, and 4 quick ones",
				slow, long)
		}
		if last := got[len(got)-1]; last.IntervalSeconds != 10 {
			t.Errorf("in the end the interval is %v s", last.IntervalSeconds)
		}
	})
}

// Where a host is not too slow for its interval, this stays as it is.
func TestWhatDoesNotStretch(t *testing.T) {
	for _, test := range []struct {
		name       string
		dial, poll time.Duration // A dial for each poll.
		other      time.Duration // Of every second poll instead.
		fails      bool
		stretched  float64
		overruns   bool
	}{
		{name: "nearly the whole interval", poll: 950 * time.Millisecond, stretched: 1},
		{name: "to be connected to, but quick", dial: 300 * time.Millisecond, poll: 300 * time.Millisecond, stretched: 1},
		{name: "to be connected to", dial: 700 * time.Millisecond, poll: 700 * time.Millisecond, stretched: 2, overruns: true},
		{name: "to be connected to, badly", dial: 4900 * time.Millisecond, poll: 900 * time.Millisecond, stretched: 6, overruns: true},
		{name: "slow now and then", dial: time.Second, poll: 500 * time.Millisecond, other: 10 * time.Millisecond, stretched: 1, overruns: true},
		{name: "hangs", poll: time.Second, fails: true, stretched: 1},
		{name: "connects slowly, then hangs", dial: 3 * time.Second, poll: time.Second, fails: true, stretched: 1, overruns: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{}
			short := func(host string) bool { return test.other > 0 && pool.polled(host)%2 == 1 }
			pool.connect = func(ctx context.Context, host string) error {
				if short(host) {
					return nil
				}
				return sleep(ctx, test.dial)
			}
			pool.poll = func(ctx context.Context, host string) (hosts.Snapshot, error) {
				if test.dial > 0 {
					pool.disconnect(host)
				}
				d := test.poll
				if test.other > 0 && pool.polled(host)%2 == 0 {
					d = test.other
				}
				if err := sleep(ctx, d); err != nil {
					return hosts.Snapshot{}, err
				}
				if test.fails {
					pool.disconnect(host)
					return hosts.Snapshot{}, failure(hosts.Timeout)
				}
				return snapshot(), nil
			}
			all := fleet(1, time.Second)
			all[0].Timeout, all[0].ConnectTimeout = time.Second, 5*time.Second
			seen, stats := observed(t, collector.Config{Hosts: all, Pool: pool}, 5*time.Minute)
			got := seen.of("web-01")
			if last := got[len(got)-1]; last.IntervalSeconds != test.stretched || (stats.Stretched > 0) != (test.stretched > 1) {
				t.Errorf("%s: in the end the interval is %v s, %d hosts stretched; want %v s", test.name,
					last.IntervalSeconds, stats.Stretched, test.stretched)
			}
			if stats.WaitOverruns != 0 || (stats.Overruns > 1) != test.overruns { // The first poll is out of phase, and may miss a turn.
				t.Errorf("%s: %+v", test.name, stats)
			}
			if test.stretched > 1 && stats.Overruns > 2*6 { // Two polls of less than 6 s.
				t.Errorf("%s: %d turns missed, though it was stretched", test.name, stats.Overruns)
			}
		})
	}
}

// What polls wait for places is our doing. It is counted apart, and stretches nothing.
func TestQueueDelayDoesNotStretch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(ctx context.Context, _ string) (hosts.Snapshot, error) {
			return snapshot(), sleep(ctx, 200*time.Millisecond)
		}}
		// 100 polls of 200 ms per second are 20 at a time, and there are 5.
		seen, stats := observed(t, collector.Config{Hosts: fleet(100, time.Second), Pool: pool, Parallel: 5, DialRate: 1000}, time.Minute)
		if stats.Overruns > 5 || stats.Stretched != 0 || stats.WaitOverruns < 3*100*50/4 {
			t.Errorf("%+v; want three turns of four missed, for want of places", stats)
		}
		if stats.Polls < 25*58 || stats.Late < stats.Polls*9/10 || stats.Queued < time.Duration(stats.Polls)*2*time.Second ||
			stats.Worked != time.Duration(stats.Polls)*200*time.Millisecond || stats.Dialled != 0 {
			t.Errorf("%+v; want nearly all polls to have waited for some 4 s", stats)
		}
		for _, s := range seen.of("web-01") {
			if s.IntervalSeconds != 1 {
				t.Fatalf("a host that has to wait has an interval of %v s", s.IntervalSeconds)
			}
		}
	})
}

// A host that is slow is told of when that begins, and when it ends; of many at once their number.
func TestLogsStretches(t *testing.T) {
	for _, n := range []int{1, 90} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			pool := &fakePool{poll: func(ctx context.Context, _ string) (hosts.Snapshot, error) {
				if at := time.Since(start); at > time.Minute && at < 5*time.Minute {
					return snapshot(), sleep(ctx, 15*time.Second)
				}
				return snapshot(), nil
			}}
			counts := map[string]int{}
			for _, l := range logged(t, collector.Config{Hosts: fleet(n, 10*time.Second), Pool: pool, DialRate: 1000}, 10*time.Minute) {
				if l.Changes == nil {
					counts[l.Level]++
				}
				counts["WARN"] += l.Changes["stretched"]
				counts["INFO"] += l.Changes["shortened"]
			}
			if counts["WARN"] != n || counts["INFO"] != n {
				t.Errorf("%d hosts became slow, and fast again; the log has %v", n, counts)
			}
		})
	}
}

// A host that a reload replaces is another one, and begins with its own interval; one that just gets labels is not.
func TestReloadOfStretchedHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(ctx context.Context, _ string) (hosts.Snapshot, error) {
			return snapshot(), sleep(ctx, 15*time.Second)
		}}
		seen := &record{}
		config := collector.Config{Name: "fleet-a", Hosts: fleet(1, 10*time.Second), Pool: pool, Observe: seen.observe}
		c, err := collector.New(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running conc.WaitGroup
		running.Go(func() { c.Run(ctx) })
		reload := func(change func(*inventory.Host)) (interval float64) {
			config.Hosts = append([]inventory.Host(nil), config.Hosts...)
			change(&config.Hosts[0])
			if _, err := c.Reload(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			before := len(seen.of("web-01"))
			for len(seen.of("web-01")) == before {
				time.Sleep(time.Second)
			}
			return seen.of("web-01")[before].IntervalSeconds
		}
		time.Sleep(5 * time.Minute)
		if got := reload(func(h *inventory.Host) { h.Labels = map[string]string{"a": "b"} }); got != 20 || c.Stats().Stretched != 1 {
			t.Errorf("with a new label the interval is %v s, want 20", got)
		}
		time.Sleep(time.Minute)
		if got := reload(func(h *inventory.Host) { h.Address = "10.0.0.2" }); got != 10 || c.Stats().Stretched != 0 {
			t.Errorf("at a new address the interval is %v s, want 10", got)
		}
		time.Sleep(5 * time.Minute)
		if got := c.Stats().Stretched; got != 1 {
			t.Errorf("%d hosts stretched, want 1", got)
		}
		config.Hosts = nil
		if _, err := c.Reload(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := c.Stats().Stretched; got != 0 {
			t.Errorf("%d hosts stretched of none", got)
		}
		cancel()
		running.Wait()
	})
}

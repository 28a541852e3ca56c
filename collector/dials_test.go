package collector_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
)

// Who was well goes first, then who is new, then who has failed; among equals who waits longest.
func TestDialsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		gone := map[string]time.Time{}
		pool.connect = func(_ context.Context, host string) error {
			time.Sleep(200 * time.Millisecond) // One at a time: the queue is never empty.
			if host > "web-20" {
				return failure(hosts.Unreachable)
			}
			return nil
		}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if pool.polled(host) == 2 && host <= "web-10" {
				pool.disconnect(host)
				pool.mu.Lock()
				gone[host] = time.Now()
				pool.mu.Unlock()
				return hosts.Snapshot{}, &hosts.Error{Outcome: hosts.ProtocolError, Err: hosts.ErrNotConnected}
			}
			return snapshot(), nil
		}
		run(t, collector.Config{Hosts: fleet(100, 10*time.Second), Pool: pool, Dials: 1}, 3*time.Minute)
		lost := 0
		tried := map[string]int{}
		for i, host := range pool.order {
			tried[host]++
			switch {
			case host <= "web-10" && tried[host] == 2:
				lost++
				// One dial is under way, one may be of who has waited longest, and another host may have been well too.
				if waited := pool.dialled[i].Sub(gone[host]); waited > 600*time.Millisecond {
					t.Errorf("%s, which was well, was dialled again only %v after it was gone", host, waited)
				}
			case host > "web-20" && tried[host] > 1 && len(tried) < 100:
				t.Errorf("%s, which had failed, was dialled before some new ones", host)
			}
		}
		if lost != 10 || len(tried) != 100 {
			t.Fatalf("%d hosts lost their connections, and %d were dialled", lost, len(tried))
		}
		least, most := 1000, 0
		for host, n := range tried {
			if host > "web-20" {
				least, most = min(least, n), max(most, n)
			}
		}
		if least < most/2 {
			t.Errorf("of hosts in trouble one was dialled %d times, another one %d times", least, most)
		}
	})
}

// Hosts whose connections do not last ask for ten times the dials that there may be. They keep neither a host that has failed nor one
// that is new from being tried.
func TestNoOneWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const back = 30 * time.Second
		start := time.Now()
		pool := &fakePool{}
		pool.connect = func(_ context.Context, host string) error {
			if host > "web-1900" && time.Since(start) < back {
				return failure(hosts.Unreachable)
			}
			return nil
		}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if host <= "web-1900" {
				pool.disconnect(host) // Once it has answered.
			}
			return snapshot(), nil
		}
		all := fleet(1999, time.Second)[1000:] // Names of one length.
		seen := run(t, collector.Config{Hosts: all, Pool: pool, DialRate: 100}, 2*time.Minute)
		for _, h := range all {
			statuses := seen.of(h.Name)
			if len(statuses) == 0 || statuses[len(statuses)-1].Outcome != "ok" {
				t.Errorf("%s was dialled %d times, and is not read though it could be", h.Name, pool.dials[h.Name])
			}
		}
	})
}

// The dial rate holds at the start, in a storm, and for a sweep.
func TestDialRate(t *testing.T) {
	inSecond := func(pool *fakePool) int {
		most, first := 0, 0
		for i, at := range pool.dialled {
			for at.Sub(pool.dialled[first]) >= time.Second {
				first++
			}
			most = max(most, i-first+1)
		}
		return most
	}
	for _, rate := range []int{1, 10, 200, 5000} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{}
			n := min(10*rate, 1000)
			c, err := collector.New(collector.Config{Name: "fleet-a", Hosts: fleet(n, 10*time.Second), Pool: pool, DialRate: rate})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := c.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := time.Duration(n) * time.Second / time.Duration(rate)
			if took := time.Since(start); took > want || took < want-time.Second/time.Duration(rate)-50*time.Millisecond {
				t.Errorf("%d dials, %d per second: took %v", n, rate, took)
			}
			if got, most := inSecond(pool), rate+rate/20+1; got > most {
				t.Errorf("%d per second: %d in one", rate, got)
			}
		})
	}
}

// behind puts the hosts behind jump hosts of these names, in turn.
func behind(fleet []inventory.Host, jumps ...string) []inventory.Host {
	for i := range fleet {
		if len(jumps) > 0 {
			fleet[i].Via = &inventory.Host{Name: jumps[i%len(jumps)]}
		}
	}
	return fleet
}

// The hosts behind one jump host share its places. Meanwhile hosts that go other ways pass them by.
func TestDialsPerJumpHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		inWay := map[string]*gauge{"a": {}, "b": {}, "web": {}}
		pool := &fakePool{}
		pool.connect = func(_ context.Context, host string) error {
			pool.mu.Lock()
			way, _, _ := strings.Cut(host, "-")
			leave := inWay[way].enter()
			pool.mu.Unlock()
			defer func() {
				pool.mu.Lock()
				defer pool.mu.Unlock()
				leave()
			}()
			if way == "a" { // Its jump host is slow, yet not so slow that dials would give up their places.
				time.Sleep(240 * time.Millisecond)
			}
			return nil
		}
		all := fleet(600, time.Minute)
		for i := range all {
			all[i].Name = []string{"a", "b", "web"}[i/200] + strings.TrimPrefix(all[i].Name, "web")
		}
		behind(all[:200], "a")
		behind(all[200:400], "b")
		config := collector.Config{Name: "fleet-a", Hosts: all, Pool: pool, DialsPerJump: 4, Dials: 16, DialRate: 2000}
		seen := &record{}
		config.Observe = seen.observe
		c, err := collector.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if inWay["a"].peak != 4 || inWay["b"].peak > 4 {
			t.Errorf("up to %d and %d dials by a jump host, want 4", inWay["a"].peak, inWay["b"].peak)
		}
		for _, h := range all {
			at := seen.of(h.Name)[0].Time.Sub(start)
			if h.Name[0] != 'a' && at > 400*time.Millisecond {
				t.Errorf("%s waited %v for hosts that go another way", h.Name, at)
			}
		}
		if took := time.Since(start); took != 12*time.Second {
			t.Errorf("200 dials of 240 ms, 4 at a time, took %v", took)
		}
	})
}

// Which way a host goes does not matter for its turn, as long as there is room in it.
func TestDialsAreFairAmongWays(t *testing.T) {
	var orders [][]string
	for _, jumps := range [][]string{nil, {"a", "b", "c", "d", "d", "d"}} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{}
			// One dial at a time: of those that begin together any may be the first to be seen.
			run(t, collector.Config{Hosts: behind(fleet(90, 10*time.Second), jumps...), Pool: pool, DialRate: 19}, 6*time.Second)
			orders = append(orders, pool.order)
		})
	}
	if len(orders[0]) != 90 || !slices.Equal(orders[0], orders[1]) {
		t.Errorf("with jump hosts, hosts are dialled in the order %v; without, %v", orders[1], orders[0])
	}
}

// Dials that hang give up their places, up to a bound: 16 times the places, in all and by each jump host.
func TestHangingDialsAreBounded(t *testing.T) {
	for _, test := range []struct {
		name        string
		config      collector.Config
		jumps       []string
		young, peak int
	}{
		{"direct", collector.Config{Dials: 4}, nil, 4, 4 + 64},
		{"by one jump host", collector.Config{Dials: 40, DialsPerJump: 2}, []string{"a"}, 2, 2 + 32},
		{"by two", collector.Config{Dials: 40, DialsPerJump: 2}, []string{"a", "b"}, 4, 2 * (2 + 32)},
		{"by a narrow way", collector.Config{Dials: 4, DialsPerJump: 1000}, []string{"a"}, 4, 4 + 64},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := &fakePool{connect: func(ctx context.Context, _ string) error {
				return sleep(ctx, 20*time.Second)
			}}
			test.config.Hosts, test.config.Pool, test.config.DialRate = behind(fleet(199, time.Minute), test.jumps...), pool, 100_000
			run(t, test.config, time.Minute)
			if pool.inDial.youngPeak != test.young || pool.inDial.peak != test.peak {
				t.Errorf("%s: up to %d dials at a time, %d of them young; want %d and %d", test.name,
					pool.inDial.peak, pool.inDial.youngPeak, test.peak, test.young)
			}
		})
	}
}

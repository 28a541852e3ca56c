package collector_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// A crowd is a [collector.Pool] of many hosts that are well. It keeps when each was polled, and watches that it is so once at a time.
type crowd struct {
	t      *testing.T
	start  time.Time
	took   func(host string) time.Duration                    // Of a poll. Nil: 20 ms.
	answer func(host string, at time.Duration) hosts.Snapshot // Nil: always the same.
	drops  func(host string) bool                             // Whether the host closes its connection after each poll. Nil: none does.

	mu        sync.Mutex
	connected map[string]bool
	busy      map[string]bool
	polled    map[string][]time.Duration // When the polls began, from the start.
	read      map[string]time.Duration   // When the last answer was.
	oldest    map[string]time.Duration   // The greatest age of the data from the second answer on.
	last      map[string]publish.Status
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	return &crowd{
		t: t, start: time.Now(), connected: map[string]bool{}, busy: map[string]bool{}, polled: map[string][]time.Duration{},
		read: map[string]time.Duration{}, oldest: map[string]time.Duration{}, last: map[string]publish.Status{},
	}
}

func (c *crowd) Connected(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected[host]
}

func (c *crowd) Changed(inventory.Host) bool { return false }

func (c *crowd) Drop(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.connected, host)
}

func (c *crowd) Connect(ctx context.Context, h inventory.Host) error {
	c.mu.Lock()
	c.connected[h.Name] = true
	c.mu.Unlock()
	return sleep(ctx, 10*time.Millisecond)
}

func (c *crowd) Poll(ctx context.Context, h inventory.Host) (hosts.Snapshot, error) {
	took := 20 * time.Millisecond
	if c.took != nil {
		took = c.took(h.Name)
	}
	c.mu.Lock()
	if c.busy[h.Name] {
		c.t.Errorf("%s: two polls at once", h.Name)
	}
	c.busy[h.Name] = true
	begun := time.Since(c.start)
	c.polled[h.Name] = append(c.polled[h.Name], begun)
	c.mu.Unlock()
	err := sleep(ctx, took)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[h.Name] = false
	if err != nil {
		return hosts.Snapshot{}, err
	}
	if read, ok := c.read[h.Name]; ok && len(c.polled[h.Name]) > 2 { // The first turn may come right after the start, or an interval later.
		c.oldest[h.Name] = max(c.oldest[h.Name], time.Since(c.start)-read)
	}
	c.read[h.Name] = begun
	if c.drops != nil && c.drops(h.Name) {
		delete(c.connected, h.Name)
	}
	if c.answer != nil {
		return c.answer(h.Name, time.Since(c.start)), nil
	}
	return snapshot(), nil
}

func (c *crowd) observe(s publish.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[s.Host.Name] = s
}

func (c *crowd) run(config collector.Config, d time.Duration) collector.Stats {
	config.Name, config.Pool, config.Observe = "fleet-a", c, c.observe
	all, err := collector.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), d)
	defer cancel()
	all.Run(ctx)
	return all.Stats()
}

// phases are where in the interval the hosts' last polls began, in absolute time.
func (c *crowd) phases(fleet []inventory.Host, interval time.Duration) map[string]time.Duration {
	phases := make(map[string]time.Duration, len(fleet))
	for _, h := range fleet {
		polled := c.polled[h.Name]
		phases[h.Name] = time.Duration(c.start.Add(polled[len(polled)-1]).UnixNano()) % interval
	}
	return phases
}

// spread is how uneven the given phases are over the parts of an interval: chi-square, which is about parts-1 where they are even.
func spread(phases map[string]time.Duration, interval time.Duration, parts int) float64 {
	counts := make([]float64, parts)
	for _, p := range phases {
		counts[int(p)*parts/int(interval)]++
	}
	even := float64(len(phases)) / float64(parts)
	sum := 0.0
	for _, n := range counts {
		sum += (n - even) * (n - even) / even
	}
	return sum
}

// lot is a number below n that goes by the host's name.
func lot(host string, n uint32) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(host)) // A hash does not fail.
	return h.Sum32() >> 8 % n
}

// large is a fleet of n hosts with the given interval.
func large(n int, interval time.Duration) []inventory.Host {
	fleet := make([]inventory.Host, n)
	for i := range fleet {
		fleet[i] = inventory.Host{
			Name: fmt.Sprintf("web-%05d", i), Group: "web", Interval: interval, Timeout: 8 * time.Second, ConnectTimeout: 5 * time.Second,
		}
	}
	return fleet
}

// 10,000 hosts are polled evenly over the interval, each in the same phase after a restart, and with other hosts around it.
func TestLargeFleetKeepsItsPhases(t *testing.T) {
	const interval, parts = 10 * time.Second, 100
	var first map[string]time.Duration
	for _, test := range []struct{ from, to int }{{0, 10_000}, {2_000, 12_000}} {
		synctest.Test(t, func(t *testing.T) {
			fleet := large(12_000, interval)[test.from:test.to]
			time.Sleep(time.Duration(test.to) * 137 * time.Microsecond) // Another start within the interval.
			c := newCrowd(t)
			stats := c.run(collector.Config{Hosts: fleet, DialRate: 5000}, 25*time.Second)
			phases := c.phases(fleet, interval)
			// The last dials are 2 s after the start: until then some hosts have their first turn.
			if stats.Overruns+stats.Looks != 0 || stats.WaitOverruns > 1000 || stats.Stretched != 0 || stats.Polls < 3*9_900 {
				t.Errorf("%+v", stats)
			}
			// With 99 degrees of freedom one in a million is above 182. A place in one line, or 100 groups at random, has thousands.
			if got := spread(phases, interval, parts); got > 182 {
				t.Errorf("the polls are spread with a chi-square of %v over %d parts of the interval", got, parts)
			}
			same := 0
			for host, p := range phases {
				if before, ok := first[host]; ok {
					same++
					if p != before {
						t.Fatalf("%s was polled in phase %v, now in %v", host, before, p)
					}
				}
			}
			if want := 10_000 - test.from; first != nil && same != want {
				t.Errorf("%d hosts to compare, want %d", same, want)
			}
			if first == nil {
				first = phases
			}
			for host, age := range c.oldest { // The interval, and the poll.
				if age > interval+20*time.Millisecond {
					t.Fatalf("%s: data up to %v old", host, age)
				}
			}
		})
	}
}

// 5,000 hosts of which some have other intervals, some are too slow for theirs, and all of which something happens to, some for ever.
// Each has what is due to it.
func TestLargeFleetOfAllSorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const happens, end = 25 * time.Second, 50 * time.Second
		intervals := []time.Duration{5 * time.Second, 10 * time.Second, 10 * time.Second, 30 * time.Second}
		all := large(5_000, 0)
		slow, turns := 0, 0.0
		isSlow := func(h inventory.Host) bool { return h.Interval == 5*time.Second && lot(h.Name+"/", 20) == 0 }
		byName := make(map[string]inventory.Host, len(all))
		for i := range all {
			all[i].Interval = intervals[lot(all[i].Name, 4)]
			byName[all[i].Name] = all[i]
			turns += end.Seconds() / all[i].Interval.Seconds()
			if isSlow(all[i]) {
				slow++
			}
		}
		c := newCrowd(t)
		c.took = func(host string) time.Duration {
			if isSlow(byName[host]) {
				return 6 * time.Second
			}
			return 20 * time.Millisecond
		}
		c.answer = func(host string, at time.Duration) hosts.Snapshot {
			switch {
			case at < happens:
				return changed("active", 1)
			case lot(host+"!", 50) == 0:
				return changed("active", int(at))
			case at < happens+15*time.Second:
				return changed("activating", 2)
			}
			return changed("active", 2)
		}
		stats := c.run(collector.Config{Hosts: all, Outbox: &fakeOutbox{}, DialRate: 5000}, end)
		if stats.Stretched != slow || slow < 50 || stats.Overruns > uint64(3*slow) || stats.WaitOverruns != 0 {
			t.Errorf("%d slow hosts, and %+v", slow, stats)
		}
		if stats.Looks < 5_000 || float64(stats.Looks) > turns {
			t.Errorf("%d looks, besides %v turns", stats.Looks, turns)
		}
		seconds := make([]int, end/time.Second)
		stretched := map[string]time.Duration{}
		for _, h := range all {
			interval, polled := h.Interval, c.polled[h.Name]
			if isSlow(h) {
				interval *= 2
				stretched[h.Name] = time.Duration(c.start.Add(polled[len(polled)-1]).UnixNano()) % interval
			}
			if got := c.last[h.Name].IntervalSeconds; got != interval.Seconds() {
				t.Fatalf("%s: the interval is %v s, want %v", h.Name, got, interval)
			}
			// The first poll, and two until an interval is stretched.
			if n, want := len(polled), int(end/interval); n < want || n > 2*want+3+6 || isSlow(h) && n > want+3 {
				t.Fatalf("%s: %d polls in %v, with an interval of %v", h.Name, n, end, interval)
			}
			if age := c.oldest[h.Name]; age > interval+c.took(h.Name) && !isSlow(h) {
				t.Fatalf("%s: data up to %v old, with an interval of %v", h.Name, age, interval)
			}
			for _, at := range polled {
				seconds[at/time.Second]++
			}
		}
		// The turns of a second, as many looks, and those that the fleet may have at once.
		perSecond := int(turns/end.Seconds()) + 150 // They are even, but for chance.
		for s, n := range seconds[10:] {
			if s+10 < int(happens/time.Second) && n > perSecond || n > 2*perSecond+len(all)/10 {
				t.Errorf("%d polls in second %d, of %d turns", n, s+10, perSecond)
			}
		}
		// Slow hosts do not meet in one half of their longer interval. With 9 degrees of freedom one in a million is above 44.
		if got := spread(stretched, 10*time.Second, 10); got > 44 {
			t.Errorf("the polls of %d stretched hosts are spread with a chi-square of %v over 10 parts of the interval", len(stretched), got)
		}
	})
}

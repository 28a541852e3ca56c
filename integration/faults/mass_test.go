//go:build integration && linux

package faults_test

import (
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"service_manager/hosts"
	"service_manager/publish"
)

const (
	massInterval = 2 * time.Second
	massRun      = 36 * time.Second
	// What follows from massInterval and the defaults (inventory.Collector).
	massTimeout        = 1600 * time.Millisecond
	massConnectTimeout = 5 * time.Second
	// massGrace is how long a host may be without a first status. All are due at once then, and no one can know which of them
	// will keep a dial waiting until its time-out; a second such wait would be the sick hosts' doing.
	massGrace = massInterval + massConnectTimeout
	// massMemory is what the program may need, most of it for the few hosts that flood.
	massMemory = 256 << 20
)

// TestHalfOfTheFleetIsSick runs the program on a fleet of which half is sick in all the ways there are. The data of the other half must
// stay as fresh as if it were alone, p99 of its age at most 1.5 intervals, also that of hosts that have to be connected to anew now and
// then. Each sick host must be told by its outcome.
//
// A healthy host's age counts from its last ok status; without one, from the start, but is looked at only after massGrace.
func TestHalfOfTheFleetIsSick(t *testing.T) {
	s := newSite(t)
	c := newCrowd(t, s)
	t.Logf("%d healthy hosts, %d sick", len(c.healthy), len(c.sick))
	w := &massWatch{crowd: c, began: time.Now(), lastOK: make(map[string]time.Time), last: make(map[string]time.Time), outcome: make(map[string]string), bad: make(map[string]string)}
	p := start(t, c.hosts, massInterval, w.observe)
	w.began = time.Now()

	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	reconnected := slices.Sorted(maps.Keys(c.proxies))
	frozen, cut := false, 0
	for n := 0; time.Since(w.began) < massRun; n++ {
		<-tick.C
		w.sample()
		if name := reconnected[cut%len(reconnected)]; n%5 == 0 && w.idle(name) {
			c.proxies[name].Cut()
			cut++
		}
		if !frozen && time.Since(w.began) > 2*massGrace {
			frozen = true
			for _, server := range c.freeze {
				freeze(t, server)
			}
		}
	}
	peak := p.peakMemory(t)
	cpu := p.stop(t)
	w.report(t)
	t.Logf("the program: %d MiB at most, %.0f %% of a core; this test, with all servers in it: %.0f %%", peak>>20,
		100*cpu.Seconds()/massRun.Seconds(), 100*ownCPU(t).Seconds()/massRun.Seconds())
	if peak > massMemory {
		t.Errorf("%d MiB of memory, more than %d MiB", peak>>20, massMemory>>20)
	}
}

// A massWatch follows the statuses of a crowd.
type massWatch struct {
	crowd *crowd
	began time.Time

	mu                    sync.Mutex
	firstOK               time.Time            // when the last of the healthy hosts was read for the first time
	lastOK                map[string]time.Time // of healthy hosts
	last                  map[string]time.Time // of sick hosts
	longest               time.Duration        // between two statuses of a sick host
	standing, reconnected []time.Duration      // ages of the data of healthy hosts, and of those whose connections are cut
	outcome               map[string]string    // of sick hosts, the last
	bad                   map[string]string    // what was not expected
}

func (w *massWatch) observe(s publish.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := s.Host.Name
	e, sick := w.crowd.sick[name]
	switch {
	case !sick && s.Outcome != string(hosts.OK):
		w.bad[name] = "it is well, but has outcome " + s.Outcome + ": " + message(s)
	case !sick:
		if w.lastOK[name].IsZero() {
			w.firstOK = s.Time.Time
		}
		w.lastOK[name] = s.Time.Time
	case !slices.Contains(e.outcomes, hosts.Outcome(s.Outcome)):
		w.bad[name] = "outcome " + s.Outcome + ": " + message(s)
	default:
		if before := w.last[name]; !before.IsZero() {
			w.longest = max(w.longest, s.Time.Sub(before))
		}
		w.last[name], w.outcome[name] = s.Time.Time, s.Outcome
	}
}

// idle says that a host was just read, so that its connection stands and nothing goes over it.
func (w *massWatch) idle(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.lastOK[name]) < massInterval/2
}

// sample takes down how old the data of each healthy host is.
func (w *massWatch) sample() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for name := range w.crowd.healthy {
		at, ok := w.lastOK[name]
		switch {
		case !ok && now.Sub(w.began) <= massGrace:
			continue
		case !ok:
			at = w.began
		}
		if w.crowd.proxies[name] != nil {
			w.reconnected = append(w.reconnected, now.Sub(at))
		} else {
			w.standing = append(w.standing, now.Sub(at))
		}
	}
}

func (w *massWatch) report(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, trouble := range w.bad {
		t.Errorf("%s: %s", name, trouble)
	}
	for name := range w.crowd.sick {
		if _, ok := w.last[name]; !ok {
			t.Errorf("%s, which is sick, has no status with its outcome", name)
		}
	}
	for name := range w.crowd.freeze {
		if w.outcome[name] != string(hosts.Timeout) {
			t.Errorf("%s, which is frozen, has outcome %q", name, w.outcome[name])
		}
	}
	first := w.firstOK.Sub(w.began).Round(time.Millisecond)
	if len(w.lastOK) != len(w.crowd.healthy) || first > massGrace {
		t.Errorf("%d of %d healthy hosts were read, the last one after %v; want all within %v", len(w.lastOK), len(w.crowd.healthy), first, massGrace)
	}
	// Its next poll may be due just after one that took all its time has begun.
	if limit := massInterval + massTimeout + massConnectTimeout; w.longest > limit {
		t.Errorf("a sick host had no status for %v, more than %v", w.longest, limit)
	}
	t.Logf("all healthy hosts read after %v; longest between two statuses of a sick host: %v", first, w.longest.Round(time.Millisecond))
	reportAges(t, "hosts on standing connections", w.standing)
	reportAges(t, "hosts whose connections break", w.reconnected)
}

func reportAges(t *testing.T, of string, ages []time.Duration) {
	t.Helper()
	slices.Sort(ages)
	at := func(part float64) time.Duration { return ages[int(part*float64(len(ages)-1))].Round(time.Millisecond) }
	t.Logf("age of the data of healthy %s: p50 %v, p90 %v, p99 %v, most %v", of, at(0.5), at(0.9), at(0.99), at(1))
	if p99, limit := at(0.99), massInterval*3/2; p99 > limit {
		t.Errorf("age of the data of healthy %s: p99 %v, want at most 1.5 intervals, %v", of, p99, limit)
	}
}

// ownCPU is what this process has taken so far.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

package collector_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// A reloadable is a collector that runs, and what is seen of it.
type reloadable struct {
	*collector.Collector
	record
	t      *testing.T
	config collector.Config
	box    *fakeOutbox
}

// startReloadable runs a collector until the test's end, or until what it returns is called.
func startReloadable(t *testing.T, config collector.Config) (*reloadable, func()) {
	t.Helper()
	r := &reloadable{t: t, config: config, box: &fakeOutbox{}}
	if box, ok := config.Outbox.(*fakeOutbox); ok {
		r.box = box
	}
	r.config.Name, r.config.Outbox, r.config.Observe = "fleet-a", r.box, r.observe
	c, err := collector.New(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.Collector = c
	ctx, cancel := context.WithCancel(t.Context())
	var running conc.WaitGroup
	running.Go(func() { c.Run(ctx) })
	return r, func() {
		cancel()
		running.Wait()
	}
}

// reload gives the collector other hosts. Those in alsoKnown are in the inventory, though not to be polled.
func (r *reloadable) reload(fleet []inventory.Host, alsoKnown ...string) collector.Changes {
	r.t.Helper()
	r.config.Hosts = fleet
	r.config.Known = func(host string) bool {
		return slices.Contains(alsoKnown, host) || slices.ContainsFunc(fleet, func(h inventory.Host) bool { return h.Name == host })
	}
	changes, err := r.Reload(r.t.Context(), r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	return changes
}

// since counts the statuses of a host from a moment on.
func (r *record) since(host string, from time.Time) int {
	n := 0
	for _, s := range r.of(host) {
		if !s.Time.Before(from) {
			n++
		}
	}
	return n
}

func TestReloadTouchesOnlyWhatDiffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		before := fleet(5, 100*time.Second)
		r, stop := startReloadable(t, collector.Config{Hosts: before, Pool: pool, Heartbeat: time.Hour})
		time.Sleep(1000 * time.Second)

		after := slices.Clone(before)[:4]                                           // web-05 is gone.
		after[1].Units = []string{"nginx.service"}                                  // web-02 is asked something else,
		after[2].Labels = map[string]string{"env": "prod"}                          // web-03 is called something else.
		after = append(after, inventory.Host{Name: "db-01", Interval: time.Minute}) // db-01 is new.
		polled := func(host string) int { return pool.polled(host) }
		were := map[string]int{"web-01": polled("web-01"), "web-02": polled("web-02"), "web-03": polled("web-03"), "web-05": polled("web-05")}
		at := time.Now()
		if diff := cmp.Diff(collector.Changes{Added: 1, Changed: 2, Removed: 1}, r.reload(after)); diff != "" {
			t.Error("changes (-want +got):\n" + diff)
		}
		time.Sleep(time.Millisecond)
		if got := polled("db-01"); got != 1 {
			t.Errorf("the new host was polled %d times at once", got)
		}
		if got := polled("web-02") - were["web-02"]; got != 1 {
			t.Errorf("the host with another unit was polled %d times at once", got)
		}
		for _, host := range []string{"web-01", "web-03"} {
			if got := polled(host) - were[host]; got != 0 {
				t.Errorf("%s was polled %d times at once, though nothing is to be seen there", host, got)
			}
		}
		time.Sleep(1000 * time.Second)
		stop()
		for _, host := range []string{"web-01", "web-02", "web-03", "web-04", "db-01"} {
			if pool.dials[host] != 1 {
				t.Errorf("%s: %d connections, want the one of before", host, pool.dials[host])
			}
		}
		if got := r.since("web-05", at); got != 0 || polled("web-05") != were["web-05"] || !pool.hasDropped("web-05") {
			t.Errorf("the host that is gone has %d statuses, %d polls more, and its connection was ended: %v", got,
				polled("web-05")-were["web-05"], pool.hasDropped("web-05"))
		}
		if diff := cmp.Diff([]string{"web-05 host.removed"}, r.box.told()); diff != "" {
			t.Error("events (-want +got):\n" + diff)
		}
		last := r.of("web-03")
		if got := last[len(last)-1]; got.Host.Labels["env"] != "prod" || got.Time.Sub(last[len(last)-2].Time.Time) != 100*time.Second {
			t.Errorf("the relabelled host: %+v", got)
		}
		var reloads []string
		for _, n := range r.box.notices {
			if n.Event == publish.CollectorReloaded {
				reloads = append(reloads, fmt.Sprint(n.Hosts, *n.Reload))
			}
		}
		if diff := cmp.Diff([]string{"map[ok:4 pending:1] {1 2 1 <nil>}"}, reloads); diff != "" {
			t.Error("notices (-want +got):\n" + diff)
		}
	})
}

func TestRefusedReloadIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := startReloadable(t, collector.Config{Hosts: fleet(1, time.Minute), Pool: &fakePool{}, Heartbeat: time.Hour})
		time.Sleep(time.Second)
		if err := r.RefuseReload(t.Context(), errors.New("a.toml:1: bad")); err != nil {
			t.Fatal(err)
		}
		stop()
		n := r.box.notices[1]
		if n.Event != publish.CollectorReloadRefused || n.Reload == nil || n.Reload.Error == nil || *n.Reload.Error != "a.toml:1: bad" || n.Hosts["ok"] != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// What waits for a collector that does not run ends with its context.
func TestReloadWithoutRun(t *testing.T) {
	c, err := collector.New(collector.Config{Name: "fleet-a", Pool: &fakePool{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	if _, err := c.Reload(ctx, collector.Config{}); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
}

// Other timeouts are a reason to poll a host at once only where it is in trouble. With another interval there are others by default.
func TestReloadOfTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(_ context.Context, host string) (hosts.Snapshot, error) {
			if host == "web-02" {
				return hosts.Snapshot{}, failure(hosts.CommandFailed)
			}
			return snapshot(), nil
		}}
		all := fleet(2, 1000*time.Second)
		r, stop := startReloadable(t, collector.Config{Hosts: all, Pool: pool})
		defer stop()
		time.Sleep(1500 * time.Second)
		after := slices.Clone(all)
		for i := range after {
			after[i].Timeout, after[i].ConnectTimeout = 4*time.Second, 5*time.Second
		}
		well, sick := pool.polled("web-01"), pool.polled("web-02")
		r.reload(after)
		synctest.Wait()
		if well, sick := pool.polled("web-01")-well, pool.polled("web-02")-sick; well != 0 || sick != 1 {
			t.Errorf("%d polls of the host that is well, and %d of the one in trouble; want 0 and 1", well, sick)
		}
	})
}

// A host that was to be left alone for minutes is tried at once when its settings change.
func TestReloadEndsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(context.Context, string) error { return failure(hosts.AuthFailed) }}
		before := fleet(1, 10*time.Second)
		r, stop := startReloadable(t, collector.Config{Hosts: before, Pool: pool})
		defer stop()
		time.Sleep(time.Minute)
		after := slices.Clone(before)
		after[0].SSH.User = "monitor"
		r.reload(after)
		synctest.Wait()
		if got := pool.dials["web-01"]; got != 2 {
			t.Errorf("%d dials, want the first and one after the reload", got)
		}
	})
}

// A host leaves when its poll has ended, not before; and if it is back by then, nothing has happened.
func TestReloadWaitsForThePollUnderWay(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprintf("back %v", back), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := &fakePool{}
				pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
					if pool.polled(host) > 1 {
						time.Sleep(5 * time.Second)
					}
					return snapshot(), nil
				}
				before := fleet(1, 10*time.Second)
				r, stop := startReloadable(t, collector.Config{Hosts: before, Pool: pool})
				for pool.polled("web-01") < 2 {
					time.Sleep(time.Second)
				}
				r.reload(nil)
				synctest.Wait()
				if pool.hasDropped("web-01") {
					t.Error("the connection was ended with a poll on it")
				}
				if back {
					time.Sleep(time.Second)
					r.reload(before)
				}
				time.Sleep(20 * time.Second)
				stop()
				var want []string
				if !back {
					want = []string{"web-01 host.removed"}
				}
				if diff := cmp.Diff(want, r.box.told()); diff != "" {
					t.Error("events (-want +got):\n" + diff)
				}
				if got := pool.polled("web-01"); pool.inPoll.peak != 1 || back != (got > 2) {
					t.Errorf("%d polls, %d at once", got, pool.inPoll.peak)
				}
			})
		})
	}
}

// A removal that the outbox does not take is tried again; a host that comes back before has not left.
func TestRefusedRemovalIsTriedAgain(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprintf("back %v", back), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var full bool
				box := &fakeOutbox{commit: func(string) error {
					mu.Lock()
					defer mu.Unlock()
					if full {
						return errors.New("the outbox is full")
					}
					return nil
				}}
				setFull := func(to bool) {
					mu.Lock()
					defer mu.Unlock()
					full = to
				}
				before := fleet(1, 10*time.Second)
				r, stop := startReloadable(t, collector.Config{Hosts: before, Pool: &fakePool{}, Outbox: box})
				time.Sleep(time.Minute + time.Second) // Not when the removal is tried.
				setFull(true)
				r.reload(nil)
				time.Sleep(time.Minute + time.Second)
				refused := r.Stats().Refused
				if back {
					r.reload(before)
				}
				setFull(false)
				time.Sleep(time.Minute)
				at := time.Now()
				time.Sleep(time.Minute)
				stop()
				want, statuses := []string{"web-01 host.removed"}, 0
				if back {
					want, statuses = nil, 6
				}
				if diff := cmp.Diff(want, box.told()); diff != "" {
					t.Error("events (-want +got):\n" + diff)
				}
				if refused < 5 || r.since("web-01", at) != statuses {
					t.Errorf("refused %d times; %d statuses in the last minute", refused, r.since("web-01", at))
				}
			})
		})
	}
}

// A host that is in the inventory but no longer selected is not told to be removed, and what happens meanwhile is told when it is back.
// When the inventory drops it too, it is removed.
func TestReloadOfTheSelection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := failsAfter(90 * time.Second)
		before := fleet(2, 10*time.Second)
		r, stop := startReloadable(t, collector.Config{Hosts: before, Pool: pool})
		time.Sleep(time.Minute)
		r.reload(before[:1], "web-02")
		time.Sleep(time.Minute)
		want := []string{"web-01 unit.failed nginx.service"}
		if diff := cmp.Diff(want, r.box.told()); diff != "" {
			t.Error("events (-want +got):\n" + diff)
		}
		r.reload(before)
		time.Sleep(time.Minute)
		want = append(want, "web-02 unit.failed nginx.service")
		if diff := cmp.Diff(want, r.box.told()); diff != "" {
			t.Error("events (-want +got):\n" + diff)
		}
		r.reload(before[:1], "web-02")
		time.Sleep(time.Minute)
		r.reload(before[:1])
		time.Sleep(time.Minute)
		stop()
		want = append(want, "web-02 host.removed")
		if diff := cmp.Diff(want, r.box.told()); diff != "" {
			t.Error("events (-want +got):\n" + diff)
		}
	})
}

// Whatever is reloaded and whenever: no host is polled or committed twice at once, those of the inventory are polled in time, and what
// is told of the others' coming and going is true.
func TestReloadsAtRandom(t *testing.T) {
	const interval = 10 * time.Second
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				nap := func() time.Duration { return time.Duration(rng.Int64N(int64(4 * time.Second))) }
				var mu sync.Mutex
				sleep := func() {
					mu.Lock()
					d := nap()
					mu.Unlock()
					time.Sleep(d)
				}
				pool := &fakePool{connect: func(context.Context, string) error { sleep(); return nil }}
				pool.poll = func(context.Context, string) (hosts.Snapshot, error) { sleep(); return snapshot(), nil }
				box := &fakeOutbox{commit: func(string) error { sleep(); return nil }}
				all := fleet(12, interval)
				for i := range all {
					all[i].Timeout, all[i].ConnectTimeout = 5*time.Second, 5*time.Second
				}
				r, stop := startReloadable(t, collector.Config{Hosts: slices.Clone(all), Pool: pool, Outbox: box, Dials: 3, DialRate: 5})
				for range 60 {
					mu.Lock()
					var some []inventory.Host
					var known []string
					for _, h := range all {
						switch rng.IntN(8) {
						case 0:
						case 1:
							known = append(known, h.Name)
						default:
							h.SSH.Port, h.Interval = rng.IntN(2), interval*time.Duration(1+rng.IntN(2))
							h.Labels = map[string]string{"is": fmt.Sprint(rng.IntN(2))}
							some = append(some, h)
						}
					}
					d := 3 * nap()
					mu.Unlock()
					r.reload(some, known...)
					time.Sleep(d)
				}
				final := all[:6]
				r.reload(final)
				time.Sleep(3 * interval)
				at := time.Now()
				time.Sleep(10 * interval)
				census, err := r.Census(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				stop()
				if pool.inPoll.peak > len(all) || box.overlap {
					t.Errorf("peak %d, overlapping commits %v", pool.inPoll.peak, box.overlap)
				}
				if diff := cmp.Diff(map[string]int{"ok": 6}, census.Hosts); diff != "" {
					t.Error("census (-want +got):\n" + diff)
				}
				for i, h := range all {
					got := r.since(h.Name, at)
					if i < 6 && (got < 8 || got > 11) || i >= 6 && got != 0 {
						t.Errorf("%s: %d statuses in the last 10 intervals", h.Name, got)
					}
					if stored := box.states[h.Name] != nil; stored != (i < 6) {
						t.Errorf("%s: its state is stored: %v", h.Name, stored)
					}
				}
			})
		})
	}
}

// What a host is called and how often it is polled does not concern a poll that is under way or waits.
func TestReloadOfLabelsKeepsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(context.Context, string) error { time.Sleep(5 * time.Second); return nil }}
		all := fleet(3, time.Hour)
		r, stop := startReloadable(t, collector.Config{Hosts: all, Pool: pool, Dials: 1, DialRate: 1})
		time.Sleep(time.Second / 2)
		r.reload(relabelled(all, "a", 2*time.Hour)) // One is being dialled, and two wait.
		time.Sleep(time.Minute)
		for _, h := range all {
			if got := r.of(h.Name); len(got) != 1 || got[0].Outcome != "ok" || pool.dials[h.Name] != 1 {
				t.Errorf("%s: %d statuses and %d dials a minute after the start; want one", h.Name, len(got), pool.dials[h.Name])
			}
		}
		time.Sleep(2 * time.Hour)
		for _, h := range all {
			if got := r.of(h.Name); len(got) != 2 || got[1].Host.Labels["is"] != "a" || got[1].IntervalSeconds != 7200 {
				t.Errorf("%s: %d statuses; want two, the second with its new labels and interval", h.Name, len(got))
			}
		}
		stop()
	})
}

// A turn that comes just when the reload does is kept too.
func TestReloadKeepsATurnThatHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(2, 100*time.Second)
		pool := &busyPool{fakePool: &fakePool{}}
		r, stop := startReloadable(t, collector.Config{Hosts: all, Pool: pool})
		time.Sleep(500 * time.Second)
		pool.busy.Store(int64(100 * time.Second)) // From one host's turn to the next.
		for pool.busy.Load() > 0 {
			time.Sleep(time.Second)
		}
		r.reload(relabelled(all, "a", 100*time.Second))
		at := time.Now()
		synctest.Wait()
		stop()
		for _, h := range all {
			if got := r.since(h.Name, at); got != 1 {
				t.Errorf("%s: %d statuses, want that of the turn that came meanwhile", h.Name, got)
			}
		}
	})
}

// A busyPool keeps the schedule busy once, for so long.
type busyPool struct {
	*fakePool
	busy atomic.Int64
}

func (p *busyPool) Connected(host string) bool {
	time.Sleep(time.Duration(p.busy.Swap(0)))
	return p.fakePool.Connected(host)
}

// relabelled is the fleet with another label and interval.
func relabelled(fleet []inventory.Host, label string, interval time.Duration) []inventory.Host {
	fleet = slices.Clone(fleet)
	for i := range fleet {
		fleet[i].Labels, fleet[i].Interval = map[string]string{"is": label}, interval
	}
	return fleet
}

// A jump host that is polled too is, for the hosts behind it, no more than the way to them.
func TestReloadOfAJumpHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind := func(via inventory.Host) []inventory.Host {
			all := append(fleet(2, 100*time.Second), via)
			all[0].Via, all[1].Via = &via, &inventory.Host{Name: "inner", Via: &via}
			return all
		}
		bastion := inventory.Host{Name: "bastion", Interval: 100 * time.Second}
		pool := &fakePool{}
		r, stop := startReloadable(t, collector.Config{Hosts: behind(bastion), Pool: pool})
		defer stop()
		time.Sleep(150 * time.Second)
		bastion.Labels, bastion.Interval, bastion.Units = map[string]string{"env": "prod"}, time.Minute, []string{"sshd.service"}
		before := pool.polled("web-01") + pool.polled("web-02")
		if diff := cmp.Diff(collector.Changes{Changed: 1}, r.reload(behind(bastion))); diff != "" {
			t.Error("other labels of the jump host: changes (-want +got):\n" + diff)
		}
		synctest.Wait()
		if got := pool.polled("web-01") + pool.polled("web-02") - before; got != 0 {
			t.Errorf("the hosts behind it were polled %d times", got)
		}
		bastion.Address = "10.0.0.1"
		if diff := cmp.Diff(collector.Changes{Changed: 3}, r.reload(behind(bastion))); diff != "" {
			t.Error("another address of the jump host: changes (-want +got):\n" + diff)
		}
		synctest.Wait()
		if got := pool.polled("web-01") + pool.polled("web-02") - before; got != 2 {
			t.Errorf("the hosts behind it were polled %d times, want once each", got)
		}
	})
}

// A reload may have the heartbeats come at another interval, end them, and begin them.
func TestReloadOfTheHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(1, time.Minute)
		r, stop := startReloadable(t, collector.Config{Hosts: all, Pool: &fakePool{}, Heartbeat: 10 * time.Second})
		beats := func(heartbeat time.Duration) (n int) {
			r.config.Heartbeat = heartbeat
			r.reload(all)
			begun := time.Now()
			time.Sleep(10*time.Minute + time.Second/2)
			r.box.mu.Lock()
			defer r.box.mu.Unlock()
			for _, notice := range r.box.notices {
				if notice.Event == publish.CollectorHeartbeat && notice.Time.After(begun) {
					n++
				}
			}
			return n
		}
		for _, test := range []struct {
			heartbeat time.Duration
			want      int
		}{{time.Minute, 10}, {0, 0}, {time.Second, 600}} {
			if got := beats(test.heartbeat); got != test.want {
				t.Errorf("%d heartbeats in 10 minutes at %v, want %d", got, test.heartbeat, test.want)
			}
		}
		stop()
	})
}

// Hosts that leave while they wait to be dialled hold up no one.
func TestReloadEmptiesTheDialQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		r, stop := startReloadable(t, collector.Config{Hosts: fleet(1000, time.Minute), Pool: pool, Dials: 1, DialRate: 1})
		defer stop()
		time.Sleep(10 * time.Second)
		r.reload([]inventory.Host{{Name: "db-01", Interval: time.Minute}})
		time.Sleep(2 * time.Second)
		if got := pool.polled("db-01"); got != 1 || r.Stats().DialsWaiting != 0 {
			t.Errorf("%d polls of the new host; %+v", got, r.Stats())
		}
		time.Sleep(time.Minute)
		if got := len(pool.order); got > 15 {
			t.Errorf("%d dials", got)
		}
	})
}

// A host that the inventory drops while it is just being deselected is removed nonetheless.
func TestReloadRemovesAHostThatIsLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(1, 10*time.Second)
		pool := &slowDrops{fakePool: &fakePool{}}
		r, stop := startReloadable(t, collector.Config{Hosts: all, Pool: pool})
		time.Sleep(15 * time.Second)
		r.reload(nil, "web-01")
		time.Sleep(time.Second)
		r.reload(nil)
		time.Sleep(time.Minute)
		stop()
		if diff := cmp.Diff([]string{"web-01 host.removed"}, r.box.told()); diff != "" {
			t.Error("events (-want +got):\n" + diff)
		}
	})
}

// slowDrops takes 2 s to end a connection.
type slowDrops struct{ *fakePool }

func (p *slowDrops) Drop(host string) {
	time.Sleep(2 * time.Second)
	p.fakePool.Drop(host)
}

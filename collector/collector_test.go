package collector_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
	"service_manager/publish"
)

// A fakePool is a fleet without SSH. Its hosts behave as poll and connect say; it keeps what a pool would keep.
type fakePool struct {
	connect func(ctx context.Context, host string) error
	poll    func(ctx context.Context, host string) (hosts.Snapshot, error)

	mu        sync.Mutex
	connected map[string]bool
	changed   map[string]bool
	dials     map[string]int
	polls     map[string]int
	now, peak struct{ dials, polls int }
}

func (p *fakePool) Connected(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connected[host]
}

func (p *fakePool) Connect(ctx context.Context, h inventory.Host) error {
	p.count(&p.dials, h.Name, &p.now.dials, &p.peak.dials)
	defer p.leave(&p.now.dials)
	var err error
	if p.connect != nil {
		err = p.connect(ctx, h.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connected == nil {
		p.connected = make(map[string]bool)
	}
	p.connected[h.Name] = err == nil
	return err
}

func (p *fakePool) Poll(ctx context.Context, h inventory.Host) (hosts.Snapshot, error) {
	p.count(&p.polls, h.Name, &p.now.polls, &p.peak.polls)
	defer p.leave(&p.now.polls)
	if p.poll == nil {
		return snapshot(), nil
	}
	return p.poll(ctx, h.Name)
}

func (p *fakePool) Changed(h inventory.Host) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed[h.Name]
}

func (p *fakePool) count(calls *map[string]int, host string, now, peak *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *calls == nil {
		*calls = make(map[string]int)
	}
	(*calls)[host]++
	*now++
	*peak = max(*peak, *now)
}

func (p *fakePool) leave(now *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*now--
}

func (p *fakePool) disconnect(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected[host] = false
}

func snapshot() hosts.Snapshot {
	return hosts.Snapshot{
		Manager: systemctl.Manager{Version: "252", State: "running", FailedUnits: new(0)},
		BootID:  "b",
		Units:   []systemctl.Unit{{Name: "nginx.service", LoadState: "loaded", ActiveState: "active", SubState: "running"}},
	}
}

func failure(outcome hosts.Outcome) error {
	return &hosts.Error{Outcome: outcome, Target: "monitor@web-01:22", Err: fmt.Errorf("it is %s", outcome)}
}

func fleet(n int, interval time.Duration) []inventory.Host {
	fleet := make([]inventory.Host, n)
	for i := range fleet {
		fleet[i] = inventory.Host{Name: fmt.Sprintf("web-%02d", i+1), Group: "web", Interval: interval}
	}
	return fleet
}

// A record keeps the statuses of each host in the order they came.
type record struct {
	mu       sync.Mutex
	statuses map[string][]publish.Status
}

func (r *record) observe(s publish.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statuses == nil {
		r.statuses = make(map[string][]publish.Status)
	}
	r.statuses[s.Host.Name] = append(r.statuses[s.Host.Name], s)
}

func (r *record) of(host string) []publish.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statuses[host]
}

// run runs a collector for the given time, and returns what it observed.
func run(t *testing.T, config collector.Config, d time.Duration) *record {
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
	return seen
}

func TestNewWantsItsParts(t *testing.T) {
	for _, config := range []collector.Config{{}, {Name: "a"}, {Pool: &fakePool{}}} {
		if _, err := collector.New(config); err == nil {
			t.Errorf("New(%+v) gave no error", config)
		}
	}
}

func TestEveryHostOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		start := time.Now()
		config := collector.Config{Hosts: fleet(50, 10*time.Second), Pool: pool, DialRate: 1e9}
		seen := run(t, config, 100*time.Second+time.Millisecond)
		for _, h := range fleet(50, 0) {
			got := seen.of(h.Name)
			if len(got) != 11 || got[0].Time.Sub(start) != 0 {
				t.Fatalf("%s: %d statuses, the first %v after the start; want 11 and at once", h.Name, len(got), got[0].Time.Sub(start))
			}
			for i := 2; i < len(got); i++ {
				if gap := got[i].Time.Sub(got[i-1].Time.Time); gap != 10*time.Second {
					t.Fatalf("%s: %v between polls %d and %d", h.Name, gap, i-1, i)
				}
			}
			if pool.dials[h.Name] != 1 {
				t.Errorf("%s: %d connections, want 1", h.Name, pool.dials[h.Name])
			}
		}
	})
}

// A poll that takes longer than the interval makes the host miss turns. Its status is repeated meanwhile, and says that it is old.
func TestSlowHostMissesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(context.Context, string) (hosts.Snapshot, error) {
			time.Sleep(25 * time.Second)
			return snapshot(), nil
		}}
		seen := &record{}
		c, err := collector.New(collector.Config{Name: "fleet-a", Hosts: fleet(1, 10*time.Second), Pool: pool, Observe: seen.observe})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		c.Run(ctx)
		if pool.peak.polls != 1 {
			t.Errorf("up to %d polls of one host at a time", pool.peak.polls)
		}
		if got := pool.polls["web-01"]; got < 19 || got > 24 {
			t.Errorf("%d polls of 25 s in 10 min, want one every 30 s or so", got)
		}
		if got := c.Stats().Overruns; got < 36 || got > 42 {
			t.Errorf("%d turns missed, want two of three", got)
		}
		got := seen.of("web-01")
		for i, s := range got[1:] {
			if gap := s.Time.Sub(got[i].Time.Time); gap >= 20*time.Second { // The next turn tells it at the latest.
				t.Fatalf("%v between statuses %d and %d", gap, i, i+1)
			}
			if s.StaleSince != nil && (s.Outcome != "ok" || s.Error != nil || s.Poll.DurationMS != 0 || len(s.Units) != 1) ||
				s.StaleSince == nil && s.Poll.DurationMS != 25_000 {
				t.Fatalf("status %d: %+v", i+1, s)
			}
		}
	})
}

// A healthy host that loses its connection gets the next free dial, however many hosts in trouble wait for one.
func TestReconnectGoesBeforeHostsInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(_ context.Context, host string) error {
			if host == "web-01" {
				return nil
			}
			time.Sleep(5 * time.Second)
			return failure(hosts.Unreachable)
		}}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if pool.polls[host]%2 == 0 { // Every second poll finds the connection dead.
				pool.disconnect(host)
				return hosts.Snapshot{}, &hosts.Error{Outcome: hosts.ProtocolError, Err: hosts.ErrNotConnected}
			}
			return snapshot(), nil
		}
		// 99 hosts in trouble take two dials for 250 s a turn.
		seen := run(t, collector.Config{Hosts: fleet(100, 10*time.Second), Pool: pool, Dials: 2}, 30*time.Minute)
		got := seen.of("web-01")
		for i, s := range got[1:] {
			if gap := s.Time.Sub(got[i].Time.Time); gap > 15*time.Second && s.Time.Sub(got[0].Time.Time) > 5*time.Minute {
				t.Fatalf("%v between polls %d and %d", gap, i, i+1)
			}
			if s.Outcome != "ok" {
				t.Fatalf("poll %d: outcome %q", i+1, s.Outcome)
			}
		}
	})
}

// A pooled connection found dead is dialled again once, within the same poll, and is no outcome of its own.
func TestDeadConnectionIsDialledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		broken := true
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if pool.dials[host] == 1 && pool.polls[host] == 2 || broken && pool.polls[host] > 3 {
				pool.disconnect(host)
				return hosts.Snapshot{}, &hosts.Error{Outcome: hosts.ProtocolError, Err: hosts.ErrNotConnected}
			}
			return snapshot(), nil
		}
		seen := run(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, 25*time.Second)
		var outcomes []string
		for _, s := range seen.of("web-01")[:3] { // Later ones are retries.
			outcomes = append(outcomes, s.Outcome)
		}
		if got := strings.Join(outcomes, " "); got != "ok ok protocol_error" {
			t.Errorf("outcomes %q, want ok, ok after dialling again, then an error when that did not help", got)
		}
	})
}

func TestPanicIsOneHostsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(_ context.Context, host string) (hosts.Snapshot, error) {
			if host == "web-01" {
				panic("a bug")
			}
			return snapshot(), nil
		}}
		seen := run(t, collector.Config{Hosts: fleet(2, 10*time.Second), Pool: pool}, time.Minute)
		first, second := seen.of("web-01"), seen.of("web-02")
		if len(first) < 6 || first[5].Outcome != "protocol_error" || !strings.Contains(*first[5].Error, "a bug") {
			t.Errorf("%d statuses of the host whose poll panics: %+v", len(first), first)
		}
		if len(second) < 6 || second[5].Outcome != "ok" {
			t.Errorf("%d statuses of the other host", len(second))
		}
	})
}

func TestStatusTellsWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pool := &fakePool{}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			switch pool.polls[host] {
			case 1, 3, 4:
				return hosts.Snapshot{}, failure(hosts.Timeout)
			}
			return snapshot(), nil
		}
		seen := run(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool, Epoch: "e"}, 45*time.Second)
		got := seen.of("web-01")
		if len(got) < 5 {
			t.Fatalf("%d statuses", len(got))
		}
		never, fresh, old, older, again := got[0], got[1], got[2], got[3], got[4]
		if never.System != nil || len(never.Units) != 0 || never.StaleSince != nil {
			t.Errorf("never read, yet has system %v, units %v, stale since %v", never.System, never.Units, never.StaleSince)
		}
		want := "monitor@web-01:22: it is timeout (since " + start.UTC().Format(time.RFC3339) + ")"
		if never.Outcome != "timeout" || *never.Error != want {
			t.Errorf("outcome %q, error %q; want %q", never.Outcome, *never.Error, want)
		}
		for _, s := range []publish.Status{fresh, again} {
			if s.Outcome != "ok" || s.Error != nil || s.StaleSince != nil || len(s.Units) != 1 || *s.System.State != "running" {
				t.Errorf("read, yet %+v", s)
			}
		}
		for _, s := range []publish.Status{old, older} {
			if s.Outcome != "timeout" || s.StaleSince == nil || !s.StaleSince.Equal(fresh.Time.Time) || len(s.Units) != 1 || s.System == nil {
				t.Errorf("not read, yet %+v", s)
			}
		}
		if since := strings.Cut; *old.Error != *older.Error {
			_, a, _ := since(*old.Error, "since")
			_, b, _ := since(*older.Error, "since")
			t.Errorf("the trouble began at %q, and at %q one poll later", a, b)
		}
		if old.ID == older.ID || old.Epoch != "e" || old.Collector != "fleet-a" || old.IntervalSeconds != 10 {
			t.Errorf("envelope %+v", old)
		}
	})
}

func TestQueueDelayIsToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(context.Context, string) error { time.Sleep(200 * time.Millisecond); return nil }}
		seen := run(t, collector.Config{Hosts: fleet(3, time.Minute), Pool: pool, Dials: 1}, 900*time.Millisecond)
		delays := map[float64]bool{}
		for _, h := range fleet(3, 0) {
			poll := seen.of(h.Name)[0].Poll
			delays[poll.QueuedMS] = true
			if poll.DurationMS != 200 {
				t.Errorf("%s: took %v ms, want 200", h.Name, poll.DurationMS)
			}
		}
		if !delays[0] || !delays[200] || !delays[400] {
			t.Errorf("queued for %v ms, want 0, 200 and 400", delays)
		}
	})
}

// An outbox in the shape that the collector knows.
type fakeOutbox struct {
	mu     sync.Mutex
	newest map[string]publish.Message
}

func (o *fakeOutbox) PutStatus(host string, m publish.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.newest[host] = m
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(_ context.Context, host string) error {
			if host == "web-02" {
				return failure(hosts.Unreachable)
			}
			return nil
		}}
		box := &fakeOutbox{newest: map[string]publish.Message{}}
		c, err := collector.New(collector.Config{Name: "fleet-a", Hosts: fleet(3, time.Minute), Pool: pool, Outbox: box, Dials: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		for i, want := range []string{"ok", "unreachable", "ok"} {
			host := fmt.Sprintf("web-%02d", i+1)
			m := box.newest[host]
			var body publish.Status
			if err := json.Unmarshal(m.Body, &body); err != nil {
				t.Fatalf("%s: %v", host, err)
			}
			if m.Key != "status.web."+host || m.Outcome != want || body.Outcome != want || pool.dials[host] != 1 {
				t.Errorf("%s: key %q, outcome %q, %d dials; want outcome %q", host, m.Key, m.Outcome, pool.dials[host], want)
			}
		}
	})
}

func TestInterruptedPollSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{poll: func(ctx context.Context, _ string) (hosts.Snapshot, error) {
			<-ctx.Done()
			return hosts.Snapshot{}, failure(hosts.Timeout)
		}}
		start := time.Now()
		seen := run(t, collector.Config{Hosts: fleet(3, 10*time.Second), Pool: pool}, 15*time.Second)
		if got := time.Since(start); got != 15*time.Second {
			t.Errorf("ended after %v, want at once after 15 s", got)
		}
		if len(seen.statuses) != 0 {
			t.Errorf("statuses of polls that were interrupted: %+v", seen.statuses)
		}
	})
}

// A fleet in trouble must not fill the log: one line when a host's outcome changes, not one per poll.
func TestLogsChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if pool.polls[host] > 2 && pool.polls[host] < 10 {
				return hosts.Snapshot{}, failure(hosts.Timeout)
			}
			return snapshot(), nil
		}
		var log bytes.Buffer
		run(t, collector.Config{
			Hosts: fleet(1, 10*time.Second), Pool: pool,
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo})),
		}, 3*time.Minute)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "outcome=timeout") || !strings.Contains(lines[1], "outcome=ok") ||
			!strings.Contains(lines[0], "host=web-01") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

func TestEpochsGrow(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	earlier, later := collector.NewEpoch(now), collector.NewEpoch(now.Add(time.Millisecond))
	if earlier >= later || collector.NewEpoch(now) == earlier {
		t.Errorf("epochs %q, then %q", earlier, later)
	}
}

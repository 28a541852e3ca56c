package collector_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/publish"
)

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
			if pool.polled(host)%2 == 0 { // Every second poll finds the connection dead.
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
			if pool.dials[host] == 1 && pool.polled(host) == 2 || broken && pool.polled(host) > 3 {
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

// What an observer or the outbox does wrong costs a status, and not the host's next poll, nor the collector.
func TestPanicOfAnObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		var log bytes.Buffer
		c, err := collector.New(collector.Config{
			Name: "fleet-a", Hosts: fleet(1, 10*time.Second), Pool: pool,
			Observe: func(publish.Status) { panic("a bug") },
			Log:     slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.Run(ctx)
		if pool.polls["web-01"] < 6 || !strings.Contains(log.String(), "a bug") {
			t.Errorf("%d polls in a minute; log:\n%s", pool.polls["web-01"], log.String())
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(ctx context.Context, host string) error {
			if host > "web-60" { // The others hang in their polls.
				return sleep(ctx, time.Hour)
			}
			return nil
		}}
		pool.poll = func(ctx context.Context, _ string) (hosts.Snapshot, error) { return snapshot(), sleep(ctx, time.Hour) }
		config := collector.Config{Name: "fleet-a", Hosts: fleet(99, time.Minute), Pool: pool, Dials: 2, Parallel: 1}
		c, err := collector.New(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running conc.WaitGroup
		running.Go(func() { c.Run(ctx) })
		time.Sleep(50 * time.Second)
		synctest.Wait()
		got := c.Stats()
		connected := len(pool.connected) // None of the dials that hang has ended.
		cancel()
		running.Wait()
		want := collector.Stats{
			DialsWaiting: 99 - connected - 34, DialsInFlight: 34, DialsSlow: 32,
			PollsWaiting: connected - 9, PollsInFlight: 9, PollsSlow: 8,
		}
		got.Overruns, got.WaitOverruns = 0, 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

func TestStatusTellsWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pool := &fakePool{}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			switch pool.polled(host) {
			case 1, 3, 4:
				return hosts.Snapshot{}, failure(hosts.CommandFailed)
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
		want := "monitor@web-01:22: it is command_failed (since " + start.UTC().Format(time.RFC3339) + ")"
		if never.Outcome != "command_failed" || *never.Error != want {
			t.Errorf("outcome %q, error %q; want %q", never.Outcome, *never.Error, want)
		}
		for _, s := range []publish.Status{fresh, again} {
			if s.Outcome != "ok" || s.Error != nil || s.StaleSince != nil || len(s.Units) != 1 || *s.System.State != "running" {
				t.Errorf("read, yet %+v", s)
			}
		}
		for _, s := range []publish.Status{old, older} {
			if s.Outcome != "command_failed" || s.StaleSince == nil || !s.StaleSince.Equal(fresh.Time.Time) || len(s.Units) != 1 || s.System == nil {
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

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{connect: func(_ context.Context, host string) error {
			if host == "web-02" {
				return failure(hosts.Unreachable)
			}
			return nil
		}}
		box := &fakeOutbox{}
		c, err := collector.New(collector.Config{Name: "fleet-a", Hosts: fleet(3, time.Minute), Pool: pool, Outbox: box, Dials: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		for i, want := range []string{"ok", "unreachable", "ok"} {
			host := fmt.Sprintf("web-%02d", i+1)
			if got := box.newest[host].Outcome; got != want || pool.dials[host] != 1 {
				t.Errorf("%s: outcome %q, %d dials; want outcome %q", host, got, pool.dials[host], want)
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

package collector_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
)

// A line is what a test looks at of a log line.
type line struct {
	Time    time.Time      `json:"time"`
	Level   string         `json:"level"`
	Host    string         `json:"host"`
	Outcome string         `json:"outcome"`
	Changes map[string]int `json:"changes"`
}

// logged runs a collector and returns its log.
func logged(t *testing.T, config collector.Config, d time.Duration) []line {
	t.Helper()
	var log bytes.Buffer
	config.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	run(t, config, d)
	var lines []line
	for decoder := json.NewDecoder(&log); decoder.More(); {
		var l line
		if err := decoder.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// A fleet in trouble must not fill the log: one line when a host's outcome changes, not one per poll or status.
func TestLogsChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if n := pool.polled(host); n > 2 && n < 10 {
				return hosts.Snapshot{}, failure(hosts.Timeout)
			}
			return snapshot(), nil
		}
		lines := logged(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, 3*time.Minute)
		if len(lines) != 2 || lines[0].Outcome != "timeout" || lines[0].Level != "WARN" || lines[1].Outcome != "ok" ||
			lines[1].Level != "INFO" || lines[0].Host != "web-01" {
			t.Errorf("log: %+v", lines)
		}
	})
}

// Globs that could not be resolved anew are told of, though the poll is well.
func TestLogsUnresolvedGlobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			s := snapshot()
			if pool.polled(host) == 2 {
				s.GlobsErr = failure(hosts.CommandFailed)
			}
			return s, nil
		}
		lines := logged(t, collector.Config{Hosts: fleet(1, 10*time.Second), Pool: pool}, time.Minute)
		if len(lines) != 1 || lines[0].Level != "WARN" || lines[0].Host != "web-01" {
			t.Errorf("log: %+v", lines)
		}
	})
}

// When thousands of hosts go away at once the log has a line for some of them, and one per second for all others.
func TestLogSumsUpManyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		bad := func() bool { at := time.Since(start); return at > 25*time.Second && at < 50*time.Second }
		pool := &fakePool{}
		pool.poll = func(_ context.Context, host string) (hosts.Snapshot, error) {
			if bad() {
				if host < "web-50" {
					return hosts.Snapshot{}, failure(hosts.Denied)
				}
				return hosts.Snapshot{}, failure(hosts.CommandFailed)
			}
			return snapshot(), nil
		}
		lines := logged(t, collector.Config{Hosts: fleet(2000, 10*time.Second), Pool: pool}, 80*time.Second)
		counts := map[string]int{}
		perSecond := map[time.Time]int{}
		for _, l := range lines {
			perSecond[l.Time.Truncate(time.Second)]++
			if l.Changes == nil {
				counts[l.Outcome]++
			}
			for outcome, n := range l.Changes {
				counts[outcome] += n
			}
		}
		if counts["denied"] < 500 || counts["denied"]+counts["command_failed"] != 2000 || counts["ok"] != 2000 {
			t.Errorf("the log tells of these changes: %v; want 2,000 to trouble and as many back", counts)
		}
		for second, n := range perSecond {
			if n > 2*(20+1) { // The collector's seconds begin with a change.
				t.Errorf("%d lines in the second %v", n, second)
			}
		}
		if len(lines) < 400 || len(lines) > 600 {
			t.Errorf("%d lines for 4,000 changes in 20 seconds", len(lines))
		}
	})
}

// The sum is logged when its second is over, though nothing else happens, or when the collector ends before.
func TestLogIsWhole(t *testing.T) {
	for _, end := range []time.Duration{500 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			pool := &fakePool{connect: func(context.Context, string) error { return failure(hosts.Denied) }}
			lines := logged(t, collector.Config{Hosts: fleet(50, time.Hour), Pool: pool}, end)
			if len(lines) != 21 || lines[20].Changes["denied"] != 30 {
				t.Fatalf("after %v: %+v", end, lines)
			}
			if at := lines[20].Time.Sub(start); at != min(end, time.Second) {
				t.Errorf("the sum was logged after %v, of %v", at, end)
			}
		})
	}
}

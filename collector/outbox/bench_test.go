package outbox_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

func openBench(b *testing.B, path string) *outbox.Outbox {
	b.Helper()
	o, err := outbox.Open(outbox.Config{Path: path, Collector: "fleet-a"})
	if err != nil {
		b.Fatal(err)
	}
	return o
}

// BenchmarkCommit commits a state of 5 KB with one event, from so many goroutines at a time.
func BenchmarkCommit(b *testing.B) {
	state := bytes.Repeat([]byte("x"), 5000)
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n, "_goroutines"), func(b *testing.B) {
			o := openBench(b, filepath.Join(b.TempDir(), "state.db"))
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg conc.WaitGroup
			for g := range n {
				wg.Go(func() {
					for h := 0; left.Add(-1) >= 0; h++ {
						host := fmt.Sprintf("host-%d-%d", g, h%10)
						if err := o.Commit(host, state, changes(host, 1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(b.N)/float64(o.Stats().Commits), "commits/transaction")
			if err := o.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkTakeSettle hands events out and has them deleted; those beyond the cache are read from the file.
func BenchmarkTakeSettle(b *testing.B) {
	o := openBench(b, filepath.Join(b.TempDir(), "state.db"))
	fillBench(b, o, 1000, b.N/1000+1, 600)
	window := make([]publish.Message, 0, 1000)
	b.ResetTimer()
	for n := 0; n < b.N; {
		for len(window) < cap(window) {
			m, ok := o.Take()
			if !ok {
				break
			}
			window = append(window, m)
		}
		for _, m := range window {
			o.Settle(m, publish.Confirmed)
		}
		n += len(window)
		window = window[:0]
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := o.Close(); err != nil {
		b.Error(err)
	}
}

// fillBench commits events of so many bytes more than an empty one.
func fillBench(b *testing.B, o *outbox.Outbox, hosts, each, bytes int) {
	b.Helper()
	state := []byte(strings.Repeat("x", 5000))
	var wg conc.WaitGroup
	for h := range hosts {
		wg.Go(func() {
			host := fmt.Sprintf("host-%05d", h)
			events := changes(host, each)
			for i := range events {
				events[i].Host.Labels = map[string]string{"long": strings.Repeat("x", bytes)}
			}
			if err := o.Commit(host, state, events); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkOpen opens a file with the states of 10,000 hosts, and one with 200,000 events that wait.
func BenchmarkOpen(b *testing.B) {
	for name, n := range map[string]struct{ hosts, each int }{"10000_states": {10_000, 0}, "200000_events": {1000, 200}} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "state.db")
			o := openBench(b, path)
			fillBench(b, o, n.hosts, n.each, 600)
			if err := o.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				o := openBench(b, path)
				if err := o.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

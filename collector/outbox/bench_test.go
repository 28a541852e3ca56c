package outbox_test

import (
	"fmt"
	"path/filepath"
	"strings"
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

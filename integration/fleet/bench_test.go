package fleet

import (
	"runtime"
	"slices"
	"testing"

	"service_manager/hosts/journalctl"
)

// What it takes to start a host, and what a host without a connection holds.
func BenchmarkStart(b *testing.B) {
	const hosts = 1000
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before, after := held(), uint64(0)
	for b.Loop() {
		f, err := Start(Config{Hosts: hosts, Seed: 1, Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		after = held()
		f.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/hosts, "µs/host")
	b.ReportMetric(float64(after-min(before, after))/hosts, "B/host")
}

// What a look at a journal that is followed costs: half a second of a host.
func BenchmarkFollow(b *testing.B) {
	all := simulate(Config{Hosts: 5, Seed: 1})
	h := all[slices.IndexFunc(all, func(h *host) bool { return h.find("nginx.service") != nil })]
	now := start().UnixMicro()
	b.ReportAllocs()
	for b.Loop() {
		next := now + followEvery.Microseconds()
		h.journal(journalctl.Query{Unit: "nginx.service"}, now, next)
		now = next
	}
}

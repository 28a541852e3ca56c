package fleet

import (
	"runtime"
	"slices"
	"testing"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
	"service_manager/inventory"
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

// BenchmarkPoll is a poll of a simulated host, both sides in one process, in each mode.
func BenchmarkPoll(b *testing.B) {
	for _, mode := range []string{inventory.ModeExec, inventory.ModeStream} {
		b.Run(mode, func(b *testing.B) {
			f, err := Start(Config{Hosts: 1, Steady: true, Dir: b.TempDir(), Mode: mode})
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			inv, err := inventory.Load(f.InventoryPath())
			if err != nil {
				b.Fatal(err)
			}
			pool := hosts.New(hosts.Config{})
			defer pool.Close()
			if err := pool.Connect(b.Context(), inv.Hosts[0]); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pool.Poll(b.Context(), inv.Hosts[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"service_manager/cmd/service_manager/web"
	"service_manager/publish"
)

// discard is a client that reads everything, and keeps nothing.
type discard struct {
	header http.Header
	bytes  int64
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(p []byte) (int, error) {
	n, err := io.Discard.Write(p)
	d.bytes += int64(n)
	return n, err
}

// large is a fleet of 10,000 hosts with 10 units each.
func large(units bool) web.Config {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("web-%05d", i)
	}
	c := config(names...)
	c.UnitMetrics = units
	for _, name := range names {
		c.Latest.Observe(status(name, tenUnits()...))
	}
	return c
}

func tenUnits() []publish.Unit {
	units := make([]publish.Unit, 10)
	for i := range units {
		u := unit(fmt.Sprintf("service-%d.service", i), "active")
		u.Description, u.UnitFileState, u.Result, u.InvocationID = new("A service"), new("enabled"), new("success"), new("0123456789abcdef0123456789abcdef")
		u.Since, u.Restarts, u.MainPID, u.MemoryBytes = &publish.HostTime{Time: at}, new(0), new(1234), new(uint64(12345678))
		u.CPUSeconds, u.Tasks, u.NeedDaemonReload = new(1.5), new(uint64(7)), new(false)
		units[i] = u
	}
	return units
}

// What 10,000 hosts cost when they are asked for. Heap-MB is what the heap grows to with one answer after the other.
func BenchmarkLargeFleet(b *testing.B) {
	for _, row := range []struct {
		name, path string
		units      bool
	}{
		{"metrics", "/metrics", false},
		{"metrics with units", "/metrics", true},
		{"hosts", "/api/v1/hosts", false},
		{"ready", "/readyz", false},
	} {
		b.Run(row.name, func(b *testing.B) {
			h, err := web.NewHandler(large(row.units))
			if err != nil {
				b.Fatal(err)
			}
			var size int64
			b.ReportAllocs()
			for b.Loop() {
				w := &discard{header: http.Header{}}
				h.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, row.path, http.NoBody))
				size = w.bytes
			}
			b.ReportMetric(float64(size)/1e6, "MB")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys)/1e6, "heap-MB")
		})
	}
}

// What a status costs that is kept, beside making it.
func BenchmarkObserve(b *testing.B) {
	c := config("web-01")
	s := status("web-01", tenUnits()...)
	b.ReportAllocs()
	for b.Loop() {
		c.Latest.Observe(s)
	}
}

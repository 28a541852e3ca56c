//go:build unix

package knownhosts_test

import (
	"syscall"
	"testing"
	"time"

	"service_manager/hosts/knownhosts"
)

// BenchmarkFirstDials has the whole fleet dialled once, the loading of the file included. The metric is the CPU time per host, which
// does not depend on what else the machine does.
func BenchmarkFirstDials(b *testing.B) {
	for _, hashed := range []bool{false, true} {
		path, keys := fleetFile(b, hashed)
		b.Run(kind(hashed), func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				var index knownhosts.Index
				for host := range fleetHosts {
					dial(b, &index, path, host, keys)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N)/fleetHosts, "cpu-ns/host")
		})
	}
}

// cpuTime is what the process has used so far (getrusage(2)).
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

package change

import (
	"fmt"
	"testing"
	"time"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/publish"
)

// benchmarked is a poll of a host with that many units that run.
func benchmarked(units int) Poll {
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	p := Poll{
		Host: web01(), Observed: at, Outcome: hosts.OK, System: &publish.System{State: new("running"), Systemd: new("252")},
		Snapshot: hosts.Snapshot{BootID: bootA, Manager: systemctl.Manager{UserspaceTime: new(at)}},
	}
	for i := range units {
		p.Snapshot.Units = append(p.Snapshot.Units, systemctl.Unit{
			Name: fmt.Sprintf("microservice-%03d.service", units-i), Description: "One of many", LoadState: "loaded", ActiveState: "active",
			SubState: "running", UnitFileState: "enabled", Result: "success", Since: new(at), StateChange: new(at),
			InvocationID: fmt.Sprintf("%032x", i), Restarts: new(0), MainPID: new(100 + i), NeedDaemonReload: new(false),
		})
	}
	return p
}

// compared is a baseline that has seen p.
func compared(tb testing.TB, p Poll) *Baseline {
	tb.Helper()
	b := NewBaseline(State{}, Flapping{})
	step := b.Compare(p)
	if err := step.Commit(func([]byte, []publish.Event) error { return nil }); err != nil {
		tb.Fatal(err)
	}
	return b
}

func BenchmarkCompareUnchanged(b *testing.B) {
	for _, units := range []int{20, 100} {
		b.Run(fmt.Sprintf("units=%d", units), func(b *testing.B) {
			baseline, p := compared(b, benchmarked(units)), benchmarked(units)
			b.ReportAllocs()
			for b.Loop() {
				step := baseline.Compare(p)
				if err := step.Commit(nil); err != nil || step.changed {
					b.Fatalf("changed %v, error %v", step.changed, err)
				}
			}
		})
	}
}

func BenchmarkCompareRestarted(b *testing.B) {
	for _, units := range []int{20, 100} {
		b.Run(fmt.Sprintf("units=%d", units), func(b *testing.B) {
			baseline, p := compared(b, benchmarked(units)), benchmarked(units)
			p.Snapshot.Units[7].InvocationID = "new"
			b.ReportAllocs()
			for b.Loop() {
				if step := baseline.Compare(p); len(step.Events) != 1 {
					b.Fatalf("events %v", step.Events)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, units := range []int{20, 100} {
		b.Run(fmt.Sprintf("units=%d", units), func(b *testing.B) {
			state := compared(b, benchmarked(units)).State()
			var size int
			b.ReportAllocs()
			for b.Loop() {
				data, err := state.Encode()
				if err != nil {
					b.Fatal(err)
				}
				size = len(data)
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, units := range []int{20, 100} {
		b.Run(fmt.Sprintf("units=%d", units), func(b *testing.B) {
			data, err := compared(b, benchmarked(units)).State().Encode()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestUnchangedCostsNothing keeps a poll without a change, the usual one, free of allocations.
func TestUnchangedCostsNothing(t *testing.T) {
	for _, units := range []int{0, 20, 100} {
		baseline, p := compared(t, benchmarked(units)), benchmarked(units)
		if allocations := testing.AllocsPerRun(100, func() {
			step := baseline.Compare(p)
			_ = step.Commit(nil)
		}); allocations > 0 {
			t.Errorf("%d units: %v allocations", units, allocations)
		}
	}
}

package collector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestNextStaysInPhase(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		interval := time.Duration(1 + random.Int64N(int64(time.Hour)))
		phase := time.Duration(random.Int64N(int64(interval)))
		now := time.Unix(random.Int64N(4e9), random.Int64N(1e9))
		got := next(now, phase, interval)
		if wait := got.Sub(now); wait <= 0 || wait > interval {
			t.Fatalf("next(%v, %v, %v) is %v away", now, phase, interval, wait)
		}
		if time.Duration(got.UnixNano())%interval != phase {
			t.Fatalf("next(%v, %v, %v) = %v is out of phase", now, phase, interval, got)
		}
	}
}

// The polls of a fleet must not come in bursts: of 10,000 hosts, each tenth of the interval gets a tenth, give or take a fifth.
func TestPhasesSpread(t *testing.T) {
	const interval = 10 * time.Second
	var tenths [10]int
	for i := range 10_000 {
		p := phase("fleet-a", fmt.Sprintf("web-%05d", i), interval)
		if p < 0 || p >= interval {
			t.Fatalf("phase %v of web-%05d is not within the interval", p, i)
		}
		tenths[p/time.Second]++
	}
	if low, high := slices.Min(tenths[:]), slices.Max(tenths[:]); low < 800 || high > 1200 {
		t.Errorf("hosts per tenth of the interval: %v", tenths)
	}
	if phase("a", "web-01", interval) == phase("b", "web-01", interval) {
		t.Error("two collectors poll a host in the same phase")
	}
}

func TestAgendaOrders(t *testing.T) {
	start := time.Unix(1e9, 0)
	var todo agenda
	if todo.first() != nil {
		t.Error("an empty agenda has a first host")
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, i := range random.Perm(100) {
		// Three share each moment; among them the phase decides.
		todo.add(&watch{due: start, alarm: start.Add(time.Duration(i/3) * time.Second), phase: time.Duration(i)})
	}
	for i := range 100 {
		w := todo.first()
		if w.phase != time.Duration(i) {
			t.Fatalf("host %d came when %d was to come", w.phase, i)
		}
		w.alarm = start.Add(time.Hour)
		w.phase += 100
		todo.rearrange(w)
	}
	if w := todo.first(); w.phase != 100 || len(todo) != 100 {
		t.Errorf("%d hosts after one round, host %d first", len(todo), w.phase)
	}
}

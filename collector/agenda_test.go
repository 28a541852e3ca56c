package collector

import (
	"fmt"
	"math/rand/v2"
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

// A turn comes once, also where the clock on the wall is behind.
func TestATurnComesOnce(t *testing.T) {
	const interval, phase = 10 * time.Second, 3 * time.Second
	due := time.Unix(1e9+3, 0)
	at := due.Add
	for now, want := range map[time.Duration]time.Duration{
		0:                       interval,
		50 * time.Microsecond:   interval,
		-time.Nanosecond:        interval,
		-time.Microsecond:       interval,
		-time.Millisecond:       interval,
		-4 * time.Second:        interval,
		9999 * time.Millisecond: interval,
		interval:                2 * interval,
		25 * time.Second:        3 * interval,
	} {
		if got := after(due, at(now), phase, interval); !got.Equal(at(want)) {
			t.Errorf("%v after it was due, the next turn is %v after that, want %v", now, got.Sub(due), want)
		}
	}
	// The first one is at once, whatever its phase, and the next may be soon.
	if got := after(at(-time.Second), at(-time.Second), phase, interval); !got.Equal(due) {
		t.Errorf("behind the first turn comes %v", got)
	}
}

// The polls of a fleet must not come in bursts: names that count, whatever they look like, are spread as dice would.
func TestPhasesSpread(t *testing.T) {
	const hosts, parts = 10_000, 100
	for _, format := range []string{"web-%05d", "web-%d", "h%d", "node%04d.rack.example", "%d-db-a"} {
		for _, interval := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, time.Minute, time.Hour} {
			var counts [parts]float64
			for i := range hosts {
				p := phase("fleet-a", fmt.Sprintf(format, i), interval)
				if p < 0 || p >= interval {
					t.Fatalf("phase %v of host %d is not within the interval", p, i)
				}
				counts[p*parts/interval]++
			}
			const even = float64(hosts) / parts
			chiSquare := 0.0
			for _, n := range counts {
				chiSquare += (n - even) * (n - even) / even
			}
			if chiSquare > 182 { // With 99 degrees of freedom, one in a million.
				t.Errorf("%s, %v: the phases have a chi-square of %v", format, interval, chiSquare)
			}
		}
	}
	if phase("a", "web-01", time.Second) == phase("b", "web-01", time.Second) {
		t.Error("two collectors poll a host in the same phase")
	}
}

// A whole multiple of an interval has turns that the interval has too: who is stretched keeps its phase.
func TestPhasesOfMultiplesAgree(t *testing.T) {
	for i := range 1000 {
		host := fmt.Sprintf("web-%d", i)
		interval, multiple := time.Duration(1+i)*time.Second/7, time.Duration(1+i%9)
		if one, many := phase("fleet-a", host, interval), phase("fleet-a", host, multiple*interval); many%interval != one {
			t.Fatalf("%s: phase %v of %v, but %v of %d times as much", host, one, interval, many, multiple)
		}
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

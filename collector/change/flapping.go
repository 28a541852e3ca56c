package change

import (
	"cmp"
	"time"
)

// Flapping bounds how many events a unit makes.
type Flapping struct {
	Burst  int           // How many at once; 0 means 6.
	Refill time.Duration // When one more; 0 means 10 s.
}

func (f Flapping) burst() int { return cmp.Or(f.Burst, 6) }

func (f Flapping) refill() time.Duration { return cmp.Or(f.Refill, 10*time.Second) }

// A bucket is what is left of a unit's events. The zero bucket is full.
type bucket struct {
	full       time.Time // When it is full, if no event is taken.
	suppressed int       // Polls that differed from the baseline and found it empty, since the last event.
}

// take takes an event out of the bucket, if there is one. A clock that was set back does not keep it empty.
func (b *bucket) take(f Flapping, now time.Time) bool {
	room := min(max(b.full.Sub(now), 0), time.Duration(f.burst())*f.refill())
	taken := room <= time.Duration(f.burst()-1)*f.refill()
	if taken {
		room += f.refill()
	}
	b.full = now.Add(room)
	return taken
}

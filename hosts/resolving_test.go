package hosts

import (
	"fmt"
	"testing"
	"time"
)

// Hosts that were first polled in the same second are not resolved in the same second again.
func TestNextResolvingIsSpread(t *testing.T) {
	now := time.Now()
	var slots [12]int
	for i := range 12_000 {
		d := nextResolving(now, fmt.Sprintf("web-%05d", i)).Sub(now)
		if d < resolveEvery || d > resolveEvery+resolveSpread {
			t.Fatalf("host %d is due after %v", i, d)
		}
		slots[min(11, (d-resolveEvery)*12/resolveSpread)]++
	}
	for i, n := range slots {
		if n < 500 || n > 1500 {
			t.Errorf("%d of 12,000 hosts in slot %d of 12", n, i)
		}
	}
	if a, b := nextResolving(now, "web-01"), nextResolving(now, "web-01"); !a.Equal(b) {
		t.Errorf("due at %v and %v", a, b)
	}
}

package publish

import (
	"testing"
	"time"
)

func TestEpochsGrow(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	earlier, later := NewEpoch(now), NewEpoch(now.Add(time.Millisecond))
	if earlier >= later || NewEpoch(now) == earlier {
		t.Errorf("epochs %q, then %q", earlier, later)
	}
}

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

func TestNextEpochIsGreater(t *testing.T) {
	now := time.Now()
	for what, last := range map[string]string{
		"before":      NewEpoch(now.Add(-time.Hour)),
		"just now":    NewEpoch(now),
		"in future":   NewEpoch(now.Add(24 * time.Hour)),
		"end of year": NewEpoch(time.Date(2099, 12, 31, 23, 59, 59, 999e6, time.UTC)),
		"none":        "",
	} {
		if next := NextEpoch(last, now); next <= last || next < NewEpoch(now)[:19] {
			t.Errorf("%s: after %q comes %q", what, last, next)
		}
	}
	if next := NextEpoch("garbage", now); next[:19] != NewEpoch(now)[:19] {
		t.Errorf("after garbage comes %q", next)
	}
}

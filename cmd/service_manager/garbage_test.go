package main

import (
	"runtime/debug"
	"testing"
)

func TestGarbageIsLimitedUnlessTheEnvironmentSays(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	for _, test := range []struct {
		set  string
		want int
	}{{"80", 77}, {"off", 77}, {"", garbage}} {
		t.Setenv("GOGC", test.set)
		limitGarbage()
		if got := debug.SetGCPercent(77); got != test.want {
			t.Errorf("GOGC=%s: %d%%, want %d%%", test.set, got, test.want)
		}
	}
}

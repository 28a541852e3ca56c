//go:build integration && linux

package faults_test

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// TestGoroutines polls hosts that misbehave in all ways, again and again. The goroutines that this takes must not grow in number, and
// when the pool is closed none may be left, though the servers go on.
func TestGoroutines(t *testing.T) {
	const (
		polls   = 3 // of each
		perHost = 6 // of a connection that stands
	)
	s := newSite(t)
	all, _ := s.misbehave(t)
	for i := range all {
		hurry(&all[i]) // Whatever the outcome.
	}
	// Goroutines inherit the label, so that those of the servers are told from the collector's.
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("side", "collector")))
	o := observe(t, all...)
	pprof.SetGoroutineLabels(t.Context())
	for range polls {
		o.next(t)
		if n, stacks := labelled(t, `"side":"collector"`); n == 0 || n > perHost*len(all) {
			t.Errorf("%d goroutines for %d hosts:\n%s", n, len(all), stacks)
		}
	}
	o.close()
	// golang.org/x/crypto/ssh's own notice a moment later that their connection was closed.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		n, stacks := labelled(t, `"side":"collector"`)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left after Close:\n%s", n, stacks)
		}
	}
}

// labelled counts the goroutines that have a label, and returns their stacks.
func labelled(t *testing.T, label string) (n int, stacks string) {
	t.Helper()
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(profile.String(), "\n") // The heading.
	var found []string
	for stack := range strings.SplitSeq(text, "\n\n") {
		if !strings.Contains(stack, label) {
			continue
		}
		var same int
		if _, err := fmt.Sscanf(stack, "%d @", &same); err != nil {
			t.Fatalf("a stack that cannot be read: %v: %s", err, stack)
		}
		n += same
		found = append(found, stack)
	}
	return n, strings.Join(found, "\n\n")
}

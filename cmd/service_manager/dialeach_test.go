package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/inventory"
)

// Limits hold together, and a full jump host holds up only who is behind it.
func TestDialEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list []inventory.Host
		bastion := &inventory.Host{Name: "bastion"}
		for i := range 40 {
			list = append(list, inventory.Host{Name: fmt.Sprintf("behind-%d", i), Via: bastion})
		}
		for i := range 40 {
			list = append(list, inventory.Host{Name: fmt.Sprintf("direct-%d", i)})
		}
		var (
			mu     sync.Mutex
			now    = map[bool]int{}
			peak   = map[bool]int{}
			all    int
			ended  = map[bool]time.Time{}
			begins []time.Time
		)
		change := func(behind bool, by int) {
			mu.Lock()
			defer mu.Unlock()
			now[behind] += by
			peak[behind] = max(peak[behind], now[behind])
			all = max(all, now[true]+now[false])
			if by > 0 {
				begins = append(begins, time.Now())
			}
			ended[behind] = time.Now()
		}
		limits := inventory.Collector{Dials: 8, DialsPerJump: 2, DialRate: 100}
		dialEach(t.Context(), limits, list, func(h inventory.Host) inventory.Host { return h }, func(h inventory.Host) {
			change(h.Via != nil, +1)
			time.Sleep(time.Second)
			change(h.Via != nil, -1)
		})
		if len(begins) != len(list) || all != 8 || peak[true] != 2 || peak[false] < 6 {
			t.Errorf("%d dials, up to %d at a time, %d behind the jump host, %d others", len(begins), all, peak[true], peak[false])
		}
		if !ended[false].Before(ended[true].Add(-10 * time.Second)) {
			t.Errorf("the hosts behind the jump host were done at %v, the others at %v", ended[true], ended[false])
		}
		for i := 1; i < len(begins); i++ {
			if gap := begins[i].Sub(begins[i-1]); gap < 9*time.Millisecond {
				t.Fatalf("dial %d came %v after the one before", i, gap)
			}
		}
	})
}

// Whose turn has not come when the context ends is left out, at once.
func TestDialEachInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		began := time.Now()
		var mu sync.Mutex
		dialled := 0
		dialEach(ctx, inventory.Collector{Dials: 2, DialsPerJump: 1, DialRate: 100}, make([]inventory.Host, 50),
			func(h inventory.Host) inventory.Host { return h }, func(inventory.Host) {
				mu.Lock()
				dialled++
				mu.Unlock()
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			})
		if took := time.Since(began); dialled != 4 || took != 1500*time.Millisecond {
			t.Errorf("%d dials in %v", dialled, took)
		}
	})
}

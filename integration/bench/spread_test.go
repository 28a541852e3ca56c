package bench

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		calls := map[int][]int{}
		n, err := spread(t.Context(), 3, 10*time.Second, func(worker, i int) error {
			mu.Lock()
			calls[worker] = append(calls[worker], i)
			mu.Unlock()
			time.Sleep(4 * time.Second)
			return nil
		})
		want := map[int][]int{0: {0, 1, 2}, 1: {0, 1, 2}, 2: {0, 1, 2}}
		if diff := cmp.Diff(want, calls); diff != "" || n != 9 || err != nil {
			t.Errorf("%d calls, error %v (-want +got):\n%s", n, err, diff)
		}
	})
}

func TestSpreadEnds(t *testing.T) {
	full, over := errors.New("full"), errors.New("over")
	for name, tc := range map[string]struct {
		failing int // The worker that fails.
		want    error
	}{
		"by an error":    {1, full},
		"by the context": {-1, over},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(3500*time.Millisecond, func() { cancel(over) })
				_, err := spread(ctx, 3, time.Hour, func(worker, i int) error {
					time.Sleep(time.Second)
					if worker == tc.failing && i == 1 {
						return full
					}
					return nil
				})
				if !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
			})
		})
	}
}

// No two of the committers may commit the same host at a time, and together they have all.
func TestTurn(t *testing.T) {
	for _, n := range []int{1, 3, 100, 999, committedHosts} {
		owner := map[string]int{}
		for worker := range n {
			for i := range 2 * (committedHosts/n + 1) {
				host := turn(worker, i, n)
				if other, taken := owner[host]; taken && other != worker {
					t.Fatalf("%d committers: both %d and %d have %s", n, other, worker, host)
				}
				owner[host] = worker
			}
		}
		if len(owner) != committedHosts {
			t.Errorf("%d committers have %d hosts", n, len(owner))
		}
	}
}

package main

import (
	"context"
	"slices"

	"github.com/sourcegraph/conc"
	"golang.org/x/time/rate"

	"service_manager/inventory"
)

// dialEach calls dial for each item, in a goroutine of its own, within the inventory's limits for connections: so many at a time, so many of
// them behind one jump host, and so many begun per second. They are begun in their order, but for those that wait for a jump host. It
// returns when all calls have; those whose turn has not come when ctx ends are left out.
func dialEach[T any](ctx context.Context, limits inventory.Collector, items []T, host func(T) inventory.Host, dial func(T)) {
	var (
		dials   conc.WaitGroup
		free    = limits.Dials
		behind  = make(map[string]int) // by the name of the jump host
		ended   = make(chan string, len(items))
		pace    = rate.NewLimiter(rate.Limit(limits.DialRate), 1)
		waiting = slices.Clone(items)
	)
	defer dials.Wait()
	for len(waiting) > 0 {
		next := -1
		if free > 0 {
			next = slices.IndexFunc(waiting, func(item T) bool {
				via := host(item).Via
				return via == nil || behind[via.Name] < limits.DialsPerJump
			})
		}
		if next < 0 {
			select {
			case jump := <-ended:
				free++
				behind[jump]--
			case <-ctx.Done():
				return
			}
			continue
		}
		if pace.Wait(ctx) != nil {
			return
		}
		item, jump := waiting[next], ""
		waiting = slices.Delete(waiting, next, next+1)
		if via := host(item).Via; via != nil {
			jump = via.Name
		}
		free--
		behind[jump]++
		dials.Go(func() {
			defer func() { ended <- jump }()
			dial(item)
		})
	}
}

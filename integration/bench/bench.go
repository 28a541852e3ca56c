package bench

import (
	"context"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/pool"
)

// A Run says how to measure.
type Run struct {
	Rounds int           // How often each thing is measured, in turn with its floor. The median counts.
	For    time.Duration // How long a measurement lasts. What is under way then is waited for, and counts.
	Broker string        // URL of a RabbitMQ, with an account that may declare and delete exchanges and queues.
	Dir    string        // Where state files are made, and removed. It decides which disk is measured.
	// Scenes chooses those of fleet that are measured, by their names; nil: all.
	Scenes *regexp.Regexp
	// Profiles is a folder for the profiles of the program with simulated hosts, to be read with `go tool pprof`. Empty: they are not kept.
	Profiles string
	Hosting
	Sizes
}

// Hosting is what real hosts are made of.
type Hosting struct {
	Stack   string   // The folder integration/stack.
	Project string   // The Compose project that containers are labelled with.
	Peers   []string // Which of AllPeers take part in a sweep.
}

// Sizes are those of what is measured.
type Sizes struct {
	Hosts      []int // That commit and publish events at a time.
	Committers []int // That commit at a time.
	States     int   // In a state file that is opened.
	Waiting    int   // Events in another one.

	Fleets    []int           // Simulated hosts that are polled.
	Interval  time.Duration   // From one poll of such a host to its next.
	Changing  int             // Simulated hosts on which something changes that is waited for,
	Intervals []time.Duration // at each of these.

	Swept   int   // Real hosts in a sweep.
	Watched []int // Units on a real host that is polled.
}

// FullSizes are those that the tables are about.
func FullSizes() Sizes {
	return Sizes{
		Hosts: []int{100, 1000}, Committers: []int{1, 100, 1000}, States: 10_000, Waiting: 200_000,
		Fleets: []int{1000, 5000, 10_000}, Interval: 10 * time.Second,
		Changing: 200, Intervals: []time.Duration{time.Second, 5 * time.Second, 10 * time.Second},
		Swept: 50, Watched: []int{5, 20, 100},
	}
}

// spread has n workers call do again and again for a time, each with 0, 1, 2 and so on, and returns how many calls there were. It
// ends at the first error.
func spread(ctx context.Context, n int, d time.Duration, do func(worker, i int) error) (int, error) {
	var calls atomic.Int64
	until := time.Now().Add(d)
	workers := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	for w := range n {
		workers.Go(func(ctx context.Context) error {
			for i := 0; time.Now().Before(until); i++ {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := do(w, i); err != nil {
					return err
				}
				calls.Add(1)
			}
			return nil
		})
	}
	err := workers.Wait()
	return int(calls.Load()), err
}

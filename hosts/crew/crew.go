// Package crew runs short jobs in goroutines that it keeps for the next ones.
//
// A poll is several jobs that wait for one another. A goroutine for each begins with a small stack, and to have that grow takes as long as
// many of these jobs do.
package crew

import (
	"sync"
	"sync/atomic"

	"github.com/sourcegraph/conc"
)

// most is how many workers without a job a crew keeps.
const most = 64

// A Crew runs jobs, each of them at once, as many as there are. It is safe for concurrent use.
type Crew struct {
	jobs    chan func() // To a worker that waits for one.
	ended   chan struct{}
	waiting atomic.Int64

	mu      sync.Mutex
	over    bool // ended is closed.
	workers conc.WaitGroup
}

// New returns a crew, which is to be ended by Wait.
func New() *Crew {
	return &Crew{jobs: make(chan func()), ended: make(chan struct{})}
}

// Do begins a job, and does not wait for it. When the crew has ended the job has a goroutine of its own.
func (c *Crew) Do(job func()) {
	select {
	case c.jobs <- job:
	default:
		c.hire(job)
	}
}

func (c *Crew) hire(job func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		go job()
		return
	}
	c.workers.Go(func() {
		for job != nil {
			job()
			job = nil // Of what it holds nothing is kept while the worker waits.
			job = c.next()
		}
	})
}

// next waits for a job, unless enough others do; nil ends the worker.
func (c *Crew) next() func() {
	defer c.waiting.Add(-1)
	if c.waiting.Add(1) > most {
		return nil
	}
	select {
	case job := <-c.jobs:
		return job
	case <-c.ended:
		return nil
	}
}

// Wait ends the crew: it waits for all jobs that were begun before, and panics if one of them did.
func (c *Crew) Wait() {
	c.mu.Lock()
	if !c.over {
		c.over = true
		close(c.ended)
	}
	c.mu.Unlock()
	c.workers.Wait()
}

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
	over    chan struct{}
	end     func() // Closes over, once.
	waiting atomic.Int64
	workers conc.WaitGroup
}

// New returns a crew, which is to be ended by Wait.
func New() *Crew {
	over := make(chan struct{})
	return &Crew{jobs: make(chan func()), over: over, end: sync.OnceFunc(func() { close(over) })}
}

// Do begins a job, and does not wait for it.
func (c *Crew) Do(job func()) {
	select {
	case c.jobs <- job:
	default:
		c.workers.Go(func() {
			for ; job != nil; job = c.next() {
				job()
			}
		})
	}
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
	case <-c.over:
		return nil
	}
}

// Wait waits until all jobs have ended, and ends the workers. It panics if a job did. It is to be called when Do is not called any more.
func (c *Crew) Wait() {
	c.end()
	c.workers.Wait()
}

package crew

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// goroutine names the one that calls it.
func goroutine() string {
	var stack [64]byte
	return strings.Fields(string(stack[:runtime.Stack(stack[:], false)]))[1]
}

func TestOneWorkerServesForOneJobAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New()
		workers := map[string]int{}
		for range 100 {
			c.Do(func() { workers[goroutine()]++ })
			synctest.Wait()
		}
		if len(workers) != 1 {
			t.Errorf("jobs by worker: %v", workers)
		}
		c.Wait()
	})
}

func TestAllJobsRunAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for round := range 2 { // By new workers, and by those that were kept.
			var running atomic.Int64
			end := make(chan struct{})
			for range 3 * most {
				c.Do(func() {
					running.Add(1)
					<-end
				})
			}
			synctest.Wait()
			if n := running.Load(); n != 3*most {
				t.Errorf("round %d: %d jobs run", round, n)
			}
			close(end)
			synctest.Wait()
			if n := c.waiting.Load(); n != most {
				t.Errorf("round %d: %d workers wait", round, n)
			}
		}
		c.Wait()
	})
}

func TestWaitWaitsForJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New()
		var done, over atomic.Bool
		end := make(chan struct{})
		c.Do(func() { <-end; done.Store(true) })
		go func() { c.Wait(); over.Store(true) }()
		synctest.Wait()
		if over.Load() {
			t.Error("Wait has not waited")
		}
		close(end)
		synctest.Wait()
		if !done.Load() || !over.Load() {
			t.Error("the job, or Wait, has not ended")
		}
	})
}

// A job that comes while the crew ends, or later, is done too.
func TestJobsBesideWait(t *testing.T) {
	t.Parallel()
	for range 200 {
		c := New()
		var done sync.WaitGroup
		begin := make(chan struct{})
		for range 4 {
			done.Add(1)
			go func() {
				<-begin
				c.Do(done.Done)
			}()
		}
		close(begin)
		c.Wait()
		done.Wait()
	}
}

// An idle worker keeps nothing of its last job.
func TestIdleWorkersHoldNothing(t *testing.T) {
	t.Parallel()
	c := New()
	freed, done := make(chan struct{}), make(chan struct{})
	held := new([1 << 10]byte)
	runtime.AddCleanup(held, func(struct{}) { close(freed) }, struct{}{})
	c.Do(func() {
		held[0]++
		close(done)
	})
	<-done
	held = nil
	for {
		runtime.GC()
		select {
		case <-freed:
			c.Wait()
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWaitPanicsWhereAJobDid(t *testing.T) {
	t.Parallel()
	c := New()
	c.Do(func() { panic("no bus") })
	defer func() {
		if panicked := fmt.Sprint(recover()); !strings.Contains(panicked, "no bus") {
			t.Errorf("recovered %s", panicked)
		}
	}()
	c.Wait()
}

// BenchmarkDo compares a job whose stack grows, as that of a poll does, with the same in a new goroutine.
func BenchmarkDo(b *testing.B) {
	job := func(done chan struct{}) func() {
		return func() { deep(16); done <- struct{}{} }
	}
	b.Run("crew", func(b *testing.B) {
		c, done := New(), make(chan struct{})
		for b.Loop() {
			c.Do(job(done))
			<-done
		}
		c.Wait()
	})
	b.Run("go", func(b *testing.B) {
		done := make(chan struct{})
		for b.Loop() {
			go job(done)()
			<-done
		}
	})
}

func deep(n int) byte {
	var frame [512]byte
	if n == 0 {
		return frame[0]
	}
	frame[n] = deep(n - 1)
	return frame[n/2]
}

package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"service_manager/publish"
)

// ErrFull is returned by Commit when there is no room for more events.
var ErrFull = errors.New("the outbox is full")

// How the committer groups its work.
const (
	maxJobs     = 1000                  // Commits in one transaction,
	maxEvents   = 5000                  // or fewer with about so many events.
	maxDeletes  = 10_000                // Deletions in one, and as many events that are dropped.
	gather      = 50 * time.Millisecond // How long deletions wait for company, if there are fewer than maxJobs.
	retryFailed = time.Second           // After which what failed and no one waits for is tried again.
)

// todo is what the committer has to do.
type todo struct {
	jobs    []*job
	deletes []uint64 // Ids of events that need not be kept any more.
	drops   []drop
	notes   map[string]returnNote // By host.

	overflows []*host // To be told when there is room; of some that may have been done already.

	since time.Time // When the first of deletes and notes came.
	retry time.Time // Not before this, after a failure; jobs do not wait for it.
}

// A job is a call of Commit.
type job struct {
	host   string
	state  []byte
	events []publish.Event
	err    error
	done   chan struct{}
}

// Commit stores a host's new state together with the events that follow from it, and returns when both are on the disk. The events get
// Collector, Epoch and Seq. A nil state says that the host was removed, whose status, should one
// wait, is then out of date; its counting goes on should it come back. Commits of one host
// must come one after the other; those of many hosts are grouped.
//
// With an error nothing is stored, and the caller must keep the state that it has: after ErrFull, because there is no room for the
// events (a commit without events always has room); after another one, because of the disk.
func (o *Outbox) Commit(host string, state []byte, events []publish.Event) error {
	if host == "" || len(host) > maxHost {
		return fmt.Errorf("committing the state of host %.40q: its name must have 1 to %d bytes", host, maxHost)
	}
	for _, e := range events {
		if e.Host.Name != host {
			return fmt.Errorf("committing the state of host %q: there is an event of host %q with it", host, e.Host.Name)
		}
	}
	j := &job{host: host, state: state, events: events, done: make(chan struct{})}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return ErrClosed
	}
	o.todo.jobs = append(o.todo.jobs, j)
	o.mu.Unlock()
	o.rouse()
	<-j.done
	if j.err != nil {
		return fmt.Errorf("committing the state of host %q: %w", host, j.err)
	}
	return nil
}

// maxHost is the greatest length of a host's name, as of AMQP's properties.
const maxHost = 255

// delete has the committer delete an event.
func (o *Outbox) delete(id uint64) {
	o.soon()
	o.todo.deletes = append(o.todo.deletes, id)
	if len(o.todo.deletes) == maxJobs {
		o.rouse()
	}
}

// note has the committer keep n of a host.
func (o *Outbox) note(host string, n returnNote) {
	o.soon()
	if o.todo.notes == nil {
		o.todo.notes = map[string]returnNote{}
	}
	o.todo.notes[host] = n
}

// soon wakes the committer for the first of what may wait for company.
func (o *Outbox) soon() {
	if len(o.todo.deletes)+len(o.todo.notes) == 0 {
		o.todo.since = time.Now()
		o.rouse()
	}
}

// committer does what there is to do, as one transaction at a time: what comes meanwhile is the next one.
func (o *Outbox) committer() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var told trouble
	for {
		batch, wait, end := o.collect(time.Now())
		if batch != nil {
			err := o.commit(batch)
			o.tellFailure(&told, err)
			if end {
				o.closeErr = err
			}
		}
		if end {
			return
		}
		if batch != nil {
			continue
		}
		timer.Reset(wait)
		select {
		case <-o.wake:
		case <-timer.C:
		}
	}
}

// collect takes out what is to be done now. If that is nothing, it says how long to wait for it. End says that there is nothing after it.
func (o *Outbox) collect(now time.Time) (batch *todo, wait time.Duration, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := &o.todo
	rest := len(t.deletes) + len(t.notes)
	n := t.group()
	end = o.closed && n == len(t.jobs)
	telling := len(t.overflows) > 0 && o.roomy()
	idle := len(t.jobs) == 0 && len(t.drops) == 0 && rest == 0 && !telling && (!o.closed || o.clock == o.kept)
	switch {
	case idle:
		return nil, time.Hour, end
	case len(t.jobs) > 0, o.closed:
	case now.Before(t.retry):
		return nil, t.retry.Sub(now), false
	case len(t.drops) > 0, rest >= maxJobs, telling:
	case now.Before(t.since.Add(gather)):
		return nil, t.since.Add(gather).Sub(now), false
	}
	batch = &todo{drops: t.takeDrops(), notes: t.notes, overflows: o.takeOverflows()}
	batch.jobs, t.jobs = split(t.jobs, n)
	n = len(t.deletes)
	if !end {
		n = min(n, maxDeletes)
	}
	batch.deletes, t.deletes = split(t.deletes, n)
	t.notes, t.since = nil, now
	return batch, 0, end
}

// takeDrops takes out drops of maxDeletes events at most. One of more is divided.
func (t *todo) takeDrops() []drop {
	var taken []drop
	for room := maxDeletes; len(t.drops) > 0 && room > 0; {
		d := t.drops[0]
		if len(d.entries) > room {
			d.more = true
			d.entries, t.drops[0].entries = split(d.entries, room)
		} else {
			_, t.drops = split(t.drops, 1)
		}
		room -= len(d.entries)
		taken = append(taken, d)
	}
	return taken
}

// split takes n values from the front. What remains does not keep them alive, if it is nothing.
func split[T any](s []T, n int) (front, rest []T) {
	if n == len(s) {
		return s, nil
	}
	return s[:n:n], s[n:]
}

// group returns how many of the jobs go into one transaction.
func (t *todo) group() int {
	events := 0
	for n, j := range t.jobs {
		if n == maxJobs || events >= maxEvents {
			return n
		}
		events += len(j.events)
	}
	return len(t.jobs)
}

// commit runs a batch as one transaction, makes its effect known, and answers the jobs.
func (o *Outbox) commit(batch *todo) error {
	p := o.plan(batch)
	var err error
	if o.file != nil {
		err = o.file.update(p.write)
	}
	o.mu.Lock()
	if err == nil {
		o.apply(p)
	} else {
		o.putBack(batch)
	}
	o.markFull(p)
	o.mu.Unlock()
	for _, j := range batch.jobs {
		if j.err == nil {
			j.err = err
		}
		close(j.done)
	}
	return err
}

// putBack takes back what failed and no one waits for.
func (o *Outbox) putBack(batch *todo) {
	t := &o.todo
	t.retry = time.Now().Add(retryFailed)
	t.deletes = append(batch.deletes, t.deletes...)
	t.drops = append(batch.drops, t.drops...)
	t.overflows = append(batch.overflows, t.overflows...)
	for host, n := range batch.notes {
		if _, newer := t.notes[host]; !newer {
			o.note(host, n)
		}
	}
}

// trouble is what the log says of writing.
type trouble struct {
	failing bool
	since   time.Time // When it was last said that it fails.
}

// tellFailure logs when writing begins and ends to fail, once a minute at most: a disk that is nearly full can take every other write.
// Commits are told of each failure, but deletions have no one.
func (o *Outbox) tellFailure(told *trouble, err error) {
	switch {
	case err != nil && !told.failing && time.Since(told.since) >= time.Minute:
		o.log.Error("cannot write to the state file; no change is taken for told until that works again", slog.Any("err", err))
		*told = trouble{failing: true, since: time.Now()}
	case err == nil && told.failing:
		o.log.Info("the state file is written again")
		told.failing = false
	}
}

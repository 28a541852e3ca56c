package main

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"service_manager/hosts/journalctl"
)

const (
	// logBacklog is how many lines of a host are read ahead.
	logBacklog = 64
	// logHold is how long a line that was followed waits for earlier ones of other hosts, which may be on their way.
	logHold = 500 * time.Millisecond
	// logHeld is how many lines may wait so. Beyond that the earliest are printed at once.
	logHeld = 100_000
)

// A logLine is a line of one host's journal.
type logLine struct {
	host  string
	entry journalctl.Entry
	key   time.Time // where it belongs: its time, or that of an earlier line of its host if that is later

	arrived time.Time
	source  int
}

// logLines is a heap of lines by their keys, and those that came first before others.
type logLines []logLine

func (h *logLines) Len() int { return len(*h) }
func (h *logLines) Less(i, j int) bool {
	a, b := (*h)[i], (*h)[j]
	return a.key.Before(b.key) || a.key.Equal(b.key) && a.source < b.source
}
func (h *logLines) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }
func (h *logLines) Push(x any)    { *h = append(*h, x.(logLine)) } //nolint:forcetypeassert // only ours
func (h *logLines) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = logLine{}
	*h = (*h)[:len(*h)-1]
	return last
}

func (h *logLines) push(l logLine) { heap.Push(h, l) }
func (h *logLines) pop() logLine   { return heap.Pop(h).(logLine) } //nolint:forcetypeassert // only ours

// waited is how many of the lines have waited long enough. As many are printed then, the earliest: by the clock of a host that is wrong they
// may be others, but no line is held back by those that come after it.
func (h *logLines) waited(now time.Time) int {
	n := 0
	for _, l := range *h {
		if now.Sub(l.arrived) >= logHold {
			n++
		}
	}
	return n
}

// A logSource has the lines of one host, until it is closed.
type logSource chan logLine

func (s logSource) put(ctx context.Context, l logLine) error { return putLine(ctx, s, l) }

func putLine(ctx context.Context, to chan<- logLine, l logLine) error {
	select {
	case to <- l:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mergeEnded prints the lines of all sources, each of which is in order, by their keys. It holds no more of them than one of each source,
// and calls first before the first line.
func mergeEnded(ctx context.Context, sources []logSource, out *logWriter, first func()) error {
	defer first()
	var heads logLines
	next := func(i int) error {
		l, ok, err := sources[i].take(ctx, out)
		if l.source = i; ok {
			heads.push(l)
		}
		return err
	}
	for i := range sources {
		if err := next(i); err != nil {
			return err
		}
	}
	first()
	for len(heads) > 0 {
		l := heads.pop()
		if err := out.print(l); err != nil {
			return err
		}
		if err := next(l.source); err != nil {
			return err
		}
	}
	return out.flush()
}

// take waits for the next line, and reports false when there is none. What was printed by then is shown before it waits.
func (s logSource) take(ctx context.Context, out *logWriter) (logLine, bool, error) {
	select {
	case l, ok := <-s:
		return l, ok, nil
	default:
	}
	if err := out.flush(); err != nil {
		return logLine{}, false, err
	}
	select {
	case l, ok := <-s:
		return l, ok, nil
	case <-ctx.Done():
		return logLine{}, false, context.Cause(ctx)
	}
}

// A liveMerge prints lines that come without end. Each waits a moment for earlier ones; before all hosts have been tried, all wait.
type liveMerge struct {
	in    chan logLine
	open  chan struct{} // closed by begin
	begin func()
}

func newLiveMerge() *liveMerge {
	m := &liveMerge{in: make(chan logLine, logBacklog), open: make(chan struct{})}
	m.begin = sync.OnceFunc(func() { close(m.open) })
	return m
}

func (m *liveMerge) put(ctx context.Context, l logLine) error { return putLine(ctx, m.in, l) }

// merge prints until ctx ends, and then what it has by then.
func (m *liveMerge) merge(ctx context.Context, out *logWriter) error {
	const look = logHold / 5
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	var held logLines
	count := 0
	release := func(n int) error {
		for range n {
			if err := out.print(held.pop()); err != nil {
				return err
			}
		}
		return out.flush()
	}
	open := m.open
	for {
		var err error
		select {
		case <-ctx.Done():
			return release(len(held))
		case <-open:
			open = nil
		case l := <-m.in:
			count++
			l.arrived, l.source = time.Now(), count
			held.push(l)
			if len(held) > logHeld {
				err = out.print(held.pop())
			}
		case now := <-ticker.C:
			if open == nil {
				err = release(held.waited(now))
			}
		}
		if err != nil {
			return err
		}
	}
}

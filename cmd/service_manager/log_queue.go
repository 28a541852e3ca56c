package main

import (
	"io"
	"sync"
	"time"
)

const (
	queuedLines  = 1024        // How much of the log waits for whoever reads it.
	lastLineTime = time.Second // How long the end waits for that.
)

// A logQueue is a log's writer that never makes who logs wait. What reads the log may stop reading, as a frozen journal or a stopped pager
// does: collecting goes on, lines are dropped when too many wait, and how many is told when it reads on.
type logQueue struct {
	w       io.Writer
	dropped func(lines int) // Tells of dropped lines, through the queue.
	lines   chan []byte
	written chan struct{} // Closed when all lines are.

	mu    sync.Mutex
	ended bool
	lost  int // Lines dropped and not told of.
}

// newLogQueue begins to write to w. End must be called.
func newLogQueue(w io.Writer, dropped func(lines int)) *logQueue {
	q := &logQueue{w: w, dropped: dropped, lines: make(chan []byte, queuedLines), written: make(chan struct{})}
	go q.write()
	return q
}

// Write never blocks and never fails. Each call is one line, or some that belong together.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return len(line), nil
	}
	select {
	case q.lines <- append([]byte(nil), line...):
	default:
		q.lost++
	}
	return len(line), nil
}

func (q *logQueue) write() {
	defer close(q.written)
	for line := range q.lines {
		_, _ = q.w.Write(line) // Where would a failure of the log be logged?
		if len(q.lines) > cap(q.lines)/2 {
			continue // What tells of the dropped lines wants room.
		}
		if lost := q.takeLost(); lost > 0 {
			q.dropped(lost)
		}
	}
}

func (q *logQueue) takeLost() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	lost := q.lost
	q.lost = 0
	return lost
}

// end takes no more lines, and waits a moment until those that it has are written. A write that is stuck ends with the process.
func (q *logQueue) end() {
	q.mu.Lock()
	q.ended = true
	close(q.lines)
	q.mu.Unlock()
	select {
	case <-q.written:
	case <-time.After(lastLineTime):
	}
}

package collector

import (
	"container/heap"
	"hash/fnv"
	"time"
)

// phase is a host's place within the interval. It hashes the names, so that the polls of a fleet spread evenly and keep their
// places across restarts and reloads, and so that two collectors do not poll a host at the same moment.
func phase(collector, host string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(collector + "\x00" + host))                   // A hash does not fail.
	return time.Duration(h.Sum64()>>1) % max(interval, time.Nanosecond) // The shift leaves 63 bits.
}

// next is the first moment after now that lies in the given phase of the interval, counted in absolute time.
func next(now time.Time, phase, interval time.Duration) time.Time {
	past := time.Duration(now.UnixNano()) % interval
	wait := (phase - past) % interval
	if wait <= 0 {
		wait += interval
	}
	return now.Add(wait)
}

// An agenda orders hosts by when they are due. It implements [heap.Interface] for its own methods only.
type agenda []*watch

// add puts w on the agenda.
func (a *agenda) add(w *watch) { heap.Push(a, w) }

// due takes the first host off the agenda if it is due at now.
func (a *agenda) due(now time.Time) (*watch, bool) {
	if len(*a) == 0 || (*a)[0].due.After(now) {
		return nil, false
	}
	w, ok := heap.Pop(a).(*watch)
	return w, ok
}

// wait is how long until the next host is due, and false when none is on the agenda.
func (a *agenda) wait(now time.Time) (time.Duration, bool) {
	if len(*a) == 0 {
		return 0, false
	}
	return (*a)[0].due.Sub(now), true
}

// Len implements [heap.Interface].
func (a *agenda) Len() int { return len(*a) }

// Less implements [heap.Interface].
func (a *agenda) Less(i, j int) bool { return (*a)[i].due.Before((*a)[j].due) }

// Swap implements [heap.Interface].
func (a *agenda) Swap(i, j int) { (*a)[i], (*a)[j] = (*a)[j], (*a)[i] }

// Push implements [heap.Interface].
func (a *agenda) Push(x any) {
	if w, ok := x.(*watch); ok {
		*a = append(*a, w)
	}
}

// Pop implements [heap.Interface].
func (a *agenda) Pop() any {
	last := len(*a) - 1
	w := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return w
}

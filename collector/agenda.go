package collector

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// phase is a host's place within the interval. It hashes the names, so that the polls of a fleet spread evenly and keep their
// places across restarts and reloads, and so that two collectors do not poll a host at the same moment. A lesser hash than this one, such
// as FNV, is uneven for names that just count.
func phase(collector, host string, interval time.Duration) time.Duration {
	h := sha256.Sum256([]byte(collector + "\x00" + host))
	return time.Duration(binary.BigEndian.Uint64(h[:])>>1) % max(interval, time.Nanosecond) // The shift leaves 63 bits.
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

// after is the turn that follows on due, seen from now. The clock on the wall tells where in its interval a moment lies, and may be behind the
// one that due was waited for by: a little where both were not read at once, and more when it was put back. What lies
// just ahead by it then is the turn that has come.
func after(due, now time.Time, phase, interval time.Duration) time.Time {
	turn := next(now, phase, interval)
	inPhase := time.Duration(due.UnixNano())%interval == phase // The first turn is not.
	if inPhase && turn.Sub(due) < interval/2 {
		return turn.Add(interval)
	}
	return turn
}

// An agenda orders hosts by when they want the schedule's attention: [watch.alarm]. A host stays on it whatever happens to it. It
// implements [heap.Interface] for its own methods only.
type agenda []*watch

// add puts w on the agenda.
func (a *agenda) add(w *watch) { heap.Push(a, w) }

// rearrange finds w its place after its alarm has changed.
func (a *agenda) rearrange(w *watch) { heap.Fix(a, w.index) }

// first is the host whose alarm comes first, nil when the agenda is empty.
func (a *agenda) first() *watch {
	if len(*a) == 0 {
		return nil
	}
	return (*a)[0]
}

// Len implements [heap.Interface].
func (a *agenda) Len() int { return len(*a) }

// Less implements [heap.Interface]. At the start all hosts are due at once; by phase, neighbours in name, which often share a rack
// and its troubles, do not follow on one another.
func (a *agenda) Less(i, j int) bool {
	if one, other := (*a)[i], (*a)[j]; !one.alarm.Equal(other.alarm) {
		return one.alarm.Before(other.alarm)
	}
	return (*a)[i].phase < (*a)[j].phase
}

// Swap implements [heap.Interface].
func (a *agenda) Swap(i, j int) {
	(*a)[i], (*a)[j] = (*a)[j], (*a)[i]
	(*a)[i].index, (*a)[j].index = i, j
}

// Push implements [heap.Interface].
func (a *agenda) Push(x any) {
	if w, ok := x.(*watch); ok {
		w.index = len(*a)
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

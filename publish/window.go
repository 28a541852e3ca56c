package publish

import "time"

// windowBytes bounds the bodies in flight, beside Config.Window.
const windowBytes = 16 << 20

// A window holds the messages in flight.
type window struct {
	open       []pending // In the order sent.
	bytes      int
	unanswered int // How many of them are.
	sent       uint64
	lastSent   time.Time
	answered   uint64    // The greatest number of a message that the broker has answered.
	answeredAt time.Time // When the last answer was seen.
	givenUp    uint64    // The number of the first message whose confirm was given up; 0 if there is none.
}

// A pending message waits for its confirm.
type pending struct {
	Message
	n          uint64 // Counts the messages sent.
	confirm    confirmation
	sent       time.Time
	unanswered bool // Its key is one of those whose confirms were withheld.
}

// unsent is the confirmation of a message whose publish has failed.
type unsent struct{}

func (unsent) Done() <-chan struct{} { return nil }
func (unsent) Acked() bool           { return false }

func (w *window) full(messages int) bool {
	return len(w.open) >= messages || w.bytes >= windowBytes
}

func (w *window) add(m Message, c confirmation, unanswered bool) {
	w.sent++
	w.lastSent = time.Now()
	w.open = append(w.open, pending{Message: m, n: w.sent, confirm: c, sent: w.lastSent, unanswered: unanswered})
	w.bytes += len(m.Body)
	if unanswered {
		w.unanswered++
	}
}

// pop removes the oldest message.
func (w *window) pop() pending {
	p := w.open[0]
	w.open[0] = pending{}
	w.open = w.open[1:]
	w.removed(p)
	return p
}

// popDone removes the messages that are done and that take wants, in the order sent.
func (w *window) popDone(take func(pending) bool) []pending {
	var done []pending
	open := w.open[:0]
	for _, p := range w.open {
		if p.done() && take(p) {
			done = append(done, p)
			w.removed(p)
		} else {
			open = append(open, p)
		}
	}
	clear(w.open[len(open):])
	w.open = open
	return done
}

func (w *window) removed(p pending) {
	w.bytes -= len(p.Body)
	if p.unanswered {
		w.unanswered--
	}
	if p.done() {
		w.answered, w.answeredAt = max(w.answered, p.n), time.Now()
	}
}

func (p pending) done() bool {
	select {
	case <-p.confirm.Done():
		return true
	default:
		return false
	}
}

// passed reports whether the broker has let the message pass, even if its queue has not: it deals with the messages of a channel in the
// order sent, and has answered a later one.
func (w *window) passed(p pending) bool { return p.n < w.answered }

// unpassed returns the messages in flight that the broker may have ended the channel because of.
func (w *window) unpassed() []pending {
	var unpassed []pending
	for _, p := range w.open {
		if !w.passed(p) && !p.unanswered {
			unpassed = append(unpassed, p)
		}
	}
	if len(unpassed) == 0 { // Then it is one of those that seemed to be harmless.
		return w.open
	}
	return unpassed
}

package collector

import (
	"fmt"
	"time"

	"service_manager/collector/change"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// A stage is where a host stands between two polls.
type stage int

const (
	idle       stage = iota
	checking         // The files that kept us out are looked at.
	waiting          // For a place to be polled or dialled in.
	dialling         // It gets a connection.
	polling          // It is asked over its connection.
	concluding       // The result becomes a status.
	leaving          // It is told to be removed.
)

// A watch is what the collector keeps about one host. The schedule's goroutine holds it, except while it is concluding: then what is
// known belongs to the goroutine that concludes.
type watch struct {
	host    inventory.Host
	stretch stretch       // Of its interval.
	phase   time.Duration // Within the interval in force.

	// When.
	due      time.Time // Its next turn.
	resume   time.Time // No attempt before; zero for none. It may lie before the next turn.
	soon     time.Time // A look before its next turn; zero: none.
	looks    looks
	failures int       // Of its back-off.
	alarm    time.Time // When the schedule looks at it next: see rearm.
	index    int       // On the agenda.

	// What a reload wants of it, as soon as no work is under way.
	leaves bool            // It is polled no more.
	anew   *inventory.Host // It is polled as this from now on; nil: as before.

	// The poll under way.
	stage   stage
	asked   time.Time     // When it was due.
	begun   time.Time     // When the dial or poll was that goes on.
	worked  time.Duration // Before that, without the waiting for places.
	dialled time.Duration // What of worked went into connecting.
	fresh   bool          // Its connection was made within it.
	look    bool          // It is no turn's, but came sooner.
	places  []*place
	class   int    // Of those to be dialled.
	ticket  uint64 // Of those to be dialled.

	// What is known.
	outcome hosts.Outcome // Of the last poll, empty before the first.
	since   time.Time     // When outcome became what it is.
	err     error         // Of the last poll.
	last    hosts.Snapshot
	lastAt  time.Time       // When last was read; zero: never.
	system  *publish.System // As last has it.

	baseline *change.Baseline // What was told of the host.
	standing standing         // Of the above, what the schedule may read at any time.
}

// rearm sets the alarm: on the next turn or, where that is earlier, at the end of the back-off or when the host is to be looked at.
// Whatever else is to have a host polled sooner sets soon.
func (w *watch) rearm() {
	w.alarm = w.due
	if w.stage == idle {
		w.alarm = earlier(earlier(w.due, w.resume), w.soon)
	}
}

// paused reports whether the host is to be left alone for now.
func (w *watch) paused(now time.Time) bool { return now.Before(w.resume) }

// left is how long the poll under way may still work. A poll that must connect first, or again, takes no longer than one timeout of
// each kind, whatever comes of it.
func (w *watch) left() time.Duration { return w.host.Timeout + w.host.ConnectTimeout - w.worked }

// waited is how long the poll under way has waited for places, until now.
func (w *watch) waited(now time.Time) time.Duration {
	waited := now.Sub(w.asked) - w.worked
	if w.stage != waiting {
		waited -= now.Sub(w.begun)
	}
	return waited
}

// learn takes in a poll's result.
func (w *watch) learn(now time.Time, snapshot hosts.Snapshot, err error) {
	if outcome := hosts.OutcomeOf(err); outcome != w.outcome {
		w.outcome, w.since = outcome, now
	}
	if err == nil {
		w.last, w.lastAt, w.system = snapshot, now, system(&snapshot)
	}
	w.err = err
}

// trouble says what is wrong with the host, since when, and when it is tried again where that is after its next turn.
func (w *watch) trouble(next time.Time) string {
	text := fmt.Sprintf("%v (since %s", w.err, w.since.UTC().Format(time.RFC3339))
	if w.resume.After(next) {
		text += ", next try at " + w.resume.UTC().Format(time.RFC3339)
	}
	return text + ")"
}

package change

import (
	"errors"
	"maps"
	"time"

	"service_manager/hosts"
	"service_manager/publish"
)

// A Baseline is what was last committed of one host, and how many events its units may make. It is not safe for concurrent use.
type Baseline struct {
	flapping Flapping
	state    State
	buckets  map[string]bucket // Those that are not full, by the unit's key; nil for none.
	moves    uint64            // Counts commits.
}

// NewBaseline returns the baseline of a host of which state is committed; the zero State is that of a new host.
func NewBaseline(state State, flapping Flapping) *Baseline {
	return &Baseline{state: state, flapping: flapping}
}

// State is what was last committed. It shares its memory with the baseline: do not change it.
func (b *Baseline) State() State { return b.state }

// A Poll is what a poll said.
type Poll struct {
	Host     publish.HostRef // As it stands in the inventory.
	Observed time.Time       // When the poll ended.
	Outcome  hosts.Outcome
	Error    *string // For people; nil where Outcome is OK.

	// System and Snapshot count only where Outcome is OK.
	System   *publish.System
	Snapshot hosts.Snapshot

	// Asked reports whether the inventory wants to know of the unit of that name, exactly or by a glob. It is called for those in the
	// state that are not in the snapshot. Nil means that it wants none of them.
	Asked func(unit string) bool
}

// A Step is how far a poll moves a baseline. Until it is committed it has changed nothing, and it may just as well be dropped.
type Step struct {
	Events []publish.Event // In order. Seq and what else tells of the collector is left to the outbox.
	Next   State           // The state that follows from the events. It shares memory with the baseline.

	baseline *Baseline
	from     uint64
	observed time.Time
	changed  bool           // Next must be stored.
	owned    bool           // Next.Units is no longer the baseline's.
	taken    []bucketChange // Buckets to put in the place of the baseline's.
	left     []string       // Keys of units that have left the state.
}

// A bucketChange is a bucket after the poll.
type bucketChange struct {
	key string
	bucket
}

// Compare says what has changed from the baseline to p, and changes neither.
func (b *Baseline) Compare(p Poll) Step {
	s := Step{Next: b.state, baseline: b, from: b.moves, observed: p.Observed}
	s.compareHost(&p)
	if p.Outcome == hosts.OK {
		s.compareUnits(&p)
	}
	return s
}

// Commit makes the step's state the baseline, if store has committed it, encoded, together with the step's events. It returns store's
// error, and then the baseline stays, so that the next poll finds the same differences again. Where there is nothing to store,
// store is not called. A step of a baseline that has moved on since is refused.
func (s *Step) Commit(store func(state []byte, events []publish.Event) error) error {
	b := s.baseline
	if s.from != b.moves {
		return errors.New("a step was to be committed of which the baseline has moved on: compare and commit one poll of a host after the other")
	}
	if s.changed {
		state, err := s.Next.Encode()
		if err != nil {
			return err
		}
		if err := store(state, s.Events); err != nil {
			return err
		}
		b.state = s.Next
	}
	b.moves++
	s.commitBuckets()
	return nil
}

// commitBuckets gives the baseline its new buckets, and forgets those that are full. If one of those has a count of suppressed polls
// its unit is back at its baseline, or this poll would have told the difference; that is so only if it could read the host.
func (s *Step) commitBuckets() {
	b := s.baseline
	if len(s.taken) > 0 && b.buckets == nil {
		b.buckets = make(map[string]bucket)
	}
	for _, change := range s.taken {
		b.buckets[change.key] = change.bucket
	}
	for _, key := range s.left {
		delete(b.buckets, key)
	}
	maps.DeleteFunc(b.buckets, func(_ string, of bucket) bool {
		return !of.full.After(s.observed) && (of.suppressed == 0 || s.Next.Outcome == hosts.OK)
	})
	if len(b.buckets) == 0 {
		b.buckets = nil
	}
}

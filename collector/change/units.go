package change

import (
	"cmp"
	"slices"

	"service_manager/hosts/systemctl"
	"service_manager/publish"
)

// compareUnits compares the units of a host that could be read.
func (s *Step) compareUnits(p *Poll) {
	known, shown := s.baseline.state.Units, p.Snapshot.Units
	var few [128]bool // So that most hosts need none from the heap.
	seen := few[:]
	if len(known) > len(few) {
		seen = make([]bool, len(known))
	}
	rest := len(known)
	var fresh []Unit
	for i := range shown {
		if doubled(shown, i) {
			continue
		}
		now := unitOf(&shown[i])
		at, found := find(known, now.key())
		switch {
		case !found:
			fresh = append(fresh, storable(now))
		case !seen[at]:
			seen[at] = true
			rest--
			if now != known[at] {
				s.compareUnit(p, at, storable(now), &shown[i])
			}
		}
	}
	if rest > 0 {
		s.compareUnlisted(p, seen)
	}
	s.arrange(fresh)
}

// doubled reports whether unit i was asked for by an alias, and is among the others too: under its primary name, or by another alias
// before. It counts once.
func doubled(shown []systemctl.Unit, i int) bool {
	if shown[i].RequestedAs == "" {
		return false
	}
	for k := range shown {
		if shown[k].Name == shown[i].Name && (k < i || shown[k].RequestedAs == "") {
			return true
		}
	}
	return false
}

// compareUnlisted goes through the units of the state that the poll has not shown. One that is shown under another name now, such as
// an alias whose primary name was added, leaves as one that is no longer asked for does.
func (s *Step) compareUnlisted(p *Poll, seen []bool) {
	for at := range s.baseline.state.Units {
		unit := &s.baseline.state.Units[at]
		if seen[at] {
			continue
		}
		elsewhere := unit.listed() && slices.ContainsFunc(p.Snapshot.Units, func(u systemctl.Unit) bool { return u.Name == unit.Name })
		if elsewhere || p.Asked == nil || !p.Asked(unit.key()) {
			s.left = append(s.left, unit.key())
			continue
		}
		s.compareUnit(p, at, Unit{Alias: unit.key()}, nil)
	}
}

// compareUnit tells the change of the unit at that place in the state, if there is one and its bucket has an event. shown is
// the unit as the host showed it, nil if it did not.
func (s *Step) compareUnit(p *Poll, at int, now Unit, shown *systemctl.Unit) {
	before := &s.baseline.state.Units[at]
	if now == *before || !now.listed() && before.gone() || !before.listed() && now.gone() {
		return
	}
	restarts := restarts(before, &now, p.Snapshot.Manager.VersionNumber)
	event := unitEvent(before, &now, restarts)
	bucket := s.baseline.buckets[before.key()]
	if !urgent(event, before, &now) && !bucket.take(s.baseline.flapping, p.Observed) {
		bucket.suppressed++
		s.taken = append(s.taken, bucketChange{before.key(), bucket})
		return
	}
	s.Events = append(s.Events, publish.Event{
		Event:      event,
		Host:       p.Host,
		Unit:       new(cmp.Or(now.Name, before.Name)),
		ObservedAt: publish.Time{Time: p.Observed},
		HappenedAt: happenedAt(before, &now, shown),
		Restarts:   restarts,
		Suppressed: bucket.suppressed,
		Before:     before.state(),
		After:      now.state(),
	})
	bucket.suppressed = 0
	s.taken = append(s.taken, bucketChange{before.key(), bucket})
	s.ownUnits()
	s.Next.Units[at] = now
}

// arrange takes in the units seen for the first time, and takes out those that have left.
func (s *Step) arrange(fresh []Unit) {
	if len(fresh) == 0 && len(s.left) == 0 {
		return
	}
	s.ownUnits()
	s.Next.Units = slices.DeleteFunc(s.Next.Units, func(u Unit) bool {
		_, left := slices.BinarySearch(s.left, u.key()) // They come in the order of the state.
		return left
	})
	s.Next.Units = append(s.Next.Units, fresh...)
	slices.SortStableFunc(s.Next.Units, byKey)
	s.Next.Units = slices.CompactFunc(s.Next.Units, func(a, b Unit) bool { return a.key() == b.key() })
}

// ownUnits makes Next.Units one that may be changed.
func (s *Step) ownUnits() {
	s.changed = true
	if !s.owned {
		s.Next.Units, s.owned = slices.Clone(s.baseline.state.Units), true
	}
}

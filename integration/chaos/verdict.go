package chaos

import (
	"maps"
	"slices"
	"time"
)

// reachable is the outcome of a host that can be read.
const reachable = "ok"

// A verdict is what an oracle thinks of the events so far.
type verdict struct {
	changes    int // of units, and boots
	mustBeTold int
	excused    int // changes that were read by no poll but such as the collector has told to have failed
	events     int // that came, each counted once
	statuses   int
	repeated   []time.Time // when events came that had come before
	duplicates int         // of these, but
	besideFull int         // those while a queue beside was full
	findings   findings
	duties     []duty
}

// A duty is a truth that must be told of.
type duty struct {
	known time.Time // when the collector had read it
	told  time.Time // when it was told of; zero while it was not
}

// whole returns when all had been told that was known at t, and whether it has been.
func (v verdict) whole(t time.Time) (time.Time, bool) {
	last := t
	for _, d := range v.duties {
		switch {
		case d.known.After(t):
		case d.told.IsZero():
			return time.Time{}, false
		case d.told.After(last):
			last = d.told
		}
	}
	return last, true
}

// verdict judges all that was recorded, at the end: what a unit is now it stays, so that it must have been told of in any case.
func (o *oracle) verdict() verdict {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := verdict{events: len(o.ids), statuses: o.statuses, repeated: slices.Clone(o.duplicates), findings: o.findings.clone()}
	for _, at := range o.duplicates {
		if slices.ContainsFunc(o.full, func(s span) bool { return s.contains(at) }) {
			v.besideFull++
		} else {
			v.duplicates++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.hosts)) {
		h := o.hosts[name]
		readings := o.readings(h, h.answers)
		for _, unit := range slices.Sorted(maps.Keys(h.subjects)) {
			j := judge{verdict: &v, name: name + " " + unit, subject: h.subjects[unit], readings: readings}
			j.judgeTruths()
			j.judgeEvents()
		}
		o.judgeOutcomes(&v, name, h)
	}
	return v
}

// A reading is an answer that the collector must have made something of, or told that it could not.
type reading struct {
	answer
	failed bool // as the collector has told
}

// readings are those among the answers of a host, in the order of versions.
func (o *oracle) readings(h *host, answers []answer) []reading {
	var all []reading
	for _, a := range answers {
		if slices.ContainsFunc(o.lives, func(life span) bool {
			return !a.asked.Before(life.from.Add(comesUp)) && life.contains(a.at.Add(livesOn))
		}) {
			all = append(all, reading{a, h.failed(a.asked)})
		}
	}
	// A collector that was killed may leave a request behind that is answered after the first one of the next.
	slices.SortStableFunc(all, func(a, b reading) int { return a.version - b.version })
	return all
}

// failed says whether the collector has told that the host could not be read, of a poll that came at that moment.
func (h *host) failed(asked time.Time) bool {
	for i, o := range h.outcomes {
		if o.after == reachable || asked.Before(o.observed.Add(-failedPoll)) {
			continue
		}
		recovered := slices.IndexFunc(h.outcomes[i:], func(o outcome) bool { return o.after == reachable })
		if recovered < 0 || asked.Before(h.outcomes[i+recovered].observed) {
			return true
		}
	}
	return false
}

// A judge compares what one subject was with what was told of it.
type judge struct {
	*verdict
	*subject
	name     string
	readings []reading
}

// judgeTruths looks for an event of each truth that must be told of. The events must come in the order of the truths. A truth that is no
// other than the last one told of needs none.
func (j judge) judgeTruths() {
	var (
		current state // as told
		toldAt  time.Time
		next    int // of the events, the first that is not needed yet
	)
	for i, t := range j.truths {
		if i == 0 {
			current = t.state // The baseline has no event.
			continue
		}
		j.changes++
		known, must := j.known(i)
		if !must && i < len(j.truths)-1 {
			continue
		}
		j.mustBeTold++
		d := duty{known: known}
		if t.state == current {
			d.told = later(toldAt, known)
		} else if at := slices.IndexFunc(j.told[next:], func(e event) bool { return e.after == t.state }); at >= 0 {
			next += at + 1
			current, toldAt = t.state, j.told[next-1].delivered
			d.told = toldAt
		} else {
			j.findings.add(missing, "%s: no event of what it was from %s on, and was read at %s: %+v", j.name, clock(t.at), clock(known), t.state)
		}
		if must {
			j.duties = append(j.duties, d)
		}
	}
}

// known says when the collector has read a truth, and whether it has.
func (j judge) known(i int) (at time.Time, must bool) {
	t := j.truths[i]
	from, _ := slices.BinarySearchFunc(j.readings, t.version, func(r reading, version int) int { return r.version - version })
	failed := false
	for _, r := range j.readings[from:] {
		if i+1 < len(j.truths) && r.version >= j.truths[i+1].version {
			break
		}
		switch {
		case r.asked.Before(t.at.Add(j.settle)):
		case r.failed:
			failed = true
		default:
			return r.at, true
		}
	}
	if failed {
		j.excused++
	}
	return time.Time{}, false
}

// judgeEvents looks whether each event tells of a truth, in the order of the truths, and begins where the one before has ended.
func (j judge) judgeEvents() {
	if len(j.truths) == 0 {
		if len(j.told) > 0 {
			j.findings.add(invented, "%s: %d events, and there is no such unit", j.name, len(j.told))
		}
		return
	}
	told, next, restarts := j.truths[0].state, 1, 0
	for _, e := range j.told {
		if e.before != told {
			j.findings.add(brokenChain, "%s: event %d is from %+v, and the one before told of %+v", j.name, e.seq, e.before, told)
		}
		told = e.after
		restarts += e.restarts
		at := slices.IndexFunc(j.truths[min(next, len(j.truths)):], func(t truth) bool { return t.state == e.after })
		if at < 0 {
			j.findings.add(invented, "%s: event %d tells of %+v, which it never was, or not since what was told before", j.name, e.seq, e.after)
			continue
		}
		next += at + 1
	}
	started := 0
	for _, t := range j.truths {
		if t.started {
			started++
		}
	}
	if restarts > started {
		j.findings.add(restartsAbove, "%s: the events tell of %d restarts, and there were %d", j.name, restarts, started)
	}
	if last := j.truths[len(j.truths)-1].state; told != last {
		j.findings.add(wrongEnd, "%s: it is %+v, and was told to be %+v", j.name, last, told)
	}
}

// judgeOutcomes looks whether it was told when the host could not be reached, and that it can be.
func (o *oracle) judgeOutcomes(v *verdict, name string, h *host) {
	told := reachable
	for _, e := range h.outcomes {
		if e.before != told {
			v.findings.add(brokenChain, "%s: event %d is from outcome %s, and the one before told of %s", name, e.seq, e.before, told)
		}
		told = e.after
	}
	if told != reachable {
		v.findings.add(wrongEnd, "%s: it can be reached, and was told to be %s", name, told)
	}
	for _, away := range h.away {
		by := away.from.Add(noticed)
		if !away.contains(by) || !slices.ContainsFunc(o.lives, func(life span) bool {
			return life.contains(away.from) && life.contains(by.Add(livesOn))
		}) {
			continue
		}
		v.changes++
		v.mustBeTold++
		if !h.isToldAway(away) {
			v.findings.add(missing, "%s: no event of its being away from %s on", name, clock(away.from))
		}
	}
}

// isToldAway says whether a host that was away was told to be. One that could not be read before need not be told to be away for
// another reason at once: it is left alone for a while.
func (h *host) isToldAway(away span) bool {
	told := reachable
	for _, e := range h.outcomes {
		if away.contains(e.observed) && e.after != reachable {
			return true
		}
		if e.observed.Before(away.from) {
			told = e.after
		}
	}
	return told != reachable
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

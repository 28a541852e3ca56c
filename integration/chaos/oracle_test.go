package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

// What the chaos test would find if the program were wrong: each story is of one mistake, or of something that looks like one.
func TestOracle(t *testing.T) {
	for name, test := range map[string]struct {
		story func(*scene)
		want  map[rule]int
	}{
		"all well": {func(s *scene) {
			s.restart()
			s.restart()
		}, nil},
		"a missing event": {func(s *scene) {
			s.start()
			s.read()
			s.pass(time.Second)
			s.restart()
		}, map[rule]int{missing: 1}},
		"a missing event, of which its seq tells as well": {func(s *scene) {
			s.start()
			s.read()
			_ = s.next()
			s.restart()
		}, map[rule]int{missing: 1, outOfOrder: 1, brokenChain: 1}},
		"the last event is missing": {func(s *scene) {
			s.restart()
			s.fail()
			s.read()
			s.pass(time.Minute)
		}, map[rule]int{missing: 1, wrongEnd: 1}},
		"what was not read need not be told": {func(s *scene) {
			s.start()
			s.restart()
		}, nil},
		"the end must be told even if it was not read": {func(s *scene) {
			s.start()
		}, map[rule]int{missing: 1, wrongEnd: 1}},
		"back to what was told before": {func(s *scene) {
			s.edit()
			s.edit()
			s.read()
			s.pass(time.Minute)
		}, nil},
		"there and back, told": {func(s *scene) {
			for range 4 {
				s.edit()
				s.read()
				s.tell()
			}
		}, nil},
		"there and back, not told": {func(s *scene) {
			s.edit()
			s.read()
			s.edit()
			s.read()
			s.pass(time.Minute)
		}, map[rule]int{missing: 1}},
		"a swapped order": {func(s *scene) {
			s.start()
			s.read()
			first := s.next()
			s.fail()
			s.read()
			second := s.next()
			s.deliver(second)
			s.deliver(first)
			// What comes after 2 is 1, which tells of a state before that of 2, and the unit ends in what 1 tells.
		}, map[rule]int{outOfOrder: 2, brokenChain: 2, missing: 1, invented: 1, wrongEnd: 1}},
		"a state that never was": {func(s *scene) {
			s.start()
			s.read()
			e := s.next()
			e.After.Unit.SubState = "exited"
			s.deliver(e)
		}, map[rule]int{missing: 1, invented: 1, wrongEnd: 1}},
		"another NRestarts": {func(s *scene) {
			s.start()
			s.read()
			e := s.next()
			e.After.Unit.Restarts = new(7)
			s.deliver(e)
		}, map[rule]int{missing: 1, invented: 1, wrongEnd: 1}},
		"a broken chain": {func(s *scene) {
			s.restart()
			s.start()
			s.read()
			e := s.next()
			e.Before.Unit.InvocationID = new("another")
			s.deliver(e)
		}, map[rule]int{brokenChain: 1}},
		"a wrong restart count": {func(s *scene) {
			s.start()
			s.read()
			e := s.next()
			e.Restarts = 2
			s.deliver(e)
		}, map[rule]int{restartsAbove: 1}},
		"a restart count below the truth": {func(s *scene) {
			s.start()
			s.start()
			s.restart()
		}, nil},
		"another epoch": {func(s *scene) {
			s.restart()
			s.start()
			s.read()
			e := s.next()
			e.Epoch = "later"
			e.ID = publish.EventID(e.Collector, e.Epoch, e.Host.Name, e.Seq)
			s.deliver(e)
		}, map[rule]int{otherEpoch: 1}},
		"another id": {func(s *scene) {
			s.start()
			s.read()
			e := s.next()
			e.ID = "1"
			s.deliver(e)
		}, map[rule]int{wrongEvent: 1}},
		"one id for two events": {func(s *scene) {
			s.restart()
			s.start()
			s.read()
			e := s.next()
			s.deliver(e)
			e.ObservedAt.Time = s.now.Add(time.Second)
			s.deliver(e)
		}, map[rule]int{wrongEvent: 1}},
		"a gap": {func(s *scene) {
			s.deliver(s.envelope(publish.Gap, nil, nil))
		}, map[rule]int{wrongEvent: 1}},
		"a unit that there is not": {func(s *scene) {
			s.start()
			s.read()
			e := s.next()
			e.Unit = new("apache2.service")
			s.deliver(e)
		}, map[rule]int{missing: 1, invented: 1, wrongEnd: 1}},
		"a status ahead of its events": {func(s *scene) {
			s.restart()
			s.oracle.status(publish.Status{Host: publish.HostRef{Name: sceneHost}, EventSeq: 1}, false)
			s.oracle.status(publish.Status{Host: publish.HostRef{Name: sceneHost}, EventSeq: 2}, false)
		}, map[rule]int{aheadOfEvents: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			test.story(s)
			v := s.oracle.verdict()
			got := map[rule]int{}
			for r, found := range v.findings {
				got[r] = len(found)
			}
			if diff := cmp.Diff(test.want, got); diff != "" && len(test.want)+len(got) > 0 {
				t.Errorf("findings (-want +got):\n%s%q", diff, v.findings)
			}
			v.duplicates = 0 // See TestDuplicates.
			broken := result{verdict: v}.breaches()
			if len(broken) != len(test.want) {
				t.Errorf("breaches %q, want %d", broken, len(test.want))
			}
		})
	}
}

// What a collector read just before it ended may be lost with it, and the next one reads it again.
func TestCollectorsThatEnd(t *testing.T) {
	for name, test := range map[string]struct {
		before, after time.Duration // from the answer to the end of the collector, and from the start of the next to an answer
		want          int           // missing
	}{
		"at once":                     {time.Second, 0, 0},
		"after a while":               {3 * time.Second, 0, 1},
		"a request that was left":     {time.Second, 100 * time.Millisecond, 0},
		"the next one has read it":    {time.Second, 300 * time.Millisecond, 1},
		"both could have told of it":  {3 * time.Second, 300 * time.Millisecond, 1},
		"the next one ends soon, too": {time.Second, 29 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			s.start()
			s.read()
			s.pass(test.before)
			s.oracle.died(s.now)
			s.oracle.born(s.now)
			if test.after > 0 {
				s.pass(test.after)
				s.read()
			}
			s.pass(30*time.Second - test.after)
			s.oracle.died(s.now)
			s.oracle.born(s.now)
			s.pass(time.Second)
			s.restart()
			v := s.oracle.verdict()
			if n := len(v.findings[missing]); n != test.want {
				t.Errorf("%d missing, want %d: %q", n, test.want, v.findings)
			}
		})
	}
}

func TestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		away time.Duration
		told bool
		want map[rule]int
	}{
		"told":            {6 * time.Second, true, nil},
		"not told":        {6 * time.Second, false, map[rule]int{missing: 1}},
		"short, told":     {2 * time.Second, true, nil},
		"short, not told": {2 * time.Second, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			s.oracle.left(s.now, sceneHost)
			s.pass(time.Second)
			if test.told {
				s.deliver(s.nextOutcome(publish.HostUnreachable, "unreachable"))
			}
			s.pass(test.away - time.Second)
			s.oracle.returned(s.now, sceneHost)
			s.pass(time.Second)
			s.read()
			if test.told {
				s.deliver(s.nextOutcome(publish.HostRecovered, reachable))
			}
			v := s.oracle.verdict()
			got := map[rule]int{}
			for r, found := range v.findings {
				got[r] = len(found)
			}
			if diff := cmp.Diff(test.want, got); diff != "" && len(test.want)+len(got) > 0 {
				t.Errorf("findings (-want +got):\n%s%q", diff, v.findings)
			}
		})
	}
}

// A poll that the collector has told to have failed has read nothing, but hides no more than that.
func TestFailedPolls(t *testing.T) {
	s := newScene()
	s.start()
	s.read()
	s.pass(time.Second)
	s.deliver(s.nextOutcome(publish.HostUnreachable, "timeout"))
	s.oracle.left(s.now.Add(time.Millisecond), sceneHost) // What it is in its back-off is not known at once.
	s.pass(10 * time.Second)
	s.oracle.returned(s.now, sceneHost)
	s.deliver(s.nextOutcome(publish.HostRecovered, reachable))
	s.restart()
	if v := s.oracle.verdict(); len(v.findings) > 0 || v.excused != 1 {
		t.Errorf("%d excused, findings %q", v.excused, v.findings)
	}
	s.start()
	s.read()
	s.pass(time.Second)
	s.restart()
	if v := s.oracle.verdict(); len(v.findings[missing]) != 1 || v.excused != 1 {
		t.Errorf("later: %d excused, findings %q", v.excused, v.findings)
	}
}

func TestReboots(t *testing.T) {
	s := newScene()
	s.reboot()
	s.deliver(s.nextOutcome(publish.HostUnreachable, "unreachable"))
	s.pass(2 * time.Second)
	s.read()
	recovered, rebooted := s.nextOutcome(publish.HostRecovered, reachable), s.nextOutcome(publish.HostRebooted, reachable)
	rebooted.Before.Host.Outcome = "unreachable" // As in the event beside it.
	s.deliver(recovered)
	s.deliver(rebooted)
	if v := s.oracle.verdict(); len(v.findings) > 0 || v.mustBeTold != 1 {
		t.Errorf("told: %d must be told, findings %q", v.mustBeTold, v.findings)
	}
	s.reboot()
	s.read()
	s.pass(time.Minute)
	if v := s.oracle.verdict(); len(v.findings[missing]) != 1 {
		t.Errorf("not told: findings %q", v.findings)
	}
}

// Of a unit that flaps only what it stays must be told.
func TestFlapping(t *testing.T) {
	s := newScene()
	s.oracle.flaps(sceneHost, sceneUnit, 10*time.Second)
	began := s.now.Add(-time.Second)
	for range 5 {
		s.start()
		s.read()
		s.pass(time.Second)
	}
	if !s.oracle.isWhole(began, s.now) {
		t.Error("something must be told in the burst")
	}
	s.pass(10 * time.Second)
	s.read()
	s.pass(time.Second)
	if s.oracle.isWhole(began, s.now) {
		t.Error("the end of the burst need not be told")
	}
	s.tell()
	if v := s.oracle.verdict(); len(v.findings) > 0 {
		t.Errorf("it was told: findings %q", v.findings)
	}
}

func TestDuplicates(t *testing.T) {
	s := newScene()
	var last publish.Event
	for range 150 {
		s.start()
		s.read()
		last = s.next()
		s.deliver(last)
		s.pass(time.Second)
	}
	s.oracle.event(s.now, last, true) // The consumer's doing.
	s.deliver(last)
	r := result{verdict: s.oracle.verdict()}
	if broken := r.breaches(); len(broken) > 0 || r.verdict.duplicates != 1 {
		t.Errorf("%d duplicates of %d events: %q", r.verdict.duplicates, r.verdict.events, broken)
	}
	s.deliver(last)
	r.verdict = s.oracle.verdict()
	if broken := r.breaches(); len(broken) != 1 || !strings.HasPrefix(broken[0], "duplicates: 2, want at most 1") {
		t.Errorf("%d duplicates of %d events: %q", r.verdict.duplicates, r.verdict.events, broken)
	}
	r.short, r.blows = true, []blow{{"a fault", span{s.now, s.now}}}
	if broken := r.breaches(); len(broken) > 0 {
		t.Errorf("short form, %d duplicates after a fault: %q", r.verdict.duplicates, broken)
	}
	s.oracle.besideFull(span{s.now, s.now.Add(time.Second)})
	if v := s.oracle.verdict(); v.duplicates != 0 || v.besideFull != 2 {
		t.Errorf("beside a full queue: %d duplicates, and %d others", v.besideFull, v.duplicates)
	}
}

func TestWholeAgain(t *testing.T) {
	s := newScene()
	began := s.now
	s.start()
	s.read()
	first := s.next()
	s.pass(time.Second)
	blows := []blow{{"a fault", span{began, s.now}}}
	v := s.oracle.verdict()
	if _, is := v.whole(s.now); is || s.oracle.isWhole(began.Add(-time.Second), s.now) || s.oracle.isTold() {
		t.Error("whole without an event")
	}
	if broken := (result{verdict: v, blows: blows}).breaches(); len(broken) != 3 { // It is missing as well, and is the end.
		t.Errorf("never whole: breaches %q", broken)
	}
	ended := s.now
	s.start() // What is read later does not matter.
	s.read()
	s.pass(4 * time.Second)
	s.deliver(first)
	if !s.oracle.isWhole(began.Add(-time.Second), ended) || s.oracle.isWhole(began.Add(-time.Second), s.now) || s.oracle.isTold() {
		t.Error("only what was read before it ended has been told")
	}
	if at, is := s.oracle.verdict().whole(ended); !is || at.Sub(ended) != 4*time.Second+10*time.Millisecond {
		t.Errorf("whole again after %v (%v)", at.Sub(ended), is)
	}
	s.pass(30 * time.Second)
	s.tell()
	if !s.oracle.isWhole(began.Add(-time.Second), s.now) || !s.oracle.isTold() {
		t.Error("all has been told")
	}
	blows = append(blows, blow{"a fault", span{ended, ended.Add(2 * time.Second)}})
	r := result{verdict: s.oracle.verdict(), blows: blows, hosts: 1, seed: 7, lasted: time.Minute}
	if broken := r.breaches(); len(broken) != 1 || !strings.Contains(broken[0], "whole again after 32.01s") {
		t.Errorf("late: breaches %q", broken)
	}
	table := r.String()
	t.Log("\n" + table)
	for _, want := range []string{"1 hosts, 1m0s, seed 7", "events missing", "a fault", "32.0 s"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in the table:\n%s", want, table)
		}
	}
}

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"service_manager/hosts"
	"service_manager/publish"
)

// A tally keeps the newest status of each host. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	newest map[string]publish.Status
	polls  int
}

// observe takes in a status.
func (t *tally) observe(s publish.Status) { t.replace(s) }

// replace takes in a status, and returns the one before.
func (t *tally) replace(s publish.Status) (before publish.Status, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.newest == nil {
		t.newest = make(map[string]publish.Status)
	}
	before, known = t.newest[s.Host.Name]
	t.newest[s.Host.Name] = s
	t.polls++
	return before, known
}

// hosts is how many hosts there is a status of.
func (t *tally) hosts() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.newest)
}

// statuses returns the newest status of each host, by name.
func (t *tally) statuses() []publish.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.newest), func(a, b publish.Status) int { return cmp.Compare(a.Host.Name, b.Host.Name) })
}

// exit is the error with the highest exit code that a host asks for, nil for none.
func (t *tally) exit() error { return exitOfStatuses(t.statuses()) }

// line says in one line how the fleet is, and names what is in trouble.
func (t *tally) line(now time.Time) string {
	f := fleetOf(t.statuses())
	t.mu.Lock()
	polls := t.polls
	t.mu.Unlock()
	line := fmt.Sprintf("%s  %s  %s", now.Format(time.TimeOnly), count(polls, "poll"), f)
	const shown = 3
	trouble := f.trouble
	if more := len(trouble) - shown; more > 0 {
		trouble = append(trouble[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	if len(trouble) > 0 {
		line += "  (" + strings.Join(trouble, ", ") + ")"
	}
	return line
}

// A fleetState is how many hosts and units are how.
type fleetState struct {
	hosts, units     int
	outcomes, states map[string]int
	trouble          []string // names
}

func fleetOf(statuses []publish.Status) fleetState {
	f := fleetState{hosts: len(statuses), outcomes: make(map[string]int), states: make(map[string]int)}
	for _, s := range statuses {
		f.outcomes[s.Outcome]++
		if s.Outcome != string(hosts.OK) {
			f.trouble = append(f.trouble, s.Host.Name+" "+s.Outcome)
			continue
		}
		for _, u := range s.Units {
			f.units++
			f.states[unitWord(u)]++
			if inTrouble(u) {
				f.trouble = append(f.trouble, s.Host.Name+"/"+u.Name+" "+unitWord(u))
			}
		}
	}
	return f
}

// String is "5 hosts: 5 ok  22 units: 20 active, 2 failed".
func (f fleetState) String() string { return f.hostsText() + "  " + f.unitsText() }

func (f fleetState) hostsText() string { return count(f.hosts, "host") + inOrder(f.outcomes) }

func (f fleetState) unitsText() string { return count(f.units, "unit") + inOrder(f.states) }

// unitWord is the state that matters most of a unit.
func unitWord(u publish.Unit) string {
	if u.LoadState != "loaded" {
		return printable(u.LoadState)
	}
	return printable(u.ActiveState)
}

// inOrder lists counts behind a colon, the greatest first.
func inOrder(counts map[string]int) string {
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, word := range words {
		words[i] = fmt.Sprintf("%d %s", counts[word], word)
	}
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

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
func (t *tally) observe(s publish.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.newest == nil {
		t.newest = make(map[string]publish.Status)
	}
	t.newest[s.Host.Name] = s
	t.polls++
}

// statuses returns the newest status of each host, by name.
func (t *tally) statuses() []publish.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.newest), func(a, b publish.Status) int { return cmp.Compare(a.Host.Name, b.Host.Name) })
}

// exit is the error with the highest exit code that a host asks for, nil for none.
func (t *tally) exit() error {
	code := 0
	for _, s := range t.statuses() {
		code = max(code, exitCode(s))
	}
	if code == 0 {
		return nil
	}
	return failed(code, nil)
}

// line says in one line how the fleet is, and names what is in trouble.
func (t *tally) line(now time.Time) string {
	var (
		outcomes = make(map[string]int)
		states   = make(map[string]int)
		trouble  []string
		units    int
	)
	statuses := t.statuses()
	for _, s := range statuses {
		outcomes[s.Outcome]++
		if s.Outcome != string(hosts.OK) {
			trouble = append(trouble, s.Host.Name+" "+s.Outcome)
			continue
		}
		for _, u := range s.Units {
			units++
			states[unitWord(u)]++
			if inTrouble(u) {
				trouble = append(trouble, s.Host.Name+"/"+u.Name+" "+unitWord(u))
			}
		}
	}
	t.mu.Lock()
	polls := t.polls
	t.mu.Unlock()
	line := fmt.Sprintf("%s  %s  %s%s  %s%s", now.Format(time.TimeOnly), count(polls, "poll"), count(len(statuses), "host"), inOrder(outcomes),
		count(units, "unit"), inOrder(states))
	const shown = 3
	if more := len(trouble) - shown; more > 0 {
		trouble = append(trouble[:shown], fmt.Sprintf("and %d more", more))
	}
	if len(trouble) > 0 {
		line += "  (" + strings.Join(trouble, ", ") + ")"
	}
	return line
}

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

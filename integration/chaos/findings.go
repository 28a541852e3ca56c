package chaos

import (
	"fmt"
	"slices"
)

// A rule is what a stream of events must keep.
type rule string

// The rules.
const (
	missing       rule = "events missing"
	invented      rule = "events of what never was"
	outOfOrder    rule = "per-host order violations"
	brokenChain   rule = "events whose before is not the after of the one before"
	wrongEnd      rule = "units that end in another state than was told"
	restartsAbove rule = "restart counts above the truth"
	aheadOfEvents rule = "statuses ahead of their events"
	otherEpoch    rule = "epochs that changed"
	wrongEvent    rule = "events that cannot be right in themselves"
)

// rules are all of them, in the order of the table.
func rules() []rule {
	return []rule{missing, invented, outOfOrder, brokenChain, wrongEnd, restartsAbove, aheadOfEvents, otherEpoch, wrongEvent}
}

// findings are what broke the rules, in words.
type findings map[rule][]string

func (f findings) add(r rule, format string, args ...any) {
	f[r] = append(f[r], fmt.Sprintf(format, args...))
}

func (f findings) clone() findings {
	c := make(findings, len(f))
	for r, found := range f {
		c[r] = slices.Clone(found)
	}
	return c
}

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
	"service_manager/publish"
)

// A unitChoice chooses units by names and globs. Without any it chooses all. It is for one goroutine.
type unitChoice struct {
	patterns []unitPattern
	names    map[string]struct{} // of the units that were there
	unread   bool                // A host could not be read, and may have whatever is missed.
}

type unitPattern struct {
	given   string // on the command line
	glob    string // or whole name
	matches map[string]bool
	found   bool
}

// newUnitChoice takes patterns as systemctl does: a name without a type is a service's, a glob stands for a whole name.
func newUnitChoice(given []string) (*unitChoice, error) {
	c := &unitChoice{names: make(map[string]struct{})}
	var errs []error
	for _, pattern := range given {
		whole := pattern
		var err error
		if inventory.IsGlob(pattern) {
			err = systemctl.CheckGlob(pattern)
		} else {
			whole, err = inventory.UnitName(pattern)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("-u: %w", err))
			continue
		}
		c.patterns = append(c.patterns, unitPattern{given: pattern, glob: whole, matches: make(map[string]bool)})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, failed(exitUsage, err)
	}
	return c, nil
}

// of returns the statuses with the chosen units only.
func (c *unitChoice) of(statuses []publish.Status) []publish.Status {
	if len(c.patterns) == 0 {
		return statuses
	}
	c.unread = false
	chosen := slices.Clone(statuses)
	for i, s := range chosen {
		chosen[i].Units = slices.DeleteFunc(slices.Clone(s.Units), func(u publish.Unit) bool { return !c.takes(u) })
		c.unread = c.unread || s.Outcome != string(hosts.OK)
	}
	return chosen
}

// shown leaves out the hosts that have no unit to show, and could be read.
func (c *unitChoice) shown(statuses []publish.Status) []publish.Status {
	if len(c.patterns) == 0 {
		return statuses
	}
	return slices.DeleteFunc(slices.Clone(statuses), func(s publish.Status) bool {
		return s.Outcome == string(hosts.OK) && len(s.Units) == 0
	})
}

// takes notes the patterns that the unit matches, by any of its names.
func (c *unitChoice) takes(u publish.Unit) bool {
	c.names[u.Name] = struct{}{}
	took := false
	for i := range c.patterns {
		p := &c.patterns[i]
		if p.match(u.Name) || u.RequestedAs != nil && p.match(*u.RequestedAs) {
			p.found, took = true, true
		}
	}
	return took
}

// match remembers what it found: a fleet has few names, many times.
func (p *unitPattern) match(name string) bool {
	matches, known := p.matches[name]
	if !known {
		matches = p.glob == name || inventory.IsGlob(p.glob) && systemctl.MatchGlob(p.glob, name)
		p.matches[name] = matches
	}
	return matches
}

// missed says which patterns no unit matched, nil if each had one.
func (c *unitChoice) missed() error {
	var errs []error
	for _, p := range c.patterns {
		if !p.found {
			errs = append(errs, fmt.Errorf("-u %q matches no unit that is watched on %s%s", p.given, c.where(), c.instead(p.glob)))
		}
	}
	return errors.Join(errs...)
}

func (c *unitChoice) where() string {
	if c.unread {
		return "the hosts that could be read"
	}
	return "the selected hosts"
}

func (c *unitChoice) instead(pattern string) string {
	names := maps.Keys(c.names)
	others := ""
	if len(c.names) > 0 {
		others = "; there are " + enumerate(slices.Sorted(names))
	}
	return inventory.DidYouMean(pattern, names, others)
}

package inventory

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
)

// Select returns the hosts that any of the selectors matches, sorted by name; without selectors, all hosts. A selector is
// a host's name, with ranges as in the inventory; a glob (path.Match); @GROUP, which takes the groups below it too; or
// LABEL=VALUE. Group and value may be globs. The error names every selector that matches no enabled host, and what was
// probably meant.
func (inv *Inventory) Select(selectors []string) ([]Host, error) {
	if len(selectors) == 0 {
		return slices.Clone(inv.Hosts), nil
	}
	chosen := make([]bool, len(inv.Hosts))
	var errs []error
	for _, selector := range selectors {
		found := false
		for i := range inv.matching(selector) {
			chosen[i], found = true, true
		}
		if !found {
			errs = append(errs, fmt.Errorf("selector %q %s", selector, inv.whyNot(selector)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var hosts []Host
	for i, yes := range chosen {
		if yes {
			hosts = append(hosts, inv.Hosts[i])
		}
	}
	return hosts, nil
}

// matching yields the indexes of the hosts that one selector matches, some perhaps twice.
func (inv *Inventory) matching(selector string) iter.Seq[int] {
	return func(yield func(int) bool) {
		if group, ok := strings.CutPrefix(selector, "@"); ok {
			inv.each(yield, func(h *Host) bool { return inv.isIn(h.Group, group) })
			return
		}
		if key, value, ok := strings.Cut(selector, "="); ok {
			inv.each(yield, func(h *Host) bool {
				has, ok := h.Labels[key]
				return ok && matches(value, has)
			})
			return
		}
		for _, name := range expandSelector(selector) {
			if IsGlob(name) {
				inv.each(yield, func(h *Host) bool { return matches(name, h.Name) })
				continue
			}
			if i, ok := inv.index(name); ok && !yield(i) {
				return
			}
		}
	}
}

// each yields the hosts that fit.
func (inv *Inventory) each(yield func(int) bool, fits func(*Host) bool) {
	for i := range inv.Hosts {
		if fits(&inv.Hosts[i]) && !yield(i) {
			return
		}
	}
}

// index finds a host among the sorted ones.
func (inv *Inventory) index(name string) (int, bool) {
	return slices.BinarySearchFunc(inv.Hosts, name, func(h Host, name string) int { return strings.Compare(h.Name, name) })
}

// isIn reports whether a group, or one above it, matches.
func (inv *Inventory) isIn(group, pattern string) bool {
	for ; group != ""; group = inv.parents[group] {
		if matches(pattern, group) {
			return true
		}
	}
	return false
}

// matches compares by glob or letter by letter.
func matches(pattern, s string) bool {
	if !IsGlob(pattern) {
		return pattern == s
	}
	ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), s) // as shells write it, which path.Match does not know
	return ok && err == nil
}

// whyNot continues "selector X …" for one that matches no host.
func (inv *Inventory) whyNot(selector string) string {
	group, isGroup := strings.CutPrefix(selector, "@")
	key, value, isLabel := strings.Cut(selector, "=")
	_, badGlob := path.Match(strings.TrimPrefix(selector, "@"), "")
	switch {
	case selector == "":
		return "is empty; write a host, a glob, @group or label=value, or none for all hosts"
	case badGlob != nil:
		return "is not a glob; close each [ with ]"
	case isGroup:
		for name := range inv.parents {
			if matches(group, name) {
				return "names a group without enabled hosts"
			}
		}
		return "matches no group" + didYouMean(group, maps.Keys(inv.parents), inv.groupList())
	case isLabel:
		return inv.whyNoLabel(key, value)
	case inv.disabled[selector]:
		return "names a host that is disabled in the inventory (enabled = false)"
	case len(inv.Hosts) == 0:
		return "matches no host: the inventory has none that is enabled"
	}
	if _, ok := inv.parents[selector]; ok {
		return fmt.Sprintf("matches no host; write %q for the group", "@"+selector)
	}
	return "matches no host" + didYouMean(selector, inv.hostNames(), "")
}

// groupList names the groups, if they are few.
func (inv *Inventory) groupList() string {
	if len(inv.parents) == 0 || len(inv.parents) > 20 {
		return ""
	}
	return "; groups are " + strings.Join(slices.Sorted(maps.Keys(inv.parents)), ", ")
}

func (inv *Inventory) hostNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range inv.Hosts {
			if !yield(inv.Hosts[i].Name) {
				return
			}
		}
	}
}

func (inv *Inventory) whyNoLabel(key, value string) string {
	keys, values := make(map[string]bool), make(map[string]bool)
	for i := range inv.Hosts {
		for k, v := range inv.Hosts[i].Labels {
			keys[k] = true
			if k == key {
				values[v] = true
			}
		}
	}
	if len(values) == 0 {
		return fmt.Sprintf("matches no host: none has the label %q%s", key, didYouMean(key, maps.Keys(keys), ""))
	}
	return fmt.Sprintf("matches no host: none has that value of %q%s", key, didYouMean(value, maps.Keys(values), ""))
}

package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
)

// Select returns the hosts that any of the selectors matches, sorted by name; without selectors, all hosts. A selector is
// a host's name, with ranges and lists as in the inventory; a glob (path.Match, but * takes a / too); @GROUP, which takes the
// groups below it too; or LABEL=VALUE. Group and value may be globs. The error names every selector that matches no enabled
// host, be it only one of the names in its list, and what was probably meant.
func (inv *Inventory) Select(selectors []string) ([]Host, error) {
	if len(selectors) == 0 {
		return slices.Clone(inv.Hosts), nil
	}
	chosen := make([]bool, len(inv.Hosts))
	var errs []error
	for _, selector := range selectors {
		if err := inv.choose(selector, chosen); err != nil {
			errs = append(errs, err)
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

// choose marks the hosts that a selector matches. A range may go beyond the hosts that there are, but of a list each has to
// match.
func (inv *Inventory) choose(selector string, chosen []bool) error {
	parts := []string{selector}
	if isOfHosts(selector) {
		var err error
		if parts, err = alternatives(selector); err != nil {
			return fmt.Errorf("selector %q %w", selector, err)
		}
	}
	var missing []string
	for _, part := range parts {
		found := false
		for i := range inv.matching(part) {
			chosen[i], found = true, true
		}
		if !found {
			missing = append(missing, part)
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case len(parts) == 1:
		return fmt.Errorf("selector %q %s", selector, inv.whyNot(missing[0]))
	case len(missing) == 1:
		return fmt.Errorf("selector %q: %q %s", selector, missing[0], inv.whyNot(missing[0]))
	default:
		return fmt.Errorf("selector %q: %q (and %d more of the list) %s", selector, missing[0], len(missing)-1, inv.whyNot(missing[0]))
	}
}

// isOfHosts reports whether a selector is of hosts' names, not of a group or label.
func isOfHosts(selector string) bool {
	return !strings.HasPrefix(selector, "@") && !strings.Contains(selector, "=")
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
		names, _ := expandSelector(selector) // alternatives has seen to it
		for _, name := range names {
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
	for name := range inv.GroupsOf(group) {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

// GroupsOf yields a group and those above it, the nearest first.
func (inv *Inventory) GroupsOf(group string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for ; group != ""; group = inv.parents[group] {
			if !yield(group) {
				return
			}
		}
	}
}

// matches compares letter by letter or else by glob. Of path.Match this differs in that [!x] is what shells take it for, and
// that * and ? take a slash like any other character, as values of labels may have it.
func matches(pattern, s string) bool {
	if pattern == s || !IsGlob(pattern) {
		return pattern == s
	}
	noSlash := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") } // which no value has
	ok, err := path.Match(noSlash(strings.ReplaceAll(pattern, "[!", "[^")), noSlash(s))
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
		if _, ok := inv.index(group); ok {
			return fmt.Sprintf("matches no group; write %q for the host", group)
		}
		return "matches no group" + DidYouMean(group, maps.Keys(inv.parents), enumerate("groups", maps.Keys(inv.parents)))
	case isLabel:
		return inv.whyNoLabel(key, value)
	case inv.disabled[selector]:
		return "names a host that is disabled in the inventory (enabled = false)"
	case inv.isDisabled(selector):
		return "matches only hosts that are disabled in the inventory (enabled = false)"
	case len(inv.Hosts) == 0:
		return "matches no host: the inventory has none that is enabled"
	}
	if _, ok := inv.parents[selector]; ok {
		return fmt.Sprintf("matches no host; write %q for the group", "@"+selector)
	}
	if strings.Contains(selector, ",") {
		return "matches no host; write a space between hosts, or brackets around a list, as in [a,b]"
	}
	return "matches no host" + DidYouMean(selector, inv.hostNames(), cmp.Or(inv.nearGroup(selector), enumerate("hosts", inv.hostNames())))
}

// nearGroup is DidYouMean for a selector that may have lost the @ of a group.
func (inv *Inventory) nearGroup(selector string) string {
	if near := Nearest(selector, maps.Keys(inv.parents)); near != "" {
		return fmt.Sprintf("; did you mean %q?", "@"+near)
	}
	return ""
}

// isDisabled reports whether a range or glob matches a disabled host.
func (inv *Inventory) isDisabled(selector string) bool {
	names, _ := expandSelector(selector)
	for _, name := range names {
		if !IsGlob(name) {
			if inv.disabled[name] {
				return true
			}
			continue
		}
		for host := range inv.disabled {
			if matches(name, host) {
				return true
			}
		}
	}
	return false
}

// enumerate names the groups, or what else there is, if they are few.
func enumerate(what string, names iter.Seq[string]) string {
	const few = 20
	var all []string
	for name := range names {
		if all = append(all, name); len(all) > few {
			return "; service_manager check --print shows all"
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return "; " + what + " are " + strings.Join(all, ", ")
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
		return fmt.Sprintf("matches no host: none has the label %q%s", key, DidYouMean(key, maps.Keys(keys), enumerate("labels", maps.Keys(keys))))
	}
	return fmt.Sprintf("matches no host: none has that value of %q%s", key, DidYouMean(value, maps.Keys(values), enumerate("values", maps.Keys(values))))
}

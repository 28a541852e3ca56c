package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"service_manager/hosts"
	"service_manager/publish"
)

// A sum is what units have in common that are well: their name, but for the instance of a template, and their state.
type sum struct {
	unit, state string
}

// sums returns a row for each kind of units that are well, by name.
func (t table) sums(statuses []publish.Status, now time.Time) []row {
	summed := make(map[sum]*likes)
	add := func(key sum, host string, u publish.Unit) {
		if summed[key] == nil {
			summed[key] = &likes{hosts: make(map[string]struct{}), names: make(map[string]struct{}), note: note(u)}
		}
		summed[key].add(host, u)
	}
	for _, s := range statuses {
		if s.Outcome != string(hosts.OK) {
			continue
		}
		if len(s.Units) == 0 {
			add(sum{"-", systemState(s)}, s.Host.Name, publish.Unit{Name: "-"})
		}
		for _, u := range s.Units {
			if rankOf(u) == rankCalm && !t.hasChanged(s.Host.Name, u.Name) {
				add(sum{template(u.Name), unitState(u)}, s.Host.Name, u)
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(summed), func(a, b sum) int {
		return cmp.Or(cmp.Compare(a.unit, b.unit), cmp.Compare(a.state, b.state))
	})
	rows := make([]row, 0, len(keys))
	for _, key := range keys {
		rows = append(rows, summed[key].row(key, now))
	}
	return rows
}

// template is the name of a unit without that of its instance: worker@*.service.
func template(name string) string {
	before, instance, ok := strings.Cut(name, "@")
	if dot := strings.LastIndexByte(instance, '.'); ok && dot >= 0 {
		return before + "@*" + instance[dot:]
	}
	return name
}

// likes are units that are summed up.
type likes struct {
	hosts, names     map[string]struct{}
	units            int
	restarts         int // the most
	youngest, oldest time.Time
	note             string // of all, else empty
}

func (l *likes) add(host string, u publish.Unit) {
	l.units++
	l.hosts[host] = struct{}{}
	l.names[u.Name] = struct{}{}
	if l.note != "" && l.note != note(u) {
		l.note = ""
	}
	if u.Restarts != nil {
		l.restarts = max(l.restarts, *u.Restarts)
	}
	if u.Since == nil {
		return
	}
	if l.youngest.IsZero() || u.Since.After(l.youngest) {
		l.youngest = u.Since.Time
	}
	if l.oldest.IsZero() || u.Since.Before(l.oldest) {
		l.oldest = u.Since.Time
	}
}

func (l *likes) row(key sum, now time.Time) row {
	r := row{rank: rankCalm, host: count(len(l.hosts), "host"), unit: printable(key.unit), state: key.state, since: "-", note: l.note}
	if len(l.hosts) == 1 {
		r.host = anyOf(l.hosts)
	}
	switch {
	case len(l.names) == 1:
		r.unit = printable(anyOf(l.names))
	case l.units > len(l.hosts):
		r.note = joined(count(l.units, "unit"), r.note)
	}
	if key.unit == "-" {
		r.note = "no units watched"
	}
	if l.restarts > 0 {
		r.note = joined("up to "+count(l.restarts, "restart"), r.note)
	}
	if l.youngest.IsZero() {
		return r
	}
	from, to := now.Sub(l.youngest), now.Sub(l.oldest)
	if r.since = age(from); len(l.hosts) > 1 && brief(from) != brief(to) {
		r.since = brief(from) + "…" + brief(to)
	}
	return r
}

func anyOf(set map[string]struct{}) string {
	for one := range set {
		return one
	}
	return ""
}

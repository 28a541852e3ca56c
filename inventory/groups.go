package inventory

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// maxLabelBytes keeps labels what they are for; they travel in every message.
const maxLabelBytes = 1 << 10

// settings are what a host inherits.
type settings struct {
	units    watched
	labels   map[string]string
	interval time.Duration
	timeout  time.Duration // collector.timeout, 0 for none
	ssh      sshSettings
}

// group is a [groups.NAME] with its parents' settings merged in.
type group struct {
	name   string
	raw    *rawGroup
	parent *group
	settings

	state int // see resolve
	// unknown says that it, or a group above it, may be defined in a file that could not be read: what it sets is not known.
	unknown bool
}

type groupMap map[string]*group

func (gs groupMap) parents() map[string]string {
	parents := make(map[string]string, len(gs))
	for name, g := range gs {
		parents[name] = ""
		if g.parent != nil {
			parents[name] = g.parent.name
		}
	}
	return parents
}

// groups collects the groups of all files and resolves them against the defaults.
func (p *parser) groups(files []*rawFile, defaults settings) groupMap {
	groups := groupMap{}
	for _, f := range files {
		for _, name := range slices.Sorted(maps.Keys(f.Groups)) {
			raw := f.Groups[name]
			if first, ok := groups[name]; ok {
				p.mistake(raw.at, "group %q is already defined at %s; keep one of them", name, first.raw.at)
				continue
			}
			if !isName(name) {
				p.mistake(raw.at, "group %q; name it with letters, digits, dots, dashes and underscores only", name)
			}
			groups[name] = &group{name: name, raw: raw}
		}
	}
	if groups[DefaultGroup] == nil {
		groups[DefaultGroup] = &group{name: DefaultGroup, raw: &rawGroup{}, unknown: p.partial}
	}
	p.checkGroupWords(groups)
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		p.resolve(groups[name], groups, defaults)
	}
	return groups
}

// checkGroupWords finds groups that would share a word of the routing key.
func (p *parser) checkGroupWords(groups groupMap) {
	words := make(map[string]string, len(groups))
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		other, taken := words[routingWord(name)]
		if !taken {
			words[routingWord(name)] = name
			continue
		}
		later, earlier := groups[name], groups[other]
		if later.raw.at.compare(earlier.raw.at) < 0 {
			later, earlier = earlier, later
		}
		p.mistake(later.raw.at, "group %q has the same routing word, %q, as group %q at %s; rename one",
			later.name, routingWord(name), earlier.name, earlier.raw.at)
	}
}

// routingWord is a name as it stands in routing keys.
func routingWord(name string) string { return strings.ReplaceAll(name, ".", "_") }

const (
	unresolved = iota
	resolving
	resolved
)

// resolve merges a group's own settings into those of its parent, which is resolved first.
func (p *parser) resolve(g *group, groups groupMap, defaults settings) {
	if g.state != unresolved {
		return
	}
	g.state = resolving
	g.settings = defaults
	if name, ok := p.word(g.raw.Parent, "parent"); ok {
		switch other := groups[name]; {
		case other == nil && p.maybeElsewhere(name):
			g.unknown = true
		case other == nil:
			p.mistake(g.raw.Parent.at, "parent %q is not a group%s", name, p.groupHint(name, groups))
		case other.state == resolving:
			p.mistake(g.raw.Parent.at, "group %q is its own ancestor (%s); remove one parent", g.name, cycle(other, g))
		default:
			g.parent = other
			p.resolve(other, groups, defaults)
			g.settings, g.unknown = other.settings, other.unknown
		}
	}
	g.units = p.units(g.units, g.raw.Units)
	g.labels = p.labels(g.labels, g.raw.Labels)
	g.interval = p.interval(g.raw.Interval, g.settings)
	g.ssh = p.ssh(g.ssh, &g.raw.SSH)
	g.state = resolved
}

// maybeElsewhere reports whether a group that is not here may be in a file that could not be read.
func (p *parser) maybeElsewhere(name string) bool { return p.partial && isName(name) }

// groupHint says what to write in place of the name of a group that there is not.
func (p *parser) groupHint(name string, groups groupMap) string {
	advice := "; define it with [" + join("groups", name) + "]"
	if !isName(name) {
		advice = "; names have letters, digits, dots, dashes and underscores only"
	}
	return p.hint(name, maps.Keys(groups), advice)
}

// cycle writes the way from a group that is being resolved up to its ancestor, which has it as a parent.
func cycle(from, to *group) string {
	names := []string{from.name}
	for g := from; g != to; {
		g = g.parent
		names = append(names, g.name)
	}
	return strings.Join(append(names, from.name), " -> ")
}

// interval returns the interval of a group or host that inherits others.
func (p *parser) interval(s span, inherited settings) time.Duration {
	interval := p.duration(s, "interval", time.Second, 24*time.Hour, inherited.interval)
	if interval == s.v && inherited.timeout > interval {
		p.mistake(s.at, "the collector's timeout of %s is longer than this interval of %s; a host that hangs would miss turns, so "+
			"write more here or less there", short(inherited.timeout), short(interval))
	}
	return interval
}

// labels adds a table of labels to the inherited ones, which stay as they are.
func (p *parser) labels(inherited map[string]string, d dict) map[string]string {
	if len(d.v) == 0 {
		return inherited
	}
	sum := maps.Clone(inherited)
	for name, t := range d.v {
		switch {
		case !isName(name):
			p.mistake(t.at, "label %q; name it with letters, digits, dots, dashes and underscores only", name)
		case len(name)+len(t.v) > maxLabelBytes:
			p.mistake(t.at, "label %s has %d bytes; write at most %d", name, len(name)+len(t.v), maxLabelBytes)
		default:
			sum[name] = t.v
		}
	}
	return sum
}

package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"service_manager/inventory/sshconfig"
)

// maxHosts bounds an inventory, so that a slip in a range is a message and not a machine out of memory.
const maxHosts = 100_000

// maxRoutingKey is AMQP's limit for a short string (AMQP 0-9-1, 4.2.5.3).
const maxRoutingKey = 255

var addressChars = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$`)

// fleet is all hosts as they are expanded.
type fleet struct {
	members  []member
	places   map[string]place // of every host, disabled ones too
	words    map[string]string
	disabled map[string]bool
}

// member is a host that is still to be completed from its client configuration, and with its way.
type member struct {
	Host

	raw *rawHost
	ssh *sshSettings // shared by the hosts of an entry
}

func (p *parser) fleet(files []*rawFile, groups groupMap, c *Collector) *fleet {
	f := &fleet{places: make(map[string]place), words: make(map[string]string), disabled: make(map[string]bool)}
	for _, file := range files {
		for _, raw := range file.Hosts {
			p.host(f, raw, p.groupOf(raw, groups), c)
		}
	}
	slices.SortFunc(f.members, func(a, b member) int { return cmp.Compare(a.Name, b.Name) })
	return f
}

func (p *parser) groupOf(raw *rawHost, groups groupMap) *group {
	byDefault := groups[DefaultGroup]
	name, ok := p.word(raw.Group, "group")
	if !ok {
		return byDefault
	}
	g := groups[name]
	switch {
	case g != nil:
		return g
	case p.maybeElsewhere(name):
		return &group{name: name, settings: byDefault.settings, unknown: true}
	}
	p.mistake(raw.Group.at, "unknown group %q%s", name, p.groupHint(name, groups))
	return byDefault
}

// host adds the hosts of one [[hosts]] entry.
func (p *parser) host(f *fleet, raw *rawHost, g *group, c *Collector) {
	names := p.hostNames(raw, maxHosts-len(f.places))
	p.claim(f, names, raw, g)
	own := p.settingsOf(raw, g)
	address := p.address(raw, names)
	h := Host{
		Group: g.name, Labels: own.labels, Units: own.units.names, Globs: own.units.globs,
		Interval: own.interval, Timeout: cmp.Or(own.timeout, pollTimeout(own.interval)), ConnectTimeout: c.ConnectTimeout,
		SSH: own.ssh.SSH,
	}
	disabled := raw.Enabled.ok && !raw.Enabled.v
	for _, name := range names {
		if disabled {
			f.disabled[name] = true
			continue
		}
		if g.unknown {
			continue // what its group says may be missing
		}
		h.Name, h.Address = name, strings.ReplaceAll(address, "{name}", name)
		f.members = append(f.members, member{h, raw, &own.ssh})
	}
}

// pollTimeout is 80 % of the interval, within 1 s and 8 s.
func pollTimeout(interval time.Duration) time.Duration {
	return min(max(interval*8/10, time.Second), 8*time.Second)
}

// hostNames expands the name of an entry.
func (p *parser) hostNames(raw *rawHost, limit int) []string {
	switch {
	case !raw.Name.given():
		p.mistake(raw.at, `host without a name; write name = "web-01"`)
		return nil
	case !raw.Name.ok:
		return nil
	}
	names, err := expand(raw.Name.v, limit)
	if err != nil {
		p.mistake(raw.Name.at, "name %q %v", raw.Name.v, err)
		return nil
	}
	for _, name := range names {
		if !isName(name) || name[0] == '-' {
			p.mistake(raw.Name.at, "host %q; name it with letters, digits, dots, dashes and underscores only, and no dash in front", name)
			return nil
		}
	}
	return names
}

// claim enters the names of an entry, and says which cannot be had. One mistake stands for all of a kind in the entry.
func (p *parser) claim(f *fleet, names []string, raw *rawHost, g *group) {
	var twice, collide, long []string
	for _, name := range names {
		if first, ok := f.places[name]; ok {
			if first == raw.Name.at {
				twice = append(twice, fmt.Sprintf("host %q stands twice on this line", name))
			} else {
				twice = append(twice, fmt.Sprintf("host %q is already defined at %s", name, first))
			}
			continue
		}
		f.places[name] = raw.Name.at
		word := routingWord(name)
		if other, taken := f.words[word]; taken {
			collide = append(collide, fmt.Sprintf("host %q has the same routing word, %q, as host %q at %s",
				name, word, other, f.places[other]))
		} else {
			f.words[word] = name
		}
		if key := len("status..") + len(g.name) + len(name); key > maxRoutingKey {
			long = append(long, fmt.Sprintf("the routing key of host %.20q… in group %.20q… has %d bytes", name, g.name, key))
		}
	}
	p.oneForAll(raw.Name.at, twice, "keep one of them")
	p.oneForAll(raw.Name.at, collide, "rename one")
	p.oneForAll(raw.Name.at, long, fmt.Sprintf("AMQP allows %d: write shorter names", maxRoutingKey))
}

// oneForAll reports the first of several alike and how many there are more.
func (p *parser) oneForAll(at place, alike []string, advice string) {
	switch len(alike) {
	case 0:
	case 1:
		p.mistake(at, "%s; %s", alike[0], advice)
	default:
		p.mistake(at, "%s, and so on for %d more; %s", alike[0], len(alike)-1, advice)
	}
}

// settingsOf merges what the entry says into its group's settings.
func (p *parser) settingsOf(raw *rawHost, g *group) settings {
	own := g.settings
	switch {
	case raw.Units.given() && raw.UnitsOnly.given():
		p.mistake(raw.UnitsOnly.at, "units and units_only in one host; keep units to add to the group's, units_only to replace them")
	case raw.UnitsOnly.given():
		own.units = p.units(watched{}, raw.UnitsOnly)
	default:
		own.units = p.units(own.units, raw.Units)
	}
	own.labels = p.labels(own.labels, raw.Labels)
	own.interval = p.interval(raw.Interval, own)
	own.ssh = p.ssh(own.ssh, &raw.SSH)
	if !g.unknown {
		p.checkKey(&own.ssh)
	}
	return own
}

// address returns the address of an entry with such names, in which {name} is still to be replaced.
func (p *parser) address(raw *rawHost, names []string) string {
	address, ok := p.word(raw.Address, "address")
	if !ok {
		return "{name}"
	}
	at := raw.Address.at
	if len(names) == 0 {
		names = []string{"a"} // the name is wrong itself; this one fits into a DNS name and an IPv6 address
	}
	if !strings.Contains(address, "{name}") {
		if len(names) > 1 && isAddress(address) {
			p.mistake(at, `address %q would be that of %d hosts; write {name} into it, as in "{name}.example.com"`, address, len(names))
		}
		names = names[:1]
	}
	var wrong []string
	advice := ""
	for _, name := range names {
		if each := strings.ReplaceAll(address, "{name}", name); !isAddress(each) {
			wrong = append(wrong, fmt.Sprintf("address %q", each))
			advice = cmp.Or(advice, addressAdvice(each))
		}
	}
	p.oneForAll(at, wrong, advice)
	return address
}

// addressAdvice says what to write in place of what is no address.
func addressAdvice(address string) string {
	switch {
	case strings.ContainsAny(address, "{}"):
		return "only {name} can stand in braces"
	case strings.Contains(address, "@"):
		return "write the user as ssh.user"
	case strings.ContainsAny(address, "[]"):
		return "write an IPv6 address without brackets, and ranges into name only, with {name} here"
	case strings.Contains(address, ":"):
		return "write the port as ssh.port"
	default:
		return "write a DNS name or an IP address"
	}
}

// isAddressed reports whether a host of which no address is given may be reached by its name, or by what its client configuration
// says in place of that. What is wrong with a given address has been said.
func (m member) isAddressed(answer *sshconfig.Answer) bool {
	if m.raw.Address.given() || isAddress(m.Name) {
		return true
	}
	if answer == nil {
		return m.ssh.ConfigFile != "" // which cannot be read
	}
	_, ok := answer.First("hostname")
	return ok
}

// isAddress reports whether s is an IP address or may be a DNS name, which never is digits and dots only.
func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || addressChars.MatchString(s) && strings.Trim(s, "0123456789.") != ""
}

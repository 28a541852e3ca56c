package inventory

import (
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
)

// jump takes a host of the inventory, which is looked up when all are known, or an address, which is told by its @ or
// colon.
func (p *parser) jump(jump string, t text) string {
	if jump == none {
		return ""
	}
	p.notYet("ssh.jump", t.at)
	if !strings.ContainsAny(jump, "@:") {
		p.jumps = append(p.jumps, t)
		return jump
	}
	user, address, found := cutLast(jump, "@")
	if !found {
		address = jump
	}
	host, port := address, "22"
	if h, prt, err := net.SplitHostPort(address); err == nil {
		host, port = h, prt
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if found && !userChars.MatchString(user) || !isAddress(host) || err != nil || n == 0 {
		p.mistake(t.at, "jump is %q; write a host of the inventory or [user@]host:port, and chain jump hosts by a jump "+
			"of their own", jump)
	}
	return jump
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// checkJumps sees that each jump host exists and that no way leads through its own beginning.
func (p *parser) checkJumps(f *fleet) {
	for _, t := range p.jumps {
		switch _, exists := f.places[t.v]; {
		case f.disabled[t.v]:
			p.mistake(t.at, "jump host %q is disabled; enable it, or write its address as user@host:port", t.v)
		case !exists:
			p.mistake(t.at, "jump host %q is not in the inventory%s", t.v,
				p.hint(t.v, maps.Keys(f.places), fmt.Sprintf("; write \"%s:22\" for one that is not to be watched", t.v)))
		}
	}
	if len(p.jumps) == 0 {
		return
	}
	next := make(map[string]string, len(f.hosts))
	for _, h := range f.hosts {
		next[h.Name] = h.SSH.Jump
	}
	walked := make(map[string]string, len(f.hosts)) // host -> the host that the walk over it began with
	for _, h := range f.hosts {
		name := h.Name
		for name != "" && walked[name] == "" {
			walked[name] = h.Name
			name = next[name]
		}
		if name != "" && walked[name] == h.Name {
			p.jumpCycle(name, next, f.places)
		}
	}
}

// jumpCycle reports the cycle that a host is in, at the member that is first by name.
func (p *parser) jumpCycle(member string, next map[string]string, places map[string]place) {
	first := member
	for name := next[member]; name != member; name = next[name] {
		first = min(first, name)
	}
	way := []string{first}
	for name := next[first]; name != first; name = next[name] {
		way = append(way, name)
	}
	p.mistake(places[first], `host %q would be reached through itself (%s); write ssh = { jump = "none" } where the way begins`,
		first, strings.Join(append(way, first), " -> "))
}

package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"

	"service_manager/inventory/sshconfig"
)

// maxJumps bounds how many jump hosts one way may have. Each adds its round trips to connect_timeout.
const maxJumps = 8

// jump takes a host of the inventory, which is looked up when all are known, or an address, which is told by its @ or
// colon.
func (p *parser) jump(jump string, t text) string {
	switch {
	case jump == none:
		return ""
	case isWatched(jump):
		p.jumps = append(p.jumps, t)
	default:
		if _, ok := parseHop(jump); !ok {
			p.mistake(t.at, "jump is %q; write a host of the inventory or [user@]host:port, and chain jump hosts by a jump "+
				"of their own", jump)
		}
	}
	return jump
}

// isWatched reports whether a jump is written as the name of a host of the inventory.
func isWatched(jump string) bool { return !strings.ContainsAny(jump, "@:") }

// hop is a jump host as it is written: user and port are zero where they are not.
type hop struct {
	user, host string
	port       int
}

// parseHop reads [user@]host[:port] and, as ProxyJump allows it, ssh://[user@]host[:port].
func parseHop(s string) (hop, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	h := hop{host: s}
	at := strings.LastIndex(s, "@")
	if at >= 0 {
		h.user, h.host = s[:at], s[at+1:]
	}
	if host, port, err := net.SplitHostPort(h.host); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return hop{}, false
		}
		h.host, h.port = host, int(n)
	}
	h.host = strings.TrimSuffix(strings.TrimPrefix(h.host, "["), "]")
	return h, isAddress(h.host) && (at < 0 || userChars.MatchString(h.user))
}

// parseHops reads ProxyJump.
func parseHops(s string) ([]hop, error) {
	var hops []hop
	for part := range strings.SplitSeq(s, ",") {
		h, ok := parseHop(strings.TrimSpace(part))
		if !ok {
			return nil, fmt.Errorf("%q is not [user@]host[:port]", part)
		}
		hops = append(hops, h)
	}
	return hops, nil
}

// checkJumpNames sees that each jump host that is named exists, as far as that is known.
func (p *parser) checkJumpNames(f *fleet) {
	for _, t := range p.jumps {
		switch _, exists := f.places[t.v]; {
		case f.disabled[t.v]:
			p.mistake(t.at, "jump host %q is disabled; enable it, or write its address as user@host:port", t.v)
		case !exists && !p.partial:
			p.mistake(t.at, "jump host %q is not in the inventory%s", t.v,
				p.hint(t.v, maps.Keys(f.places), fmt.Sprintf("; write \"%s:22\" for one that is not to be watched", t.v)))
		}
	}
}

// ways finds the jump hosts of all hosts.
type ways struct {
	*parser

	watched map[string]*Host // the hosts of the inventory
	others  map[string]*Host // jump hosts that are none, by all that tells them apart
	names   map[string]int   // how many of those have a name
}

// complete returns the hosts, with what their client configurations say and the ways to them.
func (p *parser) complete(f *fleet) []Host {
	hosts := make([]Host, len(f.members))
	w := &ways{p, make(map[string]*Host, len(hosts)), make(map[string]*Host), make(map[string]int)}
	for i, m := range f.members {
		hosts[i] = m.Host
		w.watched[m.Name] = &hosts[i]
	}
	unaddressed := make(map[*rawHost][]string) // by entry
	for i, m := range f.members {
		h := &hosts[i]
		answer := p.configure(h, m.ssh, m.Name, m.raw.Address.given())
		if !m.isAddressed(answer) {
			unaddressed[m.raw] = append(unaddressed[m.raw], fmt.Sprintf("the name of host %q is no address", h.Name))
		}
		if h.SSH.User == "" && m.ssh.from.user.line == 0 {
			p.mistake(m.raw.at, "this process has no user name to log in with; write user into [ssh]")
		}
		h.Via = w.via(h, m.ssh, answer, 0)
	}
	for raw, alike := range unaddressed {
		p.oneForAll(raw.Name.at, alike, `write one beside it, as in address = "host-{name}.example.com"`)
	}
	p.checkWays(hosts, f.places)
	return hosts
}

// via returns the jump host of h: the one that the inventory names, else that of the client configuration. There are depth
// more between h and the host that all this is for.
func (w *ways) via(h *Host, s *sshSettings, answer *sshconfig.Answer, depth int) *Host {
	switch {
	case s.from.jump.line > 0 && isWatched(s.Jump):
		return w.watched[s.Jump] // nil for none
	case s.from.jump.line > 0:
		next, ok := parseHop(s.Jump)
		if !ok {
			return nil
		}
		return w.other(next, h, *s, nil, depth)
	case answer == nil:
		return nil
	}
	line, ok := answer.First("proxyjump")
	if !ok || strings.EqualFold(line.Args[0], none) {
		return nil
	}
	hops, err := parseHops(line.Args[0])
	if line.Keyword == "proxycommand" {
		err = errors.New("no command is run; write ssh.jump in the inventory, or ProxyJump before this")
	}
	if err != nil {
		w.remark(s.from.configFile, line, h.Name, true, err.Error())
		return nil
	}
	return w.proxyJump(hops, line, h, s, depth)
}

// proxyJump follows OpenSSH (ssh.c): the last hop is next to the host, each hop is an alias to look up for itself, of
// which the file's word counts more than what the inventory says of the host, and a host is not its own jump host.
func (w *ways) proxyJump(hops []hop, line sshconfig.Line, h *Host, s *sshSettings, depth int) *Host {
	last := hops[len(hops)-1]
	if last.host == h.Address && (last.user == "" || last.user == h.SSH.User) && cmp.Or(last.port, 22) == h.SSH.Port {
		return nil
	}
	h.SSH.Jump = line.Args[0]
	var via *Host
	for i, next := range hops {
		if known := w.watched[next.host]; known != nil && i == 0 && next.user == "" && next.port == 0 {
			via = known
			continue
		}
		via = w.other(next, h, sshSettings{SSH: s.SSH, from: sshPlaces{configFile: s.from.configFile}}, via, depth)
	}
	return via
}

// other returns the jump host at a hop that is not a host of the inventory, with the settings that it inherits from its
// target; before is the hop that it is reached through where that is settled. Hosts alike are one.
func (w *ways) other(next hop, target *Host, inherited sshSettings, before *Host, depth int) *Host {
	written := cmp.Or(inherited.from.jump, inherited.from.configFile)
	inherited.HostKeyAlias, inherited.from.hostKeyAlias = "", place{}
	inherited.Jump, inherited.from.jump = "", place{}
	inherited.Port, inherited.from.port = 22, place{}
	s := inherited
	if next.user != "" {
		s.User, s.from.user = next.user, written
	}
	if next.port != 0 {
		s.Port, s.from.port = next.port, written
	}
	h := Host{
		Name: next.host, Address: next.host, Labels: map[string]string{}, SSH: s.SSH,
		Interval: target.Interval, Timeout: target.Timeout, ConnectTimeout: target.ConnectTimeout,
	}
	answer := w.configure(&h, &s, next.host, false)
	if h.SSH.User == "" {
		w.mistake(written, "this process has no user name to log in to jump host %q with; write USER@ before it", next.host)
	}
	if h.Via = before; before == nil && depth < maxJumps {
		h.Via = w.via(&h, &inherited, answer, depth+1)
	}
	h.Name = fmt.Sprintf("%s@%s", h.SSH.User, net.JoinHostPort(next.host, strconv.Itoa(h.SSH.Port)))
	key := fmt.Sprintf("%s %s %+v %p", h.Name, h.Address, h.SSH, h.Via)
	if same := w.others[key]; same != nil {
		return same
	}
	w.others[key] = &h
	w.names[h.Name]++
	if n := w.names[h.Name]; n > 1 {
		h.Name = fmt.Sprintf("%s (%d)", h.Name, n)
	}
	return &h
}

// checkWays sees that no way leads through its own beginning and that none is too long.
func (p *parser) checkWays(hosts []Host, places map[string]place) {
	walked := make(map[*Host]*Host, len(hosts)) // host -> the host that the walk over it began with
	circles := false
	for i := range hosts {
		h := &hosts[i]
		for h != nil && walked[h] == nil {
			walked[h] = &hosts[i]
			h = h.Via
		}
		if h != nil && walked[h] == &hosts[i] {
			circles = true
			p.jumpCycle(h, places)
		}
	}
	if circles {
		return
	}
	for i := range hosts {
		n := 0
		for h := hosts[i].Via; h != nil; h = h.Via {
			n++
		}
		if n > maxJumps {
			p.mistake(places[hosts[i].Name], "host %q is behind more than %d jump hosts; shorten the way", hosts[i].Name, maxJumps)
			return
		}
	}
}

// jumpCycle reports the cycle that a host is in, at the host of the inventory in it that is first by name. There is one,
// since a jump host that is not watched is made after all that are before it.
func (p *parser) jumpCycle(member *Host, places map[string]place) {
	var first *Host
	for h := member; first == nil || h != member; h = h.Via {
		if _, watched := places[h.Name]; watched && (first == nil || h.Name < first.Name) {
			first = h
		}
	}
	way := []string{first.Name}
	for h := first.Via; h != first; h = h.Via {
		way = append(way, h.Name)
	}
	p.mistake(places[first.Name], `host %q would be reached through itself (%s); write ssh = { jump = "none" } where the way begins`,
		first.Name, strings.Join(append(way, first.Name), " -> "))
}

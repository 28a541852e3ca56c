//go:build integration && linux

package faults_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/integration/fleet"
	"service_manager/integration/hostile"
	"service_manager/integration/proxy"
	"service_manager/integration/sshd"
	"service_manager/inventory"
)

// A crowd is a fleet of which half is sick.
type crowd struct {
	healthy map[string]bool         // by host
	proxies map[string]*proxy.Proxy // that some of them are behind, by host
	sick    map[string]expectation
	freeze  map[string]*sshd.Server // sick hosts that are well until these are frozen
	hosts   []inventory.Host
}

// newCrowd starts all hosts. The sick ones come first in the alphabet, and so in the inventory.
func newCrowd(t *testing.T, s site) *crowd {
	t.Helper()
	c := &crowd{healthy: make(map[string]bool), proxies: make(map[string]*proxy.Proxy), sick: make(map[string]expectation), freeze: make(map[string]*sshd.Server)}
	c.addSimulated(t, s)
	for i := range 4 {
		_, h := s.sshd(t, fmt.Sprintf("real-%d", i), sshd.Config{})
		c.add(h)
	}
	for i := range 4 {
		server, h := s.sshd(t, fmt.Sprintf("a-frozen-%d", i), sshd.Config{})
		c.addSick(h, want("", hosts.OK, hosts.Timeout))
		c.freeze[h.Name] = server
	}
	c.addUnreachable(t, s)
	c.addHostile(t, s)
	return c
}

func (c *crowd) add(h inventory.Host) {
	c.healthy[h.Name] = true
	c.hosts = append(c.hosts, h)
}

func (c *crowd) addSick(h inventory.Host, e expectation) {
	c.sick[h.Name] = e
	c.hosts = append(c.hosts, h)
}

// simulated and proxied are how many healthy hosts are simulated, and how many of these are behind a proxy that is cut now and then.
const (
	simulated = 130
	proxied   = 16
)

func (c *crowd) addSimulated(t *testing.T, s site) {
	t.Helper()
	f, err := fleet.Start(fleet.Config{Hosts: simulated, Dir: s.path("fleet"), Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	inv, err := inventory.Load(f.InventoryPath())
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range inv.Hosts {
		if i%(simulated/proxied) == 0 {
			h = c.behindProxy(t, s, h)
		}
		c.add(h)
	}
}

// behindProxy puts a proxy in front of a host, and makes its key known there.
func (c *crowd) behindProxy(t *testing.T, s site, h inventory.Host) inventory.Host {
	t.Helper()
	p, err := proxy.Listen(fmt.Sprintf("%s:%d", h.Address, h.SSH.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	c.proxies[h.Name] = p
	known, err := os.ReadFile(h.SSH.KnownHosts[0])
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("[%s]:%d ", h.Address, h.SSH.Port)
	_, key, found := strings.Cut(string(known), before)
	if !found {
		t.Fatalf("no key of %s is known", before)
	}
	key, _, _ = strings.Cut(key, "\n")
	address, port, _ := strings.Cut(p.Addr(), ":")
	file := "known_hosts_" + h.Name
	s.write(t, file, fmt.Sprintf("[%s]:%s %s\n", address, port, key))
	h.SSH.KnownHosts = []string{s.path(file)}
	if _, err := fmt.Sscan(port, &h.SSH.Port); err != nil {
		t.Fatal(err)
	}
	return h
}

// addUnreachable adds hosts behind a firewall that drops, and hosts without sshd.
func (c *crowd) addUnreachable(t *testing.T, s site) {
	t.Helper()
	hole, err := hostile.NewBlackhole()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hole.Close)
	for i := range 40 {
		c.addSick(s.host(t, fmt.Sprintf("a-hole-%d", i), hole.Addr(), s.userKey), want("", hosts.Unreachable))
	}
	for i := range 6 {
		c.addSick(s.refusing(t, fmt.Sprintf("a-closed-%d", i)), want("", hosts.Unreachable))
	}
}

// addHostile adds hosts that misbehave in each of the ways there are, and more of those that use up time.
func (c *crowd) addHostile(t *testing.T, s site) {
	t.Helper()
	more := map[string]int{
		"silent": 29, "banner, a byte a second": 4, "stalls behind its proposal": 4, "silent login": 4,
		"silent channel open": 5, "silent exec": 5, "silent command": 5, "refused login": 2,
	}
	for _, m := range misdeeds() {
		for i := range 1 + more[m.name] {
			_, h := s.hostile(t, fmt.Sprintf("a-%s-%d", fileName(m.name), i), m.act)
			if m.want.outcomes[0] == hosts.OK {
				c.add(h)
				continue
			}
			// A flood may also not be over in time.
			m.want.outcomes = append(m.want.outcomes, hosts.Timeout)
			c.addSick(h, expectation{m.want.outcomes, ""})
		}
	}
	_, h := s.hostile(t, "a-stranger", hostile.Act{})
	s.write(t, "known_hosts_a-stranger", "")
	c.addSick(h, want("", hosts.HostKeyUnknown))
	_, h = s.hostile(t, "a-changed", hostile.Act{})
	known := strings.Fields(s.read(t, "known_hosts_a-changed"))
	s.write(t, "known_hosts_a-changed", known[0]+" "+string(ssh.MarshalAuthorizedKey(s.userKey)))
	c.addSick(h, want("", hosts.HostKeyChanged))
}

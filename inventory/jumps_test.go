package inventory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// way writes how a host is reached, the nearest jump host first.
func way(h *Host) string {
	var b strings.Builder
	for h != nil {
		fmt.Fprintf(&b, "%s=%s@%s:%d", h.Name, h.SSH.User, h.Address, h.SSH.Port)
		if h = h.Via; h != nil {
			b.WriteString(" < ")
		}
	}
	return b.String()
}

// ways are those of all hosts.
func waysOf(inv *Inventory) []string {
	var all []string
	for i := range inv.Hosts {
		all = append(all, way(&inv.Hosts[i]))
	}
	return all
}

func host(t *testing.T, inv *Inventory, name string) *Host {
	t.Helper()
	i, ok := inv.index(name)
	if !ok {
		t.Fatalf("no host %s", name)
	}
	return &inv.Hosts[i]
}

const jumpsDoc = `
[ssh]
user = "me"
port = 2222
jump = "bastion"
host_key_alias = "fleet"
[groups.other.ssh]
user = "you"
[[hosts]]
name = "web-[1-2]"
[[hosts]]
name = "bastion"
ssh.jump = "gate"
[[hosts]]
name = "gate"
address = "gate.example.com"
ssh.jump = "Root@outer:22"
[[hosts]]
name = "direct"
ssh.jump = "none"
[[hosts]]
name = "a[1-2]"
interval = "1m"
ssh = { jump = "gw@[2001:db8::1]", user = "x" }
[[hosts]]
name = "c[1-2]"
group = "other"
ssh.jump = "inner:2"
[[hosts]]
name = "d"
ssh.jump = "inner:2"
[[hosts]]
name = "e"
group = "other"
ssh = { jump = "inner:2", known_hosts = ["known_hosts"] }
`

func TestJumps(t *testing.T) {
	inv := parse(t, jumpsDoc, nil)
	want := []string{
		"a1=x@a1:2222 < gw@[2001:db8::1]:22=gw@2001:db8::1:22",
		"a2=x@a2:2222 < gw@[2001:db8::1]:22=gw@2001:db8::1:22",
		"bastion=me@bastion:2222 < gate=me@gate.example.com:2222 < Root@outer:22=Root@outer:22",
		"c1=you@c1:2222 < you@inner:2=you@inner:2",
		"c2=you@c2:2222 < you@inner:2=you@inner:2",
		"d=me@d:2222 < me@inner:2=me@inner:2",
		"direct=me@direct:2222",
		"e=you@e:2222 < you@inner:2 (2)=you@inner:2",
		"gate=me@gate.example.com:2222 < Root@outer:22=Root@outer:22",
		"web-1=me@web-1:2222 < bastion=me@bastion:2222 < gate=me@gate.example.com:2222 < Root@outer:22=Root@outer:22",
		"web-2=me@web-2:2222 < bastion=me@bastion:2222 < gate=me@gate.example.com:2222 < Root@outer:22=Root@outer:22",
	}
	if diff := cmp.Diff(want, waysOf(inv)); diff != "" {
		t.Errorf("ways (-want +got):\n%s", diff)
	}
	bastion := host(t, inv, "bastion")
	for _, name := range []string{"web-1", "web-2"} {
		if host(t, inv, name).Via != bastion {
			t.Errorf("%s goes through a copy of the bastion", name)
		}
	}
	selected, err := inv.Select([]string{"web-2", "a2"})
	if err != nil {
		t.Fatal(err)
	}
	if selected[1].Via != bastion || selected[0].Via != host(t, inv, "a1").Via {
		t.Error("selected hosts have other jump hosts")
	}
	gw := host(t, inv, "a1").Via
	if gw.SSH.HostKeyAlias != "" || gw.SSH.Jump != "" || gw.Interval != host(t, inv, "a1").Interval || gw.Timeout == 0 ||
		gw.ConnectTimeout == 0 || gw.Labels == nil || len(gw.Units) > 0 {
		t.Errorf("the jump host is %+v", gw)
	}
	if e, c := host(t, inv, "e").Via, host(t, inv, "c1").Via; e.SSH.KnownHosts == nil || c.SSH.KnownHosts != nil {
		t.Errorf("%s has known hosts %q, %s has %q", e.Name, e.SSH.KnownHosts, c.Name, c.SSH.KnownHosts)
	}
}

func TestChainOfJumpHosts(t *testing.T) {
	chain := func(n int) string {
		var doc strings.Builder
		for i := range n {
			fmt.Fprintf(&doc, "[[hosts]]\nname = \"h%d\"\nssh.jump = \"h%d\"\n", i, i+1)
		}
		fmt.Fprintf(&doc, "[[hosts]]\nname = \"h%d\"\n", n)
		return doc.String()
	}
	if inv := parse(t, chain(8), nil); strings.Count(way(&inv.Hosts[0]), "<") != 8 {
		t.Errorf("the way is %s", way(&inv.Hosts[0]))
	}
	_, err := Parse("x.toml", []byte(chain(9)), testConfig(nil))
	want := `x.toml:2: host "h0" is behind more than 8 jump hosts; shorten the way`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestParseHop(t *testing.T) {
	for s, want := range map[string]hop{
		"h": {host: "h"}, "u@h": {user: "u", host: "h"}, "u@h:2": {"u", "h", 2}, "a@b@h:2": {"a@b", "h", 2}, "h:65535": {"", "h", 65535},
		"[2001:db8::1]": {host: "2001:db8::1"}, "u@[2001:db8::1]:2": {"u", "2001:db8::1", 2}, "::1": {host: "::1"},
		"ssh://u@h:2/": {"u", "h", 2}, "ssh://h": {host: "h"},
	} {
		if got, ok := parseHop(s); got != want || !ok {
			t.Errorf("%q is %+v, %v, want %+v", s, got, ok, want)
		}
	}
	for _, s := range []string{
		"", "@h", "u@", ":2", "h:", "h:0", "h:65536", "h:x", "-o@h", "-h", "a b@h", "h/x", "http://h", "u@h:2:3", "10.0.0.300",
	} {
		if got, ok := parseHop(s); ok {
			t.Errorf("%q is %+v", s, got)
		}
	}
}

package inventory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEverythingMerges(t *testing.T) {
	inv := parse(t, `
[collector]
interval = "20s"
[ssh]
user = "monitor"
identity_file = "~/.ssh/id_ed25519"
jump = "bastion"
known_hosts = ["known_hosts"]
[groups.default]
units = ["ssh"]
[groups.linux]
units = ["cron", "ssh.service", "apt-*.timer"]
labels = { env = "prod", os = "linux" }
interval = "30s"
ssh = { port = 2222, host_key_alias = "linux" }
[groups.web]
parent = "linux"
units = ["nginx", "cron"]
labels = { env = "test" }
[groups.web.ssh]
user = "web"
host_key_alias = "none"
[[hosts]]
name = "web-[02,01]"
address = "{name}.{name}.example.com"
group = "web"
units = ["app.timer", "nginx.service", "-.mount"]
labels = { rack = "a1" }
interval = "2s"
ssh = { port = 22 }
[[hosts]]
name = "only"
group = "web"
units_only = ["x.socket"]
ssh.jump = "none"
[[hosts]]
name = "plain"
address = "fe80::1%eth0"
[[hosts]]
name = "bastion"
units_only = []
ssh = { jump = "me@gw.example.com:2022", known_hosts = ["/etc/ssh/ssh_known_hosts"] }
[[hosts]]
name = "gone"
enabled = false
`, nil)
	base := SSH{
		User: "monitor", Port: 22, IdentityFile: "/home/me/.ssh/id_ed25519", KnownHosts: []string{"dir/known_hosts"}, Jump: "bastion",
		Mode: "exec", Keepalive: 15 * time.Second,
	}
	web := base
	web.User, web.Port = "web", 2222
	host := func(name, address, group string, interval, timeout time.Duration, ssh SSH) Host {
		return Host{
			Name: name, Address: address, Group: group, Labels: map[string]string{}, Interval: interval, Timeout: timeout,
			ConnectTimeout: 5 * time.Second, SSH: ssh,
		}
	}
	bastion := host("bastion", "bastion", "default", 20*time.Second, 8*time.Second, base)
	bastion.SSH.Jump, bastion.SSH.KnownHosts = "me@gw.example.com:2022", []string{"/etc/ssh/ssh_known_hosts"}
	gateway := bastion
	gateway.Name, gateway.Address, gateway.Group = "me@gw.example.com:2022", "gw.example.com", ""
	gateway.SSH.User, gateway.SSH.Port, gateway.SSH.Jump = "me", 2022, ""
	bastion.Via = &gateway
	only := host("only", "only", "web", 30*time.Second, 8*time.Second, web)
	only.SSH.Jump, only.Units = "", []string{"x.socket"}
	only.Labels = map[string]string{"env": "test", "os": "linux"}
	plain := host("plain", "fe80::1%eth0", "default", 20*time.Second, 8*time.Second, base)
	plain.Via = &bastion
	plain.Units = []string{"ssh.service"}
	web01 := host("web-01", "web-01.web-01.example.com", "web", 2*time.Second, 1600*time.Millisecond, web)
	web01.SSH.Port = 22
	web01.Via = &bastion
	web01.Labels = map[string]string{"env": "test", "os": "linux", "rack": "a1"}
	web01.Units = []string{"cron.service", "ssh.service", "nginx.service", "app.timer", "-.mount"}
	web01.Globs = []string{"apt-*.timer"}
	web02 := web01
	web02.Name, web02.Address = "web-02", "web-02.web-02.example.com"
	if diff := cmp.Diff([]Host{bastion, only, plain, web01, web02}, inv.Hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}

func TestPollTimeout(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, 2 * time.Second: 1600 * time.Millisecond, 10 * time.Second: 8 * time.Second,
		time.Hour: 8 * time.Second,
	} {
		if got := pollTimeout(interval); got != want {
			t.Errorf("interval %v has timeout %v, want %v", interval, got, want)
		}
	}
}

func TestNoUserName(t *testing.T) {
	cfg := testConfig(nil)
	cfg.User = ""
	p := &parser{cfg: cfg, files: []*file{{name: "x.toml"}}, looked: map[string]error{}}
	raw, _ := p.decode(p.files[0], []byte("[[hosts]]\nname = \"a\"\nssh.jump = \"j:22\"\n[[hosts]]\nname = \"b\"\nssh.user = \"u\"\n"))
	p.complete(p.fleet([]*rawFile{raw}, p.groups([]*rawFile{raw}, settings{}), &Collector{}))
	want := "x.toml:1: this process has no user name to log in with; write user into [ssh]\n" +
		`x.toml:3: this process has no user name to log in to jump host "j" with; write USER@ before it`
	if err := p.err(); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// fleetOf is an inventory such as other systems generate, one table per host.
func fleetOf(hosts int) []byte {
	var b strings.Builder
	for g := range 100 {
		fmt.Fprintf(&b, "[groups.g%d]\nunits = [\"a\", \"b\", \"c\", \"d\"]\nlabels = { env = \"prod\" }\n", g)
	}
	for i := range hosts {
		fmt.Fprintf(&b, "[[hosts]]\nname = \"host-%d.example.com\"\naddress = \"10.0.%d.%d\"\ngroup = \"g%d\"\nunits = [\"x%d\"]\n"+
			"labels = { rack = \"r%d\" }\nssh = { port = 22 }\n", i, i/256, i%256, i%100, i, i%40)
	}
	return []byte(b.String())
}

func BenchmarkParse10000(b *testing.B) {
	doc := fleetOf(10_000)
	for b.Loop() {
		if inv, err := Parse("x.toml", doc, testConfig(nil)); err != nil || len(inv.Hosts) != 10_000 {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse10000Mistakes has a mistake of every quadratic kind in each host.
func BenchmarkParse10000Mistakes(b *testing.B) {
	var doc strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&doc, "[[hosts]]\nname = \"host-%d\"\ngroup = \"group-%d\"\nssh = { jump = \"jumphost-%d\", usr = \"x\" }\n", i, i, i)
	}
	for b.Loop() {
		if _, err := Parse("x.toml", []byte(doc.String()), testConfig(nil)); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	inv, err := Parse("x.toml", fleetOf(10_000), testConfig(nil))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if hosts, err := inv.Select([]string{"host-[1-999].example.com", "host-2*", "@g7", "rack=r1"}); err != nil || len(hosts) < 999 {
			b.Fatal(len(hosts), err)
		}
	}
}

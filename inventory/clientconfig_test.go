package inventory

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withConfig parses an inventory whose hosts take the rest from an OpenSSH client configuration beside it.
func withConfig(t *testing.T, doc, config string, files map[string]string) *Inventory {
	t.Helper()
	all := map[string]string{"dir/ssh_config": config}
	maps.Copy(all, files)
	return parse(t, "[ssh]\nconfig_file = \"ssh_config\"\n"+doc, all)
}

func TestClientConfig(t *testing.T) {
	inv := withConfig(t, `[groups.fixed.ssh]
user = "fix"
port = 23
identity_file = "id_ed25519"
certificate_file = "none"
known_hosts = ["known_hosts"]
host_key_alias = "none"
jump = "none"
[[hosts]]
name = "web-[1-2]"
[[hosts]]
name = "fixed"
address = "192.0.2.1"
group = "fixed"
[[hosts]]
name = "off"
ssh.config_file = "none"
[[hosts]]
name = "plain"
`, `Include conf.d/*
Host web-* fixed
  HostName %h.Example.com
  Port 2222
  User web
  IdentityFile none
  IdentityFile ~/.ssh/missing
  IdentityFile %d/keys/%n-%h-%p-%r-%u
  IdentityFile ~/.ssh/id_ed25519
  CertificateFile ${CREDENTIALS_DIRECTORY}/%%c
  UserKnownHostsFile ~/.ssh/none "~/my hosts"
  HostKeyAlias farm
  ProxyJump none
`, map[string]string{
		"/home/me/.ssh/conf.d/1": "Host web-1\nPort 1111\n", "/home/me/my hosts": "", "/run/credentials/%c": "",
		"/home/me/keys/web-1-web-1.example.com-1111-web-me": "", "/home/me/.ssh/conf.d/2": "Host web-1\nPort 1\n",
	})
	base := SSH{User: "me", Port: 22, ConfigFile: "dir/ssh_config", Mode: ModeExec, Keepalive: 15 * time.Second}
	web1 := base
	web1.User, web1.Port, web1.HostKeyAlias = "web", 1111, "farm"
	web1.IdentityFile, web1.CertificateFile = "/home/me/keys/web-1-web-1.example.com-1111-web-me", "/run/credentials/%c"
	web1.KnownHosts = []string{"/home/me/my hosts", "/etc/ssh/ssh_known_hosts"}
	web2 := web1
	web2.Port, web2.IdentityFile = 2222, "/home/me/.ssh/id_ed25519"
	fixed := base
	fixed.User, fixed.Port, fixed.IdentityFile, fixed.KnownHosts = "fix", 23, "dir/id_ed25519", []string{"dir/known_hosts"}
	off := base
	off.ConfigFile = ""
	for name, want := range map[string]SSH{"web-1": web1, "web-2": web2, "fixed": fixed, "off": off, "plain": base} {
		if diff := cmp.Diff(want, host(t, inv, name).SSH); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, want := range map[string]string{
		"web-1": "web-1.example.com", "fixed": "192.0.2.1", "off": "off", "plain": "plain",
	} {
		if got := host(t, inv, name).Address; got != want {
			t.Errorf("the address of %s is %s, want %s", name, got, want)
		}
	}
	if len(inv.Notices) > 0 {
		t.Errorf("notices %q", inv.Notices)
	}
}

// TestInventoryBeforeClientConfig goes over the levels: what [ssh], a group or a host sets is not taken from the file.
func TestInventoryBeforeClientConfig(t *testing.T) {
	inv := withConfig(t, `user = "all"
[groups.g]
ssh.user = "group"
[[hosts]]
name = "a"
[[hosts]]
name = "b"
group = "g"
[[hosts]]
name = "c"
group = "g"
ssh.user = "host"
`, "Match user all\nPort 1\nMatch user group\nPort 2\nMatch user host\nPort 3\nMatch all\nUser config\n", nil)
	want := []string{"a=all@a:1", "b=group@b:2", "c=host@c:3"}
	if diff := cmp.Diff(want, waysOf(inv)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProxyJump(t *testing.T) {
	const hosts = `[[hosts]]
name = "bastion"
[[hosts]]
name = "web"
`
	tests := map[string]struct {
		doc, config string
		want        string // the way to web
	}{
		"a host of the inventory": {"", "Host web\nProxyJump bastion\n", "web=me@web:22 < bastion=me@bastion:22"},
		"with another port":       {"", "Host web\nProxyJump bastion:2\n", "web=me@web:22 < me@bastion:2=me@bastion:2"},
		"an alias": {
			"", "Host web\nProxyJump gw\nHost gw\nHostName GW.example.com\nUser jumper\nPort 2\nHostKeyAlias k\n",
			"web=me@web:22 < jumper@gw:2=jumper@gw.example.com:2",
		},
		"a chain": {
			"", "Host web\nProxyJump a,x@b:2,ssh://c:3\nHost a\nUser y\nHost c\nProxyJump d\n",
			"web=me@web:22 < me@c:3=me@c:3 < x@b:2=x@b:2 < y@a:22=y@a:22",
		},
		"a chain from a host": {"", "Host web\nProxyJump bastion,b\n", "web=me@web:22 < me@b:22=me@b:22 < bastion=me@bastion:22"},
		"jumps of jumps": {
			"", "Host web\nProxyJump a\nHost a\nProxyJump b\nHost b\nProxyJump bastion\n",
			"web=me@web:22 < me@a:22=me@a:22 < me@b:22=me@b:22 < bastion=me@bastion:22",
		},
		"not to itself":       {"", "Host *\nProxyJump bastion\n", "web=me@web:22 < bastion=me@bastion:22"},
		"alias not to itself": {"", "Host *\nProxyJump gw\n", "web=me@web:22 < me@gw:22=me@gw:22"},
		"the inventory's user is for its hosts": {
			"user = \"monitor\"\nport = 5\n", "Host web\nProxyJump gw\nHost gw\nUser jumper\n", "web=monitor@web:5 < jumper@gw:22=jumper@gw:22",
		},
		"and for all of whom nothing is said": {
			"user = \"monitor\"\n", "Host web\nProxyJump gw\n", "web=monitor@web:22 < monitor@gw:22=monitor@gw:22",
		},
		"jump of the inventory first": {
			"jump = \"gw:22\"\n", "Host web\nProxyJump bastion\nPort 2\nHost gw\nHostName gw.example.com\nPort 3\n",
			"web=me@web:2 < me@gw:22=me@gw.example.com:22",
		},
		"alias in the inventory": {
			"jump = \"u@gw\"\n", "Host gw\nHostName gw.example.com\nPort 3\nUser no\nProxyJump outer\nHost outer\nProxyJump none\n",
			"web=me@web:22 < u@gw:3=u@gw.example.com:3 < me@outer:22=me@outer:22",
		},
		"jump none": {"jump = \"none\"\n", "ProxyJump a\n", "web=me@web:22"},
		"none":      {"", "ProxyJump none\n", "web=me@web:22"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inv := withConfig(t, test.doc+hosts, test.config, nil)
			if diff := cmp.Diff(test.want, way(host(t, inv, "web"))); diff != "" {
				t.Errorf("the way to web (-want +got):\n%s", diff)
			}
		})
	}
}

// TestJumpKeepsItsOwnKey holds that what the file says of a host's key is not offered to its jump host.
func TestJumpKeepsItsOwnKey(t *testing.T) {
	inv := withConfig(t, "[[hosts]]\nname = \"web-[1-3]\"\n",
		"Host web-*\nIdentityFile ~/.ssh/id_ed25519\nHostKeyAlias a\nUserKnownHostsFile ~/.ssh/known_hosts\nProxyJump gw\n", nil)
	gw := host(t, inv, "web-1").Via
	if gw.SSH.IdentityFile != "" || gw.SSH.HostKeyAlias != "" || gw.SSH.KnownHosts != nil {
		t.Errorf("the jump host has %+v", gw.SSH)
	}
	if host(t, inv, "web-3").Via != gw {
		t.Error("hosts alike have jump hosts of their own")
	}
}

func TestAgentKeys(t *testing.T) {
	files := map[string]string{"dir/private": "", "dir/held.pub": "", "dir/both": "", "dir/both.pub": "", "/home/me/.ssh/c.pub": ""}
	for name, test := range map[string]struct{ ssh, config, want string }{
		"the only one":        {"", "", ""},
		"private":             {`identity_file = "private"`, "", "dir/private"},
		"public":              {`identity_file = "held.pub"`, "", "dir/held.pub"},
		"public beside":       {`identity_file = "held"`, "", "dir/held.pub"},
		"both":                {`identity_file = "both"`, "", "dir/both"},
		"of the file":         {"", "IdentityFile ~/.ssh/c\n", "/home/me/.ssh/c.pub"},
		"none in the file":    {"", "IdentityFile none\n", ""},
		"with a certificate":  {`certificate_file = "id_ed25519-cert.pub"`, "", ""},
		"and with passphrase": {`passphrase_file = "private"`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inv := withConfig(t, "agent = true\n"+test.ssh+"\n[[hosts]]\nname = \"web\"\n", test.config, files)
			if got := inv.Hosts[0].SSH.IdentityFile; got != test.want || !inv.Hosts[0].SSH.Agent {
				t.Errorf("identity file %q, want %q", got, test.want)
			}
		})
	}
}

func TestClientConfigMistakes(t *testing.T) {
	for config, want := range map[string]string{
		"Port\n":                            `1: Port without an argument`,
		"Include /x/none\nInclude /x/bad\n": `2: include: /x/bad:1: a quote is not closed`,
		"ProxyCommand nc %h %p\n": `1: proxycommand "nc %h %p": host "db": no command is run; ` +
			`write ssh.jump in the inventory, or ProxyJump before this; and so on for 2 more`,
		"Host web-2\nProxyCommand x\n": `2: proxycommand "x": host "web-2": no command is run; ` +
			`write ssh.jump in the inventory, or ProxyJump before this`,
		"Host db\nProxyJump a,,b\n": `2: proxyjump "a,,b": host "db": "" is not [user@]host[:port]`,
		"Host db\nHostName a_b/c\n": `2: hostname "a_b/c": host "db": ` +
			`this is neither a DNS name nor an IP address`,
		"Host db\nHostName %p\n": `2: hostname "%p": host "db": ` +
			`%"p" is not a token that is understood here`,
		"Host db\nPort ssh\n": `2: port "ssh": host "db": write a number from 1 to 65535`,
		"Host db\nPort 0\n":   `2: port "0": host "db": write a number from 1 to 65535`,
		"Host db\nUser -oX\n": `2: user "-oX": host "db": this is not an account's name`,
		"Host db\nHostKeyAlias \"a b\"\n": `2: hostkeyalias "a b": host "db": ` +
			`write one name as it stands in known_hosts`,
		"Host db\nIdentityFile none\n": `2: identityfile "none": host "db": this leaves no key to log in with; ` +
			`write identity_file, or agent = true, in the inventory`,
		"Host db\nIdentityFile ~/.ssh/id_ed25519-cert.pub\n": `2: identityfile "~/.ssh/id_ed25519-cert.pub": host "db": this is a ` +
			`public key; name the private key, or set agent = true in the inventory`,
		"Host db\nIdentityFile ~x/y\n": `2: identityfile "~x/y": host "db": of ~ only ~/ is understood; ` +
			`write the whole path`,
		"Host db\nIdentityFile /a\nIdentityFile /b\n": `2: identityfile "/a": host "db": /a cannot be read: ` +
			`file does not exist`,
		"Host db\nIdentityFile ${NO_SUCH}\n": `2: identityfile "${NO_SUCH}": host "db": the environment variable NO_SUCH is not set; ` +
			`set it for this process or use a file`,
		"Host db\nCertificateFile /c\n": `2: certificatefile "/c": host "db": /c cannot be read: ` +
			`file does not exist`,
		"Host db\nUserKnownHostsFile none\nGlobalKnownHostsFile /g\n": `2: userknownhostsfile "none": host "db": ` +
			`none of the files exists, so the host could not be trusted`,
		"Host db\nProxyJump a\nHost a\nUser a/b\n": `4: user "a/b": host "a": this is not an account's name`,
	} {
		files := map[string]string{"dir/ssh_config": config, "/x/bad": "User \"\n"}
		doc := "[ssh]\nconfig_file = \"ssh_config\"\n[[hosts]]\nname = \"web-[1-2]\"\n[[hosts]]\nname = \"db\"\n"
		_, err := Parse("dir/main.toml", []byte(doc), testConfig(files))
		if want = "dir/main.toml:2: config_file: dir/ssh_config:" + want; err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", config, err, want)
		}
	}
}

func TestClientConfigCircles(t *testing.T) {
	for config, want := range map[string]string{
		"Host web\nProxyJump a\nHost a\nProxyJump web\n": `host "web" would be reached through itself (web -> me@a:22 -> web); ` +
			`write ssh = { jump = "none" } where the way begins`,
		"Host web\nProxyJump a\nHost a\nProxyJump b\nHost b\nProxyJump a\n": `host "web" is behind more than 8 jump hosts; shorten the way`,
	} {
		doc := "[[hosts]]\nname = \"web\"\n[ssh]\nconfig_file = \"ssh_config\"\n"
		_, err := Parse("dir/main.toml", []byte(doc), testConfig(map[string]string{"dir/ssh_config": config}))
		if want = "dir/main.toml:2: " + want; err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", config, err, want)
		}
	}
}

func TestClientConfigNotices(t *testing.T) {
	inv := withConfig(t, "[[hosts]]\nname = \"web-[1-3]\"\n[[hosts]]\nname = \"db\"\nssh = { agent = true, config_file = \"ssh_config\" }\n",
		`CanonicalizeHostname yes
KnownHostsCommand /bin/x
IdentityAgent ~/agent
Match host web-* exec "true"
  User a
`, nil)
	const passed = `the lines below it are passed over, since exec is never run, and some is known only once connected`
	want := []string{
		`dir/main.toml:2: config_file: dir/ssh_config:1: canonicalizehostname "yes": host "web-1": ` +
			`names are taken as they are written; and so on for 2 more`,
		`dir/main.toml:2: config_file: dir/ssh_config:2: knownhostscommand "/bin/x": host "web-1": no command is run; and so on for 2 more`,
		`dir/main.toml:2: config_file: dir/ssh_config:4: match "host web-* exec true": host "web-1": ` + passed + `; and so on for 2 more`,
		`dir/main.toml:7: config_file: dir/ssh_config:1: canonicalizehostname "yes": host "db": names are taken as they are written`,
		`dir/main.toml:7: config_file: dir/ssh_config:2: knownhostscommand "/bin/x": host "db": no command is run`,
		`dir/main.toml:7: config_file: dir/ssh_config:3: identityagent "~/agent": host "db": ` +
			`the agent that is asked is that at $SSH_AUTH_SOCK`,
	}
	if diff := cmp.Diff(want, inv.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	if got := host(t, inv, "web-1").SSH.User; got != "me" {
		t.Errorf("user %s is of a block that was passed over", got)
	}
}

// BenchmarkParse10000ClientConfig has a Host line, a key and a jump host for each host.
func BenchmarkParse10000ClientConfig(b *testing.B) {
	var config strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&config, "Host host-%d.example.com\n  HostName 10.0.%d.%d\n  IdentityFile ~/.ssh/id_ed25519\n", i, i/256, i%256)
	}
	config.WriteString("Host gw\n  User jumper\nHost *.example.com\n  ProxyJump gw\n  User me\n")
	doc := append([]byte("[ssh]\nconfig_file = \"ssh_config\"\n"), strings.ReplaceAll(string(fleetOf(10_000)), "address = ", "#")...)
	cfg := testConfig(map[string]string{"ssh_config": config.String()})
	for b.Loop() {
		if inv, err := Parse("x.toml", doc, cfg); err != nil || len(inv.Hosts) != 10_000 || inv.Hosts[9].Via.SSH.User != "jumper" {
			b.Fatal(err)
		}
	}
}

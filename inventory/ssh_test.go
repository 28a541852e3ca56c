package inventory

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sshKeys has two values for each key of an ssh table and what Host.SSH makes of the second.
func sshKeys() map[string]struct {
	all, own string
	set      func(*SSH)
} {
	return map[string]struct {
		all, own string
		set      func(*SSH)
	}{
		"user":             {`"a"`, `"b"`, func(s *SSH) { s.User = "b" }},
		"port":             {`1`, `2`, func(s *SSH) { s.Port = 2 }},
		"identity_file":    {`"/a"`, `"/b"`, func(s *SSH) { s.IdentityFile = "/b" }},
		"passphrase_file":  {`"/a"`, `"/b"`, func(s *SSH) { s.PassphraseFile = "/b" }},
		"certificate_file": {`"/a"`, `"none"`, func(s *SSH) { s.CertificateFile = "" }},
		"agent":            {`true`, `false`, func(s *SSH) { s.Agent = false }},
		"known_hosts":      {`["/a"]`, `["/b", "/c"]`, func(s *SSH) { s.KnownHosts = []string{"/b", "/c"} }},
		"host_key_alias":   {`"a"`, `"b"`, func(s *SSH) { s.HostKeyAlias = "b" }},
		"config_file":      {`"/a"`, `"/b"`, func(s *SSH) { s.ConfigFile = "/b" }},
		"jump":             {`"a"`, `"u@b:22"`, func(s *SSH) { s.Jump = "u@b:22" }},
		"become":           {`"sudo"`, `"none"`, func(s *SSH) { s.Become = "" }},
		"mode":             {`"stream"`, `"exec"`, func(s *SSH) { s.Mode = ModeExec }},
		"keepalive":        {`"1m"`, `"0s"`, func(s *SSH) { s.Keepalive = 0 }},
	}
}

// TestEveryKeyAtEveryLevel sets each key for all hosts, and then another value of one key in a group or a host.
func TestEveryKeyAtEveryLevel(t *testing.T) {
	keys := sshKeys()
	raw := reflect.TypeFor[rawSSH]()
	for field := range raw.Fields() {
		if key := field.Tag.Get("toml"); key != "" && keys[key].set == nil {
			t.Errorf("%s is not tested", key)
		}
	}
	var all strings.Builder
	all.WriteString("[ssh]\n")
	for key, values := range keys {
		fmt.Fprintf(&all, "%s = %s\n", key, values.all)
	}
	const hosts = "[[hosts]]\nname = \"a\"\nssh.jump = \"none\"\n[[hosts]]\nname = \"h\"\ngroup = \"below\"\n"
	base := host(t, parse(t, all.String()+"[groups.below]\n"+hosts, nil), "h").SSH
	want := SSH{
		User: "a", Port: 1, IdentityFile: "/a", PassphraseFile: "/a", CertificateFile: "/a", Agent: true, KnownHosts: []string{"/a"},
		HostKeyAlias: "a", ConfigFile: "/a", Jump: "a", Become: "sudo", Mode: ModeStream, Keepalive: time.Minute,
	}
	if diff := cmp.Diff(want, base); diff != "" {
		t.Fatalf("without overrides (-want +got):\n%s", diff)
	}
	for key, values := range keys {
		want := base
		values.set(&want)
		for level, doc := range map[string]string{
			"group":           fmt.Sprintf("[groups.below.ssh]\n%s = %s\n%s", key, values.own, hosts),
			"parent":          fmt.Sprintf("[groups.above.ssh]\n%s = %s\n[groups.below]\nparent = \"above\"\n%s", key, values.own, hosts),
			"host":            fmt.Sprintf("[groups.below.ssh]\n%s = %s\n%sssh = { %[1]s = %[4]s }\n", key, values.all, hosts, values.own),
			"host over group": fmt.Sprintf("[groups.below.ssh]\n%s = %s\n%s[hosts.ssh]\n%[1]s = %[4]s\n", key, values.all, hosts, values.own),
		} {
			if diff := cmp.Diff(want, host(t, parse(t, all.String()+doc, nil), "h").SSH); diff != "" {
				t.Errorf("%s of the %s (-want +got):\n%s", key, level, diff)
			}
		}
	}
}

func TestSecretsOthersCanRead(t *testing.T) {
	modes := map[string]fs.FileMode{
		"key": 0o644, "key.pub": 0o644, "phrase": 0o604, "group": 0o640, "broker": 0o666, "tls": 0o444, "own": 0o600,
		"tty": fs.ModeCharDevice | 0o666, "of-config": 0o644,
	}
	files := map[string]string{"ssh_config": "IdentityFile /of-config\n", "/of-config": ""}
	for name := range modes {
		files[name] = "secret"
	}
	cfg := testConfig(files)
	cfg.Mode = func(name string) (fs.FileMode, error) { return modes[filepath.Base(name)], nil }
	inv, err := Parse("x.toml", []byte(`[broker]
url = "amqps://u@h"
password_file = "broker"
cert_file = "client.pem"
key_file = "tls"
[ssh]
identity_file = "key"
passphrase_file = "phrase"
[groups.a.ssh]
identity_file = "group"
passphrase_file = "own"
[groups.b.ssh]
agent = true
identity_file = "key.pub"
passphrase_file = "tty"
[groups.c.ssh]
identity_file = "key"
`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	const can, advice = "every account of this machine can read ", "; take that right away with chmod o= "
	want := []string{
		"x.toml:3: password_file: " + can + "broker" + advice + "broker", "x.toml:5: key_file: " + can + "tls" + advice + "tls",
		"x.toml:7: identity_file: " + can + "key" + advice + "key", "x.toml:8: passphrase_file: " + can + "phrase" + advice + "phrase",
	}
	if diff := cmp.Diff(want, inv.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	inv, err = Parse("x.toml", []byte("[ssh]\nconfig_file = \"ssh_config\"\n[[hosts]]\nname = \"a-[1-2]\"\n"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"x.toml:2: config_file: " + can + "/of-config" + advice + "/of-config"}; !cmp.Equal(want, inv.Notices) {
		t.Errorf("notices %q, want %q", inv.Notices, want)
	}
}

// TestCredentials takes secrets from where systemd puts them (systemd.exec(5), LoadCredential=).
func TestCredentials(t *testing.T) {
	inv := parse(t, `[ssh]
identity_file = "${CREDENTIALS_DIRECTORY}/key"
passphrase_file = "${CREDENTIALS_DIRECTORY}/phrase"
[broker]
url = "amqp://u@h"
password_file = "${CREDENTIALS_DIRECTORY}/broker"
[[hosts]]
name = "a"
`, map[string]string{"/run/credentials/key": "", "/run/credentials/phrase": "x", "/run/credentials/broker": "y"})
	ssh := inv.Hosts[0].SSH
	if ssh.IdentityFile != "/run/credentials/key" || ssh.PassphraseFile != "/run/credentials/phrase" || inv.Broker.URLs[0] != "amqp://u:y@h" {
		t.Errorf("key %s, passphrase %s, broker %s", ssh.IdentityFile, ssh.PassphraseFile, inv.Broker.URLs[0])
	}
}

func TestPassphraseOfTheDefaultKey(t *testing.T) {
	inv := parse(t, "[ssh]\npassphrase_file = \"p\"\n[[hosts]]\nname = \"a\"\n", map[string]string{"dir/p": "x"})
	if ssh := inv.Hosts[0].SSH; ssh.IdentityFile != "" || ssh.PassphraseFile != "dir/p" {
		t.Errorf("key %q, passphrase file %q", ssh.IdentityFile, ssh.PassphraseFile)
	}
}

// TestRealFiles has an OpenSSH client configuration and its includes on disk.
func TestRealFiles(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"inventory.toml":   "[ssh]\nuser = \"me\"\nconfig_file = \"config\"\n[collector]\nname = \"c\"\n[[hosts]]\nname = \"a\"\n",
		"config":           "Include " + dir + "/config.d/*.conf\nHost a\nHostName other\n",
		"config.d/10.conf": "Host a\nPort 7\nIdentityFile " + dir + "/key\n",
		"key":              "",
	})
	inv, err := Load(filepath.Join(dir, "inventory.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := way(&inv.Hosts[0]); got != "a=me@other:7" || !strings.HasSuffix(inv.Hosts[0].SSH.IdentityFile, "/key") {
		t.Errorf("the way is %s with %s", got, inv.Hosts[0].SSH.IdentityFile)
	}
}

// The file that trust is to make may be missing, the folder for it may not.
func TestKnownHostsYetToBeMade(t *testing.T) {
	dir := t.TempDir()
	for folder, want := range map[string]string{
		"":      "inventory.toml:2: known_hosts: " + filepath.Join(dir, "keys") + " does not exist; service_manager trust makes it",
		"none/": "inventory.toml:2: known_hosts: " + filepath.Join(dir, "none", "keys") + " cannot be read: no such file or directory; correct the path or the file's permissions",
	} {
		data := "[ssh]\nknown_hosts = [" + strconv.Quote(filepath.Join(dir, folder+"keys")) + "]\n[[hosts]]\nname = \"a\"\n"
		inv, err := Parse("inventory.toml", []byte(data), Config{})
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(inv.Notices, "\n")
			if files := inv.Hosts[0].SSH.KnownHosts; len(files) != 1 || files[0] != filepath.Join(dir, "keys") {
				t.Errorf("known_hosts %q", files)
			}
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", folder, got, want)
		}
	}
}

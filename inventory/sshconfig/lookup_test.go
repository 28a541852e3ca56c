package sshconfig_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service_manager/inventory/sshconfig"
)

// lookups are asked of the host "web", to whom the local user is "me". DIR in a text is the folder of the files.
var lookups = map[string]struct { //nolint:gochecknoglobals // a table of two tests
	config string
	files  map[string]string
	query  sshconfig.Query // Name and LocalUser are filled in
	want   map[string]string
	noSSH  string // why this ssh is not asked
}{
	"first value wins":          {config: "User a\nUser b\nHost web\nUser c\nPort 3\nPort 4\n", want: m{"user": "a", "port": "3"}},
	"case of keywords":          {config: "hOsT web\n  POrt 3\n", want: m{"port": "3"}},
	"equals signs":              {config: "User=a\nPort = 3\nHostName =x\n", want: m{"user": "a", "port": "3", "hostname": "x"}},
	"tabs and windows newlines": {config: "Host\tother\tweb\r\n\tUser\ta\r\n", want: m{"user": "a"}},
	"comments": {
		config: "# User x\nUser a # b\nIdentityFile /k#1\n  # c\n",
		want:   m{"user": "a", "identityfile": "/k#1"},
	},
	"quotes": {
		config: "\"User\" q\nIdentityFile \"/a b#c\" # d\nIdentityFile '/q \"x'\nIdentityFile /a\\ b\n",
		want:   m{"user": "q", "identityfile": "/a b#c|/q \"x|/a b"},
	},
	"several files": {
		config: "UserKnownHostsFile \"/a b\" /c\nUserKnownHostsFile /d\nIdentityFile /a\nIdentityFile /b\nIdentityFile /a\n",
		want:   m{"userknownhostsfile": "/a b /c", "identityfile": "/a|/b"},
	},

	"host patterns": {
		config: "Host w?b\nUser a\nHost w*\nPort 3\nHost ????\nHostName x\n",
		want:   m{"user": "a", "port": "3"},
	},
	"question mark is one": {config: "Host web?\nUser a\n", want: m{}},
	"stars":                {config: "Host *w*e*b*\nUser a\nHost *x*\nUser b\n", want: m{"user": "a"}},
	"negated": {
		config: "Host * !web\nUser a\nHost !web *\nUser b\nHost !db *\nPort 3\nHost !db\nPort 4\n",
		want:   m{"port": "3"},
	},
	"case of host names": {config: "Host WEB\nUser a\nMatch host WEB\nPort 3\n", want: m{"port": "3"}},
	"plain names in order": {
		config: "Host web\nUser a\nHost *\nUser b\nPort 3\nHost db web web\nPort 4\nHostName x\n",
		want:   m{"user": "a", "port": "3", "hostname": "x"},
	},
	"a comma is no list for it": {config: "Host db,web\nUser a\n", want: m{}},

	"match all": {config: "Match all\nUser a\n", want: m{"user": "a"}},
	"match lists": {
		config: "Match host db,w*\nUser a\nMatch host *,!web\nPort 3\nMatch !host db\nHostName x\n",
		want:   m{"user": "a", "hostname": "x"},
	},
	"match several": {
		config: "Match host web user other\nUser a\nMatch host web localuser *\nPort 3\n",
		want:   m{"port": "3"},
	},
	"match with equals sign": {config: "Match host=web\nUser a\n", want: m{"user": "a"}},
	"match the HostName": {
		config: "Host web\nHostName %h.Example\n" +
			"Match host web.example\nUser a\nMatch originalhost web\nPort 3\nMatch host web\nPort 4\n",
		want: m{"hostname": "web.example", "user": "a", "port": "3"},
	},
	"match the user":  {config: "User a\nMatch user a\nPort 3\nMatch user me\nPort 4\n", want: m{"user": "a", "port": "3"}},
	"match canonical": {config: "Match canonical\nUser a\nMatch !canonical host web\nPort 3\n", want: m{"port": "3"}},
	"match final": {
		config: "Match final\nUser a\nHost web\nHostName real\nHost real\nPort 3\n",
		want:   m{"hostname": "real", "user": "a", "port": "3"},
	},
	"match final for another": {
		config: "Match host other final\nUser a\nHost web\nHostName real\nHost real\nPort 3\n",
		want:   m{"hostname": "real", "port": "3"},
	},
	"final all, as on Fedora": {
		config: "Match final all\nInclude DIR/part\nUser b\n",
		files:  m{"part": "User a\n"},
		want:   m{"user": "a"},
	},
	"match what does not matter": {config: "Match exec \"exit 1\" host other\nUser a\n", want: m{}},
	"match a tag": {
		config: "Tag x\nMatch tagged x\nUser a\nMatch tagged y\nUser b\n",
		want:   m{"user": "a"},
		noSSH:  "Tag is of OpenSSH 9.4",
	},
	"a given HostName": {
		config: "HostName y\nMatch host x\nUser a\n",
		query:  sshconfig.Query{HostName: "x"},
		want:   m{"hostname": "x", "user": "a"},
	},
	"a given user": {
		config: "User b\nMatch user a\nPort 3\n",
		query:  sshconfig.Query{User: "a"},
		want:   m{"user": "a", "port": "3"},
	},

	"include": {
		config: "Host web\nInclude DIR/part*\nUser b\nHost *\nPort 5\n",
		files:  m{"part1": "Host db\nUser a\nHost web\nHostName x\n", "part2": "Port 3\n"},
		want:   m{"hostname": "x", "user": "b", "port": "3"},
	},
	"include elsewhere": {
		config: "Host db\nInclude DIR/part\nHost web\nUser b\n",
		files:  m{"part": "Host web\nUser a\n"},
		want:   m{"user": "b"},
	},
	"include nothing": {config: "Include DIR/none DIR/*.none\nUser a\n", want: m{"user": "a"}},
	"include quoted": {
		config: "Include \"DIR/a b\" DIR/c\n",
		files:  m{"a b": "User a\n", "c": "Port 3\n"},
		want:   m{"user": "a", "port": "3"},
	},

	"proxyjump": {config: "ProxyJump a,u@b:2 # c\nProxyCommand x\n", want: m{"proxyjump": "a,u@b:2"}},
	"proxycommand first": {
		config: "ProxyCommand nc %h %p # not a comment\nProxyJump a\n",
		want:   m{"proxycommand": "nc %h %p # not a comment"},
	},
	"no proxycommand, no jump": {config: "ProxyCommand none\nProxyJump a\n", want: m{}},
	"unknown to this program": {
		config: "ForwardAgent yes\nSetEnv A=\"b c\nCompression yes\n",
		want:   m{},
		noSSH:  "it sees the quote",
	},
	"keywords of other versions": {config: "NoSuchKeyword yes\nUser a\n", want: m{"user": "a"}, noSSH: "it refuses them"},
	"nothing":                    {config: "", want: m{}},
	"the last line, not ended":   {config: "User a", want: m{"user": "a"}},
	"HostKeyAlias and known_hosts": {
		config: "HostKeyAlias k\nGlobalKnownHostsFile /g\nUserKnownHostsFile none\nCertificateFile /c\n",
		want:   m{"hostkeyalias": "k", "globalknownhostsfile": "/g", "userknownhostsfile": "none", "certificatefile": "/c"},
	},
}

type m = map[string]string

// asked are the keywords that are compared.
func asked() []string {
	return []string{
		"hostname", "user", "port", "identityfile", "certificatefile", "proxyjump", "proxycommand", "userknownhostsfile",
		"globalknownhostsfile", "hostkeyalias",
	}
}

// write puts the files of a row into a folder and returns the name of the configuration.
func write(t *testing.T, config string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "config")
	all := map[string]string{"config": config}
	maps.Copy(all, files)
	for name, content := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(content, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func realFiles() sshconfig.Config {
	return sshconfig.Config{ReadFile: os.ReadFile, Glob: filepath.Glob, Home: "/home/me"}
}

func TestLookup(t *testing.T) {
	for name, test := range lookups {
		t.Run(name, func(t *testing.T) {
			file, err := sshconfig.Read(write(t, test.config, test.files), realFiles())
			if err != nil {
				t.Fatal(err)
			}
			query := test.query
			query.Name, query.LocalUser = "web", "me"
			if diff := cmp.Diff(test.want, answered(t, file.Lookup(query), query)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// answered is an answer with what ssh adds to it.
func answered(t *testing.T, a *sshconfig.Answer, q sshconfig.Query) map[string]string {
	t.Helper()
	got := m{}
	for _, keyword := range asked() {
		var values []string
		for _, line := range a.All(keyword) {
			if line.Keyword == keyword {
				values = append(values, strings.Join(line.Args, " "))
			}
		}
		if line, ok := a.First("proxyjump"); ok && keyword == "proxycommand" && line.Keyword == keyword && line.Args[0] != "none" {
			values = line.Args
		}
		if values != nil {
			got[keyword] = strings.Join(values, "|")
		}
	}
	for keyword, given := range map[string]string{"hostname": q.HostName, "user": q.User} {
		if given != "" {
			got[keyword] = given
		}
	}
	if name, ok := got["hostname"]; ok {
		name, err := sshconfig.Expand(name, map[byte]string{'h': q.Name})
		if err != nil {
			t.Fatal(err)
		}
		got["hostname"] = strings.ToLower(name)
	}
	return got
}

// TestOpenSSHAgrees asks `ssh -G` the same, where there is an ssh of the version that the tests were made with or newer.
func TestOpenSSHAgrees(t *testing.T) {
	version, err := exec.CommandContext(t.Context(), "ssh", "-V").CombinedOutput()
	var major, minor int
	if _, scanErr := fmt.Sscanf(string(version), "OpenSSH_%d.%d", &major, &minor); err != nil || scanErr != nil || major*100+minor < 902 {
		t.Logf("without ssh: %v, %q", err, version)
		return
	}
	defaults := resolvedBySSH(t, os.DevNull, sshconfig.Query{})
	for name, test := range lookups {
		t.Run(name, func(t *testing.T) {
			if test.noSSH != "" {
				t.Log(test.noSSH)
				return
			}
			got := resolvedBySSH(t, write(t, test.config, test.files), test.query)
			for keyword, value := range defaults {
				if got[keyword] == value {
					delete(got, keyword)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +ssh):\n%s", diff)
			}
		})
	}
}

func resolvedBySSH(t *testing.T, config string, q sshconfig.Query) map[string]string {
	t.Helper()
	args := []string{"-G", "-F", config}
	if q.HostName != "" {
		args = append(args, "-o", "HostName="+q.HostName)
	}
	if q.User != "" {
		args = append(args, "-l", q.User)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ssh", append(args, "web")...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh: %v: %s", err, complaints.String())
	}
	got := m{}
	for line := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, name := range asked() {
			if name == keyword && got[name] != "" {
				got[name] += "|" + value
			} else if name == keyword {
				got[name] = value
			}
		}
	}
	return got
}

func TestUndecided(t *testing.T) {
	config := "Match host web exec \"touch DIR/proof\"\nUser a\nMatch host db exec x\nUser b\n" +
		"Match localnetwork 10.0.0.0/8\nUser c\nMatch final\nMatch all\nUser d\n"
	name := write(t, config, nil)
	file, err := sshconfig.Read(name, realFiles())
	if err != nil {
		t.Fatal(err)
	}
	a := file.Lookup(sshconfig.Query{Name: "web"})
	if line, _ := a.First("user"); line.Number != 9 {
		t.Errorf("user is from line %d", line.Number)
	}
	var lines []int
	for _, line := range a.Undecided {
		lines = append(lines, line.Number)
	}
	if diff := cmp.Diff([]int{1, 5}, lines); diff != "" {
		t.Errorf("undecided lines (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(name), "proof")); err == nil {
		t.Error("Match exec was run")
	}
}

package sshconfig_test

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service_manager/inventory/sshconfig"
)

// fakeFiles is a Config with the given files.
func fakeFiles(files map[string]string) sshconfig.Config {
	return sshconfig.Config{
		ReadFile: func(name string) ([]byte, error) {
			content, ok := files[name]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
			}
			return []byte(content), nil
		},
		Glob: func(pattern string) ([]string, error) {
			if _, err := filepath.Match(pattern, ""); err != nil {
				return nil, err
			}
			names := slices.Collect(maps.Keys(files))
			return slices.DeleteFunc(names, func(name string) bool {
				ok, err := filepath.Match(pattern, name)
				return !ok || err != nil
			}), nil
		},
		Home: "/home/me",
	}
}

func TestBadConfigurations(t *testing.T) {
	for config, want := range map[string]string{
		"\n\nUser\n":               `c:3: User without an argument`,
		"User \"\"\n":              `c:1: User without an argument`,
		"Host # web\n":             `c:1: Host without an argument`,
		"ProxyJump\n":              `c:1: ProxyJump without an argument`,
		"User a b\n":               `c:1: User with more than one argument; put quotes around one with spaces`,
		"User \"a\n":               `c:1: a quote is not closed`,
		"\"User a\n":               `c:1: a quote is not closed`,
		"[ssh]\n":                  `c:1: "[ssh]" is not a keyword`,
		"=a\n":                     `c:1: "" is not a keyword`,
		"Match\n":                  `c:1: Match without an argument`,
		"Match host\n":             `c:1: match host without an argument`,
		"Match fnord x\n":          `c:1: match has the unknown criterion "fnord"`,
		"Match all host a\n":       `c:1: match all stands alone, or after canonical or final`,
		"Match host a all\n":       `c:1: match all stands alone, or after canonical or final`,
		"Include [\n":              `c:1: include: "/home/me/.ssh/[" is not a pattern for files`,
		"Include ~root/x\n":        `c:1: include: "~root/x": of ~ only ~/ is understood; write the whole path`,
		"User a\nInclude ~/bad\n":  `c:2: include: /home/me/bad:2: Port without an argument`,
		"Include part\n":           `c:1: include: /home/me/.ssh/part:1: Host without an argument`,
		"Include /loop\n":          strings.Repeat("/loop:1: include: ", 16) + "the files include each other without an end",
		"Include /many /many\n":    "the files include each other without an end",
		"Include /home/me/gone*\n": "/home/me/gone cannot be read: permission denied",
	} {
		cfg := fakeFiles(map[string]string{
			"c": config, "/home/me/bad": "User a\nPort\n", "/home/me/.ssh/part": "Host\n", "/loop": "Include /loop\n",
			"/many": strings.Repeat("Include /more\n", 20), "/more": strings.Repeat("Include /most\n", 100), "/most": "",
		})
		glob := cfg.Glob
		cfg.Glob = func(pattern string) ([]string, error) {
			if pattern == "/home/me/gone*" {
				return []string{"/home/me/gone"}, nil
			}
			return glob(pattern)
		}
		_, err := sshconfig.Read("c", cfg)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", config, err, want)
		}
	}
	if _, err := sshconfig.Read("none", fakeFiles(nil)); err == nil || err.Error() != "none cannot be read: permission denied" {
		t.Errorf("no file: %v", err)
	}
}

func TestExpand(t *testing.T) {
	tokens := map[byte]string{'h': "web", 'p': "22"}
	for s, want := range map[string]string{"": "", "a": "a", "%h": "web", "x%h%%%p.": "xweb%22.", "%%h": "%h"} {
		if got, err := sshconfig.Expand(s, tokens); got != want || err != nil {
			t.Errorf("%q is %q, %v, want %q", s, got, err, want)
		}
	}
	for s, want := range map[string]string{"a%": "% at the end; write %% for the character", "%C": `%"C" is not a token that is understood here`} {
		if _, err := sshconfig.Expand(s, tokens); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
}

func TestLineString(t *testing.T) {
	line := sshconfig.Line{File: "c", Number: 3, Keyword: "user", Args: []string{"a", "\x1b[31m"}}
	if diff := cmp.Diff(`c:3: user "a \x1b[31m"`, line.String()); diff != "" {
		t.Error(diff)
	}
}

// FuzzRead holds that whatever a file has is read, or refused by one line, and looked up without a panic or an endless loop.
func FuzzRead(f *testing.F) {
	for _, test := range lookups {
		f.Add(test.config, "User x\n", "web")
	}
	f.Add("Include b\nInclude b\n", "Include *\n", "web")
	f.Add("Match !all\n\x00", "\"\\", "*")
	f.Fuzz(func(t *testing.T, config, included, name string) {
		cfg := fakeFiles(map[string]string{"c": config, "/home/me/.ssh/b": included})
		file, err := sshconfig.Read("c", cfg)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("the error is not one line: %q", err)
			}
			return
		}
		a := file.Lookup(sshconfig.Query{Name: name, LocalUser: "me"})
		for _, keyword := range append(asked(), "identityagent", "canonicalizehostname", "tag") {
			for _, line := range a.All(keyword) {
				if line.Number < 1 || len(line.Args) == 0 || line.Args[0] == "" {
					t.Errorf("%s: %+v", keyword, line)
				}
			}
		}
	})
}

// BenchmarkLookup has 10,000 Host lines, and asks for each of them once.
func BenchmarkLookup(b *testing.B) {
	var config strings.Builder
	config.WriteString("Host *.example.com\nUser me\n")
	for i := range 10_000 {
		fmt.Fprintf(&config, "Host web-%d\n  HostName 10.0.%d.%d\n  IdentityFile /k\n", i, i/256, i%256)
	}
	config.WriteString("Host *\n  ProxyJump bastion\n")
	cfg := fakeFiles(map[string]string{"c": config.String()})
	for b.Loop() {
		file, err := sshconfig.Read("c", cfg)
		if err != nil {
			b.Fatal(err)
		}
		for i := range 10_000 {
			if _, ok := file.Lookup(sshconfig.Query{Name: fmt.Sprintf("web-%d", i)}).First("hostname"); !ok {
				b.Fatal(i)
			}
		}
	}
}

package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse holds that a file is either refused with a place for every mistake or gives hosts that keep what the package
// promises.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(seeds, "reference.toml", "example.toml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "")
	}
	for _, doc := range []string{
		"[[hosts]]\nname = \"x\"\nlabels = {\"x\\ny\" = 1, \"a\\u001b[31m\" = true, \"b\\u001b\" = \"\\n\"}",
		"[groups]\n\"a\\nb\" = 1\n[groups.\"c\\nd\"]\n\"e\\nf\" = 1",
		"\"a\\u001b\" = 1\n\"a\\u001b\" = 2",
		"a = \"\\\x1b\"",
		"[[hosts]]\nname = \"1.2\"", "[[hosts]]\nname = \"...\"", "[[hosts]]\nname = \".a\"",
		"[[hosts]]\nname = \"[255-256]\"\naddress = \"10.0.0.{name}\"",
	} {
		f.Add([]byte(doc), "")
	}
	f.Add([]byte("ssh.config_file = \"c\"\n[[hosts]]\nname = \"a[1-2]\""), "Match host a* user me\nHostName %h.x\nProxyJump a2,b\n")
	f.Add([]byte("ssh.config_file = \"c\"\n[[hosts]]\nname = \"a\"\nssh.agent = true"), "IdentityFile ~/%r\nInclude c\nUserKnownHostsFile none")
	f.Add([]byte("ssh = { config_file = \"c\", jump = \"u@[::1]:2\" }\n[[hosts]]\nname = \"a\""), "Host *\nProxyJump x\nMatch final\n Port 3")
	f.Fuzz(func(t *testing.T, data []byte, clientConfig string) {
		cfg := testConfig(nil)
		cfg.ReadFile = func(name string) ([]byte, error) {
			if name == "c" {
				return []byte(clientConfig), nil
			}
			return nil, nil
		}
		cfg.Glob = func(string) ([]string, error) { return []string{"c"}, nil }
		inv, err := Parse("x.toml", data, cfg)
		if err != nil {
			all, ok := errors.AsType[*Error](err)
			if !ok || inv != nil || len(all.Mistakes) == 0 {
				t.Fatalf("a %T and %v", err, inv)
			}
			for _, m := range all.Mistakes {
				if strings.ContainsAny(m.Message, "\n\x1b") || m.Line < 1 || m.Line > strings.Count(string(data), "\n")+1 || m.Message == "" {
					t.Errorf("%+v", m)
				}
			}
			return
		}
		checkPromises(t, inv)
	})
}

func checkPromises(t *testing.T, inv *Inventory) {
	t.Helper()
	last := ""
	for _, h := range inv.Hosts {
		if h.Name <= last || !isName(h.Name) || !isName(h.Group) || !isAddress(h.Address) || h.Labels == nil {
			t.Errorf("after %q comes %+v", last, h)
		}
		last = h.Name
		if h.Interval <= 0 || h.Timeout <= 0 || h.ConnectTimeout <= 0 || h.SSH.Port < 1 || h.SSH.User == "" {
			t.Errorf("host without a default: %+v", h)
		}
		jumps := 0
		for via := h.Via; via != nil && jumps <= maxJumps; via = via.Via {
			if jumps++; via.Name == "" || !isAddress(via.Address) || via.SSH.Port < 1 || via.SSH.User == "" || via.Labels == nil {
				t.Errorf("the jump host of %s is %+v", h.Name, via)
			}
		}
		if jumps > maxJumps {
			t.Errorf("%s has more than %d jump hosts", h.Name, maxJumps)
		}
		for _, unit := range h.Units {
			if full, err := UnitName(unit); full != unit || err != nil {
				t.Errorf("host %s has the unit %q: %v", h.Name, unit, err)
			}
		}
	}
}

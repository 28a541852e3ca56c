package knownhosts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts/knownhosts"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestAdd(t *testing.T) {
	a, b := newKey(t, false), newKey(t, true)
	entries := []knownhosts.Entry{{Name: knownhosts.HostPort("A.example.com", 22), Key: a}, {Name: knownhosts.HostPort("2001:db8::1", 2222), Key: b}}
	lines := "a.example.com " + marshal(a) + "\n[2001:db8::1]:2222 " + marshal(b) + "\n"
	for _, test := range []struct{ name, before, want string }{
		{"empty", "", lines},
		{"lines", "# x\n", "# x\n" + lines},
		{"no newline at the end", "# x", "# x\n" + lines},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.before)
			if err := knownhosts.Add(path, entries...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, read(t, path)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), ".ssh", "known_hosts")
		if err := knownhosts.Add(path, entries...); err != nil {
			t.Fatal(err)
		}
		if read(t, path) != lines || mode(t, path) != 0o600 || mode(t, filepath.Dir(path)) != 0o700 {
			t.Errorf("mode %v in %v:\n%s", mode(t, path), mode(t, filepath.Dir(path)), read(t, path))
		}
	})
	t.Run("hashed", func(t *testing.T) {
		path := write(t, "")
		hashed := knownhosts.Entry{Name: knownhosts.HostPort("a", 2222), Key: a, Hash: true}
		if err := knownhosts.Add(path, hashed, hashed); err != nil {
			t.Fatal(err)
		}
		if text := read(t, path); strings.Contains(text, "2222") || text[:50] == strings.Split(text, "\n")[1][:50] {
			t.Errorf("not hashed, or without salt:\n%s", text)
		}
		// Another implementation reads it.
		check, err := xknownhosts.New(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := check("a:2222", addr("a:2222"), a); err != nil {
			t.Error(err)
		}
	})
	t.Run("not writable", func(t *testing.T) {
		if err := knownhosts.Add(filepath.Join(write(t, ""), "known_hosts"), entries...); err == nil {
			t.Error("below a file there are no files")
		}
	})
}

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

func TestReplace(t *testing.T) {
	old, fresh, other := newKey(t, false), newKey(t, true), newKey(t, false)
	line := func(hosts string, key ssh.PublicKey) string { return hosts + " " + marshal(key) + " a comment\n" }
	web, db := knownhosts.HostPort("web", 22), knownhosts.HostPort("db", 2222)
	for _, test := range []struct{ name, before, want string }{
		{"its line", line("web", old), ""},
		{"all its lines", line("web", old) + line("x", old) + line("Web", other), line("x", old)},
		{"other names stay", line("x,web,y", old) + "#web\n", line("x,y", old) + "#web\n"},
		{"other ports stay", line("[web]:2222,[db]:22", old), line("[web]:2222,[db]:22", old)},
		{"hashed", line(xknownhosts.HashHostname("web"), old) + line("|1|"+strings.Repeat("A", 27)+"=|"+strings.Repeat("A", 27)+"=", old), line("|1|"+strings.Repeat("A", 27)+"=|"+strings.Repeat("A", 27)+"=", old)},
		{"with port", line("[db]:2222", old) + line("db", old), line("db", old)},
		{"markers stay", line("@revoked web", old) + line("@cert-authority web", old), line("@revoked web", old) + line("@cert-authority web", old)},
		{"patterns stay", line("web,x*", old), line("web,x*", old)},
		{"bad lines stay", "web ssh-ed25519 x\n\n\tweb", "web ssh-ed25519 x\n\n\tweb\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.before)
			if err := os.Chmod(path, 0o640); err != nil {
				t.Fatal(err)
			}
			link := path + ".link"
			if err := os.Symlink(filepath.Base(path), link); err != nil {
				t.Fatal(err)
			}
			if err := knownhosts.Replace(link, knownhosts.Entry{Name: web, Key: fresh}, knownhosts.Entry{Name: db, Key: fresh}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want+"web "+marshal(fresh)+"\n[db]:2222 "+marshal(fresh)+"\n", read(t, path)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			if target, err := os.Readlink(link); err != nil || target != filepath.Base(path) {
				t.Errorf("the link leads to %q (%v)", target, err)
			}
			if got := mode(t, path); got != 0o640 {
				t.Errorf("mode %v", got)
			}
			if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 2 {
				t.Errorf("in the folder: %v (%v)", left, err)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	key := newKey(t, false)
	path := write(t, "a "+marshal(key)+"\nb "+marshal(key)+"\n")
	if err := knownhosts.Remove(path, knownhosts.HostPort("a", 22)); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, path), "b "+marshal(key)+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Many write at once, and nothing is lost: neither what was appended while another replaced the file nor half of a line.
func TestWritersAtOnce(t *testing.T) {
	path, key := write(t, ""), newKey(t, false)
	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Go(func() {
			for i := range 20 {
				e := knownhosts.Entry{Name: knownhosts.HostPort(fmt.Sprintf("h%d-%d", writer, i), 22), Key: key}
				write := knownhosts.Add
				if i%4 == 3 {
					write = knownhosts.Replace
				}
				if err := write(path, e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	known := open(t, path)
	if problems := known.Problems(); problems != nil {
		t.Error(problems)
	}
	for writer := range 8 {
		for i := range 20 {
			if v := known.Check(knownhosts.HostPort(fmt.Sprintf("h%d-%d", writer, i), 22), key, time.Now()); v.Standing != knownhosts.Known {
				t.Errorf("h%d-%d is %s", writer, i, v.Standing)
			}
		}
	}
}

// A name that means other hosts too, or another line, is not written.
func TestRefusesNamesOfMore(t *testing.T) {
	for _, name := range []knownhosts.Name{
		knownhosts.Alias("*"), knownhosts.Alias("web-?"), knownhosts.Alias("!a"), knownhosts.Alias("a,b"), knownhosts.Alias("|1|a"),
		knownhosts.Alias("a\n@cert-authority"), knownhosts.HostPort("* b", 22), knownhosts.HostPort("*", 2222), knownhosts.Alias(""),
	} {
		path := write(t, "a "+marshal(newKey(t, false))+"\n")
		before := read(t, path)
		entry := knownhosts.Entry{Name: name, Key: newKey(t, false)}
		if err := knownhosts.Add(path, entry); err == nil || read(t, path) != before {
			t.Errorf("%q was added: %v", name, err)
		}
		if err := knownhosts.Replace(path, entry); err == nil || read(t, path) != before {
			t.Errorf("%q was put in place of others: %v", name, err)
		}
	}
}

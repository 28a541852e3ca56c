package knownhosts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts/knownhosts"
)

// A name is compared with each hashed name once, also when the file is read again, and a hashed name that was found out with no other
// name any more.
func TestComparesOnce(t *testing.T) {
	key := newKey(t, false)
	hashed := func(name string) string { return xknownhosts.HashHostname(name) + " " + marshal(key) + "\n" }
	var text strings.Builder
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		text.WriteString(hashed(name))
	}
	path := write(t, text.String())
	var index knownhosts.Index
	known := func() knownhosts.Keys {
		t.Helper()
		keys, err := index.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	expect := func(host string, pending int, standing knownhosts.Standing) {
		t.Helper()
		name := knownhosts.HostPort(host, 22)
		if got := known().Pending(name); got != pending {
			t.Errorf("%s would be compared with %d names, want %d", host, got, pending)
		}
		if v := known().Check(name, key, time.Now()); v.Standing != standing {
			t.Errorf("%s: %s, want %s", host, v.Standing, standing)
		}
		if got := known().Pending(name); got != 0 {
			t.Errorf("%s would be compared with %d names again", host, got)
		}
	}
	expect("a", 5, knownhosts.Known)
	expect("none", 4, knownhosts.Unknown)
	expect("b", 4, knownhosts.Known)

	// One line is appended, as ssh(1) does.
	if err := knownhosts.Add(path, knownhosts.Entry{Name: knownhosts.HostPort("none", 22), Key: key, Hash: true}); err != nil {
		t.Fatal(err)
	}
	expect("a", 1, knownhosts.Known)
	expect("c", 4, knownhosts.Known)
	expect("none", 1, knownhosts.Known)

	// The file is written anew, without the line of b.
	first, rest, _ := strings.Cut(text.String(), "\n")
	_, rest, _ = strings.Cut(rest, "\n")
	next := write(t, first+"\n"+rest+hashed("f"))
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	expect("b", 1, knownhosts.Unknown)
	expect("a", 1, knownhosts.Known)
	expect("d", 3, knownhosts.Known)
	expect("f", 2, knownhosts.Known)
}

// A change is seen by the size, by the time or by the inode alone; without one, the file is not read again.
func TestSeesChanges(t *testing.T) {
	keys := []ssh.PublicKey{newKey(t, false), newKey(t, false)}
	text := func(i int) string { return "a " + marshal(keys[i]) + "\n" }
	then := time.Now().Add(-time.Hour)
	for _, test := range []struct {
		name   string
		change func(t *testing.T, path string)
		seen   bool
	}{
		{"nothing", func(*testing.T, string) {}, false},
		{"size", func(t *testing.T, path string) { t.Helper(); rewrite(t, path, text(1)+"#", then) }, true},
		{"time", func(t *testing.T, path string) { t.Helper(); rewrite(t, path, text(1), then.Add(time.Second)) }, true},
		{"inode", func(t *testing.T, path string) {
			t.Helper()
			other := filepath.Join(filepath.Dir(path), "other")
			rewrite(t, other, text(1), then)
			if err := os.Rename(other, path); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"none of them", func(t *testing.T, path string) { t.Helper(); rewrite(t, path, text(1), then) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "known_hosts")
			rewrite(t, path, text(0), then)
			var index knownhosts.Index
			if _, err := index.Open(path); err != nil {
				t.Fatal(err)
			}
			test.change(t, path)
			known, err := index.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			if test.seen {
				want = 1
			}
			if v := known.Check(knownhosts.HostPort("a", 22), keys[want], time.Now()); v.Standing != knownhosts.Known {
				t.Errorf("%s", v.Standing)
			}
		})
	}
}

func rewrite(t *testing.T, path, text string, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

// Two writes within a tick of the kernel's clock may leave the same size and time. So a file that was written just before it was read
// is read once more.
func TestWrittenTwiceInATick(t *testing.T) {
	first, second := newKey(t, false), newKey(t, false)
	path := filepath.Join(t.TempDir(), "known_hosts")
	for range 100 {
		var index knownhosts.Index
		now := time.Now()
		rewrite(t, path, "a "+marshal(first), now)
		if _, err := index.Open(path); err != nil {
			t.Fatal(err)
		}
		if time.Since(now) > 10*time.Millisecond {
			continue // On a busy machine it took too long to be of any meaning.
		}
		rewrite(t, path, "a "+marshal(second), now)
		known, err := index.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if v := known.Check(knownhosts.HostPort("a", 22), second, time.Now()); v.Standing != knownhosts.Known {
			t.Errorf("the second key is %s", v.Standing)
		}
		return
	}
	t.Error("the machine is too slow for this test")
}

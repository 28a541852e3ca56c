package knownhosts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service_manager/hosts/knownhosts"
)

// Whatever stands in a file, it is read, what is told of it is bounded, a name is looked up in it, and taken out of it.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"plain", "hashed", "scanned", "scanned-hashed"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			f.Add(line, "web-01.example.com", 22)
		}
		f.Add(string(data), "db-01.example.com", 2222)
	}
	f.Add("a,*,!b ssh-new AAAAB3NzaC1uZXcAAAABQQ==", "a", 22)
	key := newKey(f, false)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, host string, port int) {
		path := filepath.Join(dir, "known_hosts")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		known := open(t, path)
		problems := known.Problems()
		if lines := strings.Count(text, "\n") + 1; len(problems) > lines {
			t.Errorf("%d problems in %d lines", len(problems), lines)
		}
		name := knownhosts.HostPort(host, port)
		if v := known.Check(name, key, time.Now()); v.Standing.Accepted() {
			t.Errorf("an unheard of key is %s", v.Standing)
		}
		if err := knownhosts.Replace(path, knownhosts.Entry{Name: name, Key: key}); err != nil {
			if written := name.String(); written != "" && !strings.ContainsAny(written, "*?!,|#@ \t\r\n") {
				t.Fatal(err)
			}
			return // Refused, as it would mean something else than the one host.
		}
		known = open(t, path)
		if after := known.Problems(); len(after) < len(problems) {
			t.Errorf("%d bad lines were %d before", len(after), len(problems))
		}
		if strings.ContainsAny(host, " \t\r\n,*?!#@|[]") || host == "" {
			return // No host's name: the line that is written may mean something else.
		}
		if v := known.Check(name, key, time.Now()); v.Standing != knownhosts.Known {
			t.Errorf("a key that was added is %s", v.Standing)
		}
	})
}

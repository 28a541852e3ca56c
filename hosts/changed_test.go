package hosts_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/hosts"
	"service_manager/inventory"
)

// A host that waits long for its next try is tried sooner when a person mended something here.
func TestChanged(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for name, test := range map[string]struct {
		adapt  func(site, *inventory.Host)
		change func(*testing.T, site)
		want   bool
	}{
		"nothing":               {},
		"known_hosts":           {change: rewrite("known_hosts", "more"), want: true},
		"known_hosts removed":   {change: func(_ *testing.T, s site) { _ = os.Remove(s.path("known_hosts")) }, want: true},
		"key":                   {change: rewrite("id", "new"), want: true},
		"key of the same size":  {change: replace("id"), want: true},
		"certificate beside it": {change: rewrite("id-cert.pub", "new"), want: true},
		"another file":          {change: rewrite("other", "new")},
		"passphrase":            {adapt: func(s site, h *inventory.Host) { h.SSH.PassphraseFile = s.path("other") }, change: rewrite("other", "new"), want: true},
		"certificate":           {adapt: func(s site, h *inventory.Host) { h.SSH.CertificateFile = s.path("other") }, change: rewrite("other", "new"), want: true},
		"public half":           {adapt: func(_ site, h *inventory.Host) { h.SSH.Agent = true }, change: rewrite("id.pub", "new"), want: true},
		"jump host's key": {adapt: func(s site, h *inventory.Host) {
			h.Via = &inventory.Host{SSH: inventory.SSH{IdentityFile: s.path("other")}}
		}, change: rewrite("other", "new"), want: true},
		"default key":         {adapt: func(_ site, h *inventory.Host) { h.SSH.IdentityFile = "" }, change: inHome("id_ecdsa"), want: true},
		"default known_hosts": {adapt: func(_ site, h *inventory.Host) { h.SSH.KnownHosts = nil }, change: inHome("known_hosts"), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			age(t, s.path("id"))
			synctest.Test(t, func(t *testing.T) {
				pool, h := offline(t), s.hostAt(22)
				if test.adapt != nil {
					test.adapt(s, &h)
				}
				if pool.Changed(h) {
					t.Error("changed before there was an attempt")
				}
				_ = pool.Connect(t.Context(), h)
				if test.change != nil {
					test.change(t, s)
				}
				time.Sleep(2 * time.Second)
				if pool.Changed(h) != test.want {
					t.Errorf("changed is %v", !test.want)
				}
				_ = pool.Connect(t.Context(), h)
				if pool.Changed(h) {
					t.Error("changed right after an attempt")
				}
			})
		})
	}
}

// rewrite changes a file's content in place.
func rewrite(name, text string) func(*testing.T, site) {
	return func(t *testing.T, s site) {
		t.Helper()
		s.write(t, name, text)
	}
}

// replace puts another file of the same size and time in a file's place.
func replace(name string) func(*testing.T, site) {
	return func(t *testing.T, s site) {
		t.Helper()
		old, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, "new", strings.Repeat("x", len(old)))
		age(t, s.path("new"))
		if err := os.Rename(s.path("new"), s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// age makes a file look a year old.
func age(t *testing.T, path string) {
	t.Helper()
	then := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // Bubbles of synctest begin in 2000.
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func inHome(name string) func(*testing.T, site) {
	return func(t *testing.T, _ site) {
		t.Helper()
		dir := site{dir: os.Getenv("HOME") + "/.ssh"}
		if err := os.MkdirAll(dir.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		dir.write(t, name, t.Name())
	}
}

// offline is a pool whose connections do not come about.
func offline(t *testing.T) *hosts.Pool {
	t.Helper()
	return newPool(t, hosts.Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }})
}

// A file that was written just before the attempt may be written again within the same tick of the file system's clock.
func TestChangedWithinTheTick(t *testing.T) {
	s := newSite(t)
	synctest.Test(t, func(t *testing.T) {
		pool, h := offline(t), s.hostAt(22)
		if err := os.Chtimes(s.path("id"), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false} { // It costs one more attempt, not one after the other.
			_ = pool.Connect(t.Context(), h)
			time.Sleep(2 * time.Second)
			if pool.Changed(h) != want {
				t.Errorf("changed is %v", !want)
			}
		}
	})
}

// BenchmarkChanged asks for 10,000 hosts that share their files.
func BenchmarkChanged(b *testing.B) {
	pool := hosts.New(hosts.Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }})
	defer pool.Close()
	h := site{dir: b.TempDir()}.hostAt(22)
	_ = pool.Connect(b.Context(), h)
	for b.Loop() {
		for range 10_000 {
			pool.Changed(h)
		}
	}
}

package knownhosts_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts/knownhosts"
)

// The fleet of the benchmarks: a file of two lines per host.
const fleetHosts = 10_000

// fleetFile writes the file of the fleet, hashed or not, and returns its path and the fleet's keys, of which hosts share a few hundred.
func fleetFile(tb testing.TB, hashed bool) (string, []ssh.PublicKey) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "known_hosts")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := bufio.NewWriter(f)
	keys := make([]ssh.PublicKey, 512)
	for i := range keys {
		keys[i] = newKey(tb, i%2 == 1)
	}
	for i := range fleetHosts {
		for _, key := range fleetKeys(keys, i) {
			name := fleetHost(i)
			if hashed {
				name = xknownhosts.HashHostname(name)
			}
			fmt.Fprintf(w, "%s %s", name, ssh.MarshalAuthorizedKey(key))
		}
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path, keys
}

func fleetHost(i int) string { return fmt.Sprintf("host-%05d.example.com", i) }

// fleetKeys are the keys of a host: one of each type.
func fleetKeys(keys []ssh.PublicKey, i int) []ssh.PublicKey {
	first := 2 * i % len(keys)
	return keys[first : first+2]
}

func newKey(tb testing.TB, isECDSA bool) ssh.PublicKey {
	tb.Helper()
	var public any
	if isECDSA {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		public = &private.PublicKey
	} else {
		var err error
		if public, _, err = ed25519.GenerateKey(rand.Reader); err != nil {
			tb.Fatal(err)
		}
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// dial does what a dial does: it looks for changes of the file, asks for the algorithms to offer, and checks the key.
func dial(tb testing.TB, index *knownhosts.Index, path string, host int, keys []ssh.PublicKey) {
	tb.Helper()
	known, err := index.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	name := knownhosts.HostPort(fleetHost(host), 22)
	if got := known.Algorithms(name)[0]; got != ssh.KeyAlgoED25519 {
		tb.Fatalf("algorithm %s", got)
	}
	if got := known.Check(name, fleetKeys(keys, host)[0], time.Time{}).Standing; got != knownhosts.Known {
		tb.Fatalf("%s: %s", fleetHost(host), got)
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, hashed := range []bool{false, true} {
		path, _ := fleetFile(b, hashed)
		b.Run(kind(hashed), func(b *testing.B) {
			for b.Loop() {
				if _, err := new(knownhosts.Index).Open(path); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind(hashed)+"/x-crypto", func(b *testing.B) {
			for b.Loop() {
				if _, err := xknownhosts.New(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDial dials hosts of the fleet again. Of x/crypto it times the check alone: it tells no algorithms.
func BenchmarkDial(b *testing.B) {
	for _, hashed := range []bool{false, true} {
		path, keys := fleetFile(b, hashed)
		b.Run(kind(hashed), func(b *testing.B) {
			var index knownhosts.Index
			for host := 0; host < fleetHosts; host += 100 {
				dial(b, &index, path, host, keys)
			}
			for host := 0; b.Loop(); host = (host + 100) % fleetHosts {
				dial(b, &index, path, host, keys)
			}
		})
		b.Run(kind(hashed)+"/x-crypto", func(b *testing.B) {
			check, err := xknownhosts.New(path)
			if err != nil {
				b.Fatal(err)
			}
			for host := 0; b.Loop(); host = (host + 100) % fleetHosts {
				if err := check(net.JoinHostPort(fleetHost(host), "22"), &net.TCPAddr{}, fleetKeys(keys, host)[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func kind(hashed bool) string {
	if hashed {
		return "hashed"
	}
	return "plain"
}

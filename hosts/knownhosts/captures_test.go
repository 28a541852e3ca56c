package knownhosts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts/knownhosts"
)

func capture(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// readKey reads a .pub file of testdata.
func readKey(t *testing.T, name string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(capture(t, name+".pub")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func open(t *testing.T, paths ...string) knownhosts.Keys {
	t.Helper()
	keys, err := new(knownhosts.Index).Open(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// parseName reads a name as it stands in a file.
func parseName(t *testing.T, name string) knownhosts.Name {
	t.Helper()
	host, port, ok := strings.Cut(strings.TrimPrefix(name, "["), "]:")
	if !ok {
		return knownhosts.HostPort(name, 22)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return knownhosts.HostPort(host, n)
}

// Every key of the file is at the lines at which ssh-keygen -F finds it under a name, and at no other.
func TestFindsWhatSSHKeygenFinds(t *testing.T) {
	keys := make(map[string]ssh.PublicKey)
	for _, name := range []string{"ed25519", "ecdsa", "rsa"} {
		keys[name] = readKey(t, name)
	}
	lookups := 0
	for section := range strings.SplitSeq(strings.TrimPrefix(capture(t, "found"), "== "), "\n== ") {
		head, body, _ := strings.Cut(section, "\n")
		file, name, _ := strings.Cut(head, " ")
		lookups++
		t.Run(head, func(t *testing.T) {
			want := make(map[string]string)
			number := ""
			for line := range strings.Lines(body) {
				line = strings.TrimSpace(line)
				if _, found, ok := strings.Cut(line, " found: line "); ok {
					number = found // With the marker, if there is one.
					continue
				}
				for kind, key := range keys {
					if strings.Contains(line, marshal(key)) {
						want[kind] = number
					}
				}
			}
			known := open(t, filepath.Join("testdata", file))
			// A name on another port than 22 is looked up without it too, which ssh-keygen -F does not do.
			if plain, _, ok := strings.Cut(name, "]:"); ok && strings.HasSuffix(plain, ".lab.example.com") {
				want["ed25519"] = strconv.Itoa(strings.Count(strings.Split(capture(t, file), "*.lab.")[0], "\n") + 1)
			}
			got := make(map[string]string)
			for kind, key := range keys {
				if v := known.Check(parseName(t, name), key, time.Now()); v.Standing == knownhosts.Known {
					got[kind] = strconv.Itoa(v.Lines[0].Number)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("lines by key (-want +got):\n%s", diff)
			}
		})
	}
	if lookups < 20 {
		t.Errorf("%d lookups", lookups)
	}
}

func marshal(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestReadsWhatSSHKeyscanPrints(t *testing.T) {
	for _, file := range []string{"scanned", "scanned-hashed"} {
		t.Run(file, func(t *testing.T) {
			known := open(t, filepath.Join("testdata", file))
			if problems := known.Problems(); problems != nil {
				t.Error(problems)
			}
			name := knownhosts.HostPort("127.0.0.1", 2223)
			before, _, _ := strings.Cut(capture(t, file), " ssh-rsa")
			want := fmt.Sprintf("testdata/%s:%d", file, 1+strings.Count(before, "\n"))
			if v := known.Check(name, readKey(t, "rsa"), time.Now()); v.Standing != knownhosts.Known || v.Lines[0].String() != want {
				t.Errorf("%+v, want it at %s", v, want)
			}
			for _, kind := range []string{"ecdsa", "ed25519"} {
				if v := known.Check(name, readKey(t, kind), time.Now()); v.Standing != knownhosts.Known {
					t.Errorf("%s: %+v", kind, v)
				}
			}
			if v := known.Check(knownhosts.HostPort("127.0.0.1", 22), readKey(t, "ed25519"), time.Now()); v.Standing != knownhosts.Unknown {
				t.Errorf("on the usual port the host is %s", v.Standing)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name, host, cert string
		port             int
		want             knownhosts.Standing
		text             string // of the certificate's error
	}{
		{name: "by its name", cert: "valid", want: knownhosts.Signed},
		{name: "in other letters", host: "WEB-01.CA.Example.Com", cert: "valid", want: knownhosts.Signed},
		{name: "on another port", port: 2222, cert: "valid", want: knownhosts.Signed},
		{name: "authority with a port", host: "gate.example.com", port: 2022, cert: "valid", want: knownhosts.Unknown, text: `names "web-01.ca.example.com,10.0.0.1", not "gate.example.com"`},
		{name: "authority for another port", host: "gate.example.com", cert: "valid", want: knownhosts.Unknown, text: "no @cert-authority for it"},
		{name: "wildcard principal", cert: "wildcard", want: knownhosts.Signed},
		{name: "another principal", host: "web-02.ca.example.com", cert: "valid", want: knownhosts.Unknown, text: `not "web-02.ca.example.com"`},
		{name: "wrong domain", host: "web-01.example.org", cert: "valid", want: knownhosts.Unknown, text: "no @cert-authority for it"},
		{name: "no principals", cert: "no-principals", want: knownhosts.Unknown, text: "names no hosts"},
		{name: "expired", cert: "expired", want: knownhosts.Unknown, text: "ended at 2021-01-01T00:00:00Z"},
		{name: "not yet valid", cert: "early", want: knownhosts.Unknown, text: "begins at 2099-01-01T00:00:00Z"},
		{name: "of a user", cert: "user", want: knownhosts.Unknown, text: "certifies a user"},
		{name: "critical option", cert: "critical", want: knownhosts.Unknown, text: "critical options"},
		{name: "unknown authority", cert: "other-ca", want: knownhosts.Unknown, text: "no @cert-authority for it"},
		{name: "unknown authority, known key", host: "web-01.example.com", cert: "other-ca", want: knownhosts.Known},
		{name: "expired, known key", host: "10.0.0.1", cert: "expired", want: knownhosts.Known},
		{name: "unknown authority, changed key", host: "2001:db8::1", cert: "other-ca", want: knownhosts.Changed, text: "no @cert-authority for it"},
		{name: "revoked authority", cert: "stolen-ca", want: knownhosts.Revoked},
		{name: "revoked authority, known key", host: "web-01.example.com", cert: "stolen-ca", want: knownhosts.Revoked},
	} {
		t.Run(test.name, func(t *testing.T) {
			host, port := test.host, test.port
			if host == "" {
				host = "web-01.ca.example.com"
			}
			if port == 0 {
				port = 22
			}
			for _, file := range []string{"plain", "hashed"} {
				v := open(t, filepath.Join("testdata", file)).Check(knownhosts.HostPort(host, port), readKey(t, test.cert), now)
				if v.Standing != test.want {
					t.Errorf("%s: standing %s, want %s", file, v.Standing, test.want)
				}
				if (v.Certificate != nil) != (test.text != "") || v.Certificate != nil && !strings.Contains(v.Certificate.Error(), test.text) {
					t.Errorf("%s: certificate: %v, want it to say %q", file, v.Certificate, test.text)
				}
			}
		})
	}
}

// A certificate that was tampered with is refused, though everything that stands in it fits.
func TestForgedCertificate(t *testing.T) {
	cert, ok := readKey(t, "valid").(*ssh.Certificate)
	if !ok {
		t.Fatal("no certificate")
	}
	cert.ValidPrincipals = []string{"web-02.ca.example.com"}
	v := open(t, "testdata/plain").Check(knownhosts.HostPort("web-02.ca.example.com", 22), cert, time.Now())
	if v.Standing != knownhosts.Unknown || v.Certificate == nil || !strings.Contains(v.Certificate.Error(), "signature") {
		t.Errorf("%+v", v)
	}
}

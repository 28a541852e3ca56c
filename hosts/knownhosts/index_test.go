package knownhosts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts/knownhosts"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck(t *testing.T) {
	ed, ec := newKey(t, false), newKey(t, true)
	other := newKey(t, false)
	line := func(hosts string, key ssh.PublicKey) string { return hosts + " " + marshal(key) + "\n" }
	for _, test := range []struct {
		name, text string
		host       knownhosts.Name
		key        ssh.PublicKey
		want       knownhosts.Standing
		lines      []int
	}{
		{name: "nothing known", host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Unknown},
		{name: "one of two", text: line("a", other) + line("a", ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Known, lines: []int{2}},
		{name: "another key", text: line("a", other), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Changed, lines: []int{1}},
		{name: "another type only", text: line("b", ed) + line("a", ec), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Changed, lines: []int{2}},
		{name: "name in the middle", text: line("x,a,y", ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "case", text: line("Web.Example.COM", ed), host: knownhosts.HostPort("wEB.example.com", 22), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "port", text: line("[a]:2222", ed), host: knownhosts.HostPort("a", 2222), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "wrong port", text: line("[a]:2222", ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Unknown},
		{name: "usual port in brackets", text: line("[a]:22", ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "known without its port", text: line("a", ed), host: knownhosts.HostPort("a", 2222), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "another key without its port", text: line("a", other), host: knownhosts.HostPort("a", 2222), key: ed, want: knownhosts.Unknown},
		{name: "another key with its port", text: line("a", ed) + line("[a]:2222", other), host: knownhosts.HostPort("a", 2222), key: ed, want: knownhosts.Changed, lines: []int{2}},
		{name: "any host", text: line("*", ed), host: knownhosts.HostPort("a", 2222), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "any port", text: line("[a]:*", ed), host: knownhosts.HostPort("a", 2222), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "pattern of names on another port", text: line("*.lab", ed), host: knownhosts.HostPort("a.lab", 2222), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "one letter", text: line("web-?", ed), host: knownhosts.HostPort("web-10", 22), key: ed, want: knownhosts.Unknown},
		{name: "not this one", text: line("*.lab,!b.lab", ed), host: knownhosts.HostPort("b.lab", 22), key: ed, want: knownhosts.Unknown},
		{name: "not this one, said first", text: line("!b.lab,*.lab", ed), host: knownhosts.HostPort("b.lab", 22), key: ed, want: knownhosts.Unknown},
		{name: "none but not this one", text: line("!b.lab", ed), host: knownhosts.HostPort("a.lab", 22), key: ed, want: knownhosts.Unknown},
		{name: "pattern and name", text: line("*", other) + line("a", ec), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Changed, lines: []int{1, 2}},
		{name: "IPv6", text: line("2001:db8::1", ed), host: knownhosts.HostPort("2001:DB8:0::1", 22), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "IPv6 with port", text: line("[2001:db8::1]:2222", ed), host: knownhosts.HostPort("2001:db8::1", 2222), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "alias", text: line("blue", ed), host: knownhosts.Alias("Blue"), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "alias that looks like a port", text: line("[blue]:2222", ed), host: knownhosts.Alias("[blue]:2222"), key: ed, want: knownhosts.Known, lines: []int{1}},
		{name: "revoked, though known", text: line("a", ed) + line("@revoked a", ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Revoked, lines: []int{2}},
		{name: "revoked for others", text: line("a", ed) + line("@revoked b", ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Revoked, lines: []int{2}},
		{name: "revoked hashed", text: "@revoked |1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + marshal(ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Revoked, lines: []int{1}},
		{name: "authorities are no host keys", text: line("@cert-authority a", ed), host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Unknown, lines: []int{1}},
		{name: "no newline, CRLF, blanks", text: "\r\n  \t# x\r\n \ta\t " + marshal(ed) + " me@here\r", host: knownhosts.HostPort("a", 22), key: ed, want: knownhosts.Known, lines: []int{3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := open(t, write(t, test.text)).Check(test.host, test.key, time.Now())
			var lines []int
			for _, line := range v.Lines {
				lines = append(lines, line.Number)
			}
			if v.Standing != test.want || !slices.Equal(lines, test.lines) {
				t.Errorf("%s at lines %v, want %s at %v", v.Standing, lines, test.want, test.lines)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	key := newKey(t, true)
	v := open(t, write(t, "a "+marshal(key))).Check(knownhosts.HostPort("a", 22), key, time.Now())
	if got, want := v.Lines[0].Fingerprint(), ssh.FingerprintSHA256(key); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSeveralFiles(t *testing.T) {
	first, second := newKey(t, false), newKey(t, false)
	known := open(t, write(t, "a "+marshal(first)), filepath.Join(t.TempDir(), "none", "known_hosts"), os.DevNull, write(t, "a "+marshal(second)))
	for _, key := range []ssh.PublicKey{first, second} {
		if v := known.Check(knownhosts.HostPort("a", 22), key, time.Now()); v.Standing != knownhosts.Known {
			t.Errorf("%s", v.Standing)
		}
	}
	if _, err := new(knownhosts.Index).Open(t.TempDir()); err == nil {
		t.Error("a folder was read as a file")
	}
}

func TestProblems(t *testing.T) {
	key := newKey(t, false)
	good := "a " + marshal(key) + "\n"
	typ, blob, _ := strings.Cut(marshal(key), " ")
	for _, test := range []struct{ name, line, want string }{
		{"no key", "a ssh-ed25519", "no key"},
		{"word alone", "garbage", "no key"},
		{"not base64", "a ssh-ed25519 !!!!", "damaged"},
		{"cut off", "a " + typ + " " + blob[:len(blob)-8], "cut off"},
		{"nothing in it", "a ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "nothing in it"},
		{"another type", "a ssh-rsa " + blob, `says "ssh-rsa", but its key is of type "ssh-ed25519"`},
		{"protocol 1", "a 1024 35 1234567890", "protocol 1"},
		{"certificate", "a " + strings.Join(strings.Fields(capture(t, "valid.pub"))[:2], " "), "@cert-authority"},
		{"unknown marker", "@trusted a " + marshal(key), `"@trusted"`},
		{"two markers", "@revoked @cert-authority a " + marshal(key), "two markers"},
		{"half a hash", "|1|AAAA " + marshal(key), "|1|salt|hash"},
		{"other hash", "|2|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + marshal(key), "|1|salt|hash"},
		{"short salt", "|1|AAAA|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + marshal(key), "damaged"},
		{"endless", strings.Repeat("a,", 1<<20) + "b " + marshal(key), "longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, good+test.line+"\nb "+marshal(key)+"\n")
			known := open(t, path)
			problems := known.Problems()
			if len(problems) != 1 || problems[0].File != path || problems[0].Line != 2 || !strings.Contains(problems[0].Reason, test.want) {
				t.Errorf("%v, want line 2 and %q", problems, test.want)
			}
			for _, host := range []string{"a", "b"} {
				if v := known.Check(knownhosts.HostPort(host, 22), key, time.Now()); v.Standing != knownhosts.Known {
					t.Errorf("%s: %s", host, v.Standing)
				}
			}
		})
	}
	if n := len(open(t, write(t, strings.Repeat("x\n", 5000))).Problems()); n != 1000 {
		t.Errorf("%d problems of a file that is none", n)
	}
}

func TestAlgorithms(t *testing.T) {
	all := ssh.SupportedAlgorithms().HostKeys
	for _, test := range []struct {
		name, text string
		host       knownhosts.Name
		want       []string // the first
	}{
		{name: "unknown", host: knownhosts.HostPort("none", 22), want: []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256"}},
		{name: "RSA and Ed25519", host: knownhosts.HostPort("web-01.example.com", 22), want: []string{"ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256"}},
		{name: "RSA", host: knownhosts.HostPort("2001:db8::1", 22), want: []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"}},
		{name: "ECDSA on another port", host: knownhosts.HostPort("db-01.example.com", 2222), want: []string{"ecdsa-sha2-nistp256", "ssh-ed25519"}},
		{name: "RSA known without the port", host: knownhosts.HostPort("2001:db8::1", 2022), want: []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"}},
		{name: "authority", host: knownhosts.HostPort("x.ca.example.com", 22), want: []string{"ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com"}},
		{name: "authority, another port", host: knownhosts.HostPort("x.ca.example.com", 2222), want: []string{"ssh-ed25519-cert-v01@openssh.com"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := open(t, "testdata/hashed").Algorithms(test.host)
			if diff := cmp.Diff(test.want, got[:len(test.want)]); diff != "" {
				t.Errorf("the first (-want +got):\n%s", diff)
			}
			sorted, want := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(all))
			if diff := cmp.Diff(want, sorted); diff != "" {
				t.Errorf("not each algorithm once (-want +got):\n%s", diff)
			}
		})
	}
}

// A type that this program does not know is a key nevertheless: another one is a changed key.
func TestKeyOfTheFuture(t *testing.T) {
	known := open(t, write(t, "a ssh-new AAAAB3NzaC1uZXcAAAABQQ==\n"))
	if problems := known.Problems(); problems != nil {
		t.Error(problems)
	}
	if v := known.Check(knownhosts.HostPort("a", 22), newKey(t, false), time.Now()); v.Standing != knownhosts.Changed {
		t.Errorf("%s", v.Standing)
	}
	if got := known.Algorithms(knownhosts.HostPort("a", 22)); slices.Contains(got, "ssh-new") || got[0] != ssh.KeyAlgoED25519 {
		t.Errorf("%v", got)
	}
}

// A pattern made to be slow takes no longer than its length lets it.
func TestSlowPattern(t *testing.T) {
	key := newKey(t, false)
	known := open(t, write(t, strings.Repeat("*a", 60)+"*b "+marshal(key)))
	if v := known.Check(knownhosts.HostPort(strings.Repeat("a", 200), 22), key, time.Now()); v.Standing != knownhosts.Unknown {
		t.Errorf("%s", v.Standing)
	}
}

// Hosts are looked up from many goroutines while their names are found out and the file changes.
func TestConcurrentUse(t *testing.T) {
	path, keys := fleetFile(t, true)
	var index knownhosts.Index
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			for host := range 40 {
				dial(t, &index, path, (host*7+user%4)%fleetHosts, keys)
			}
		})
	}
	users.Go(func() {
		for i := range 5 {
			if err := knownhosts.Add(path, knownhosts.Entry{Name: knownhosts.HostPort(fmt.Sprint("new-", i), 22), Key: keys[0], Hash: true}); err != nil {
				t.Error(err)
			}
		}
	})
	users.Wait()
	for i := range 5 {
		known, err := index.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if v := known.Check(knownhosts.HostPort(fmt.Sprint("new-", i), 22), keys[0], time.Now()); v.Standing != knownhosts.Known {
			t.Errorf("new-%d: %s", i, v.Standing)
		}
	}
}

package hosts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"service_manager/hosts"
)

func TestAuthorizedKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	if err := os.Mkdir(filepath.Join(dir, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	keygen := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", append([]string{"-q"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(path(name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	remove := func(name string) {
		t.Helper()
		if err := os.Remove(path(name)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{}
	for name, args := range map[string][]string{
		"ed25519": {"-t", "ed25519", "-N", ""}, "encrypted": {"-t", "ed25519", "-N", "secret"}, "ecdsa": {"-t", "ecdsa", "-N", ""},
		"rsa-pem": {"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""}, ".ssh/id_ed25519": {"-t", "ed25519", "-N", ""},
		"pem-encrypted": {"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret"}, "other": {"-t", "ed25519", "-N", ""},
	} {
		keygen(append(args, "-C", "me@"+name, "-f", path(name))...)
		want[name] = read(name + ".pub")
	}
	keygen("-s", path("ed25519"), "-I", "id", path("other"))

	withoutComment := func(line string) string { return line[:strings.LastIndexByte(line, ' ')] }
	expect := func(file, line string) {
		t.Helper()
		if got, err := hosts.AuthorizedKey(file); got != line || err != nil {
			t.Errorf("AuthorizedKey(%s) = %s, %v; want %s", file, got, err, line)
		}
	}
	expect("", want[".ssh/id_ed25519"])
	expect(path("ed25519.pub"), want["ed25519"])
	expect(path("other-cert.pub"), want["other"])
	for _, name := range []string{"ed25519", "encrypted", "ecdsa", "rsa-pem", "pem-encrypted"} {
		expect(path(name), want[name])
	}
	for _, name := range []string{"ed25519", "encrypted", "ecdsa", "rsa-pem", "pem-encrypted"} {
		remove(name + ".pub")
		if name != "pem-encrypted" {
			expect(path(name), withoutComment(want[name]))
		}
	}
	remove("other")
	expect(path("other"), want["other"])
	write("evil.pub", withoutComment(want["other"])+" a\x1b[2J\tb\r\n")
	expect(path("evil"), withoutComment(want["other"])+" a·[2J b")

	write("ed25519.pub", want["other"])
	write("ecdsa.pub", "no key")
	write("junk", "no key")
	write("a junk", "no key")
	for file, says := range map[string]string{
		path("pem-encrypted"): "ssh-keygen -y -f " + path("pem-encrypted"),
		path("ed25519"):       "is not the public half",
		path("ecdsa"):         "public user key " + path("ecdsa.pub"),
		path("junk"):          "ssh-keygen -y",
		path("a junk"):        "ssh-keygen -y -f '" + path("a junk") + "' >'" + path("a junk.pub") + "'",
		path("missing"):       "reading the user key",
	} {
		if got, err := hosts.AuthorizedKey(file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("AuthorizedKey(%s) = %s, %v; want an error that says %q", file, got, err, says)
		}
	}
	remove(".ssh/id_ed25519")
	if got, err := hosts.AuthorizedKey(""); err == nil || !strings.Contains(err.Error(), "ssh-keygen -t ed25519") {
		t.Errorf("no default key: %s, %v", got, err)
	}
}

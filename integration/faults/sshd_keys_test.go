//go:build integration && linux

package faults_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/integration/sshd"
	"service_manager/inventory"
)

// keygen runs ssh-keygen(1) in the site's folder.
func (s site) keygen(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", append([]string{"-q"}, args...)...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %q: %v: %s", args, err, out)
	}
}

func (s site) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newKey makes a key pair, NAME and NAME.pub, of a type.
func (s site) newKey(t *testing.T, name string, kind ...string) ssh.PublicKey {
	t.Helper()
	s.keygen(t, append([]string{"-N", "", "-C", name, "-f", name, "-t"}, kind...)...)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.read(t, name+".pub")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestUserKeys(t *testing.T) {
	for _, test := range []struct {
		name string
		kind []string
	}{
		{"ed25519", []string{"ed25519"}},
		{"ECDSA P-256", []string{"ecdsa", "-b", "256"}},
		{"ECDSA P-521", []string{"ecdsa", "-b", "521"}},
		{"RSA", []string{"rsa", "-b", "3072"}},
		{"RSA in PEM", []string{"rsa", "-b", "2048", "-m", "PEM"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			_, h := s.sshd(t, "sick", sshd.Config{UserKey: s.newKey(t, "user", test.kind...)})
			h.SSH.IdentityFile = s.path("user")
			want("", hosts.OK).check(t, observe(t, append(s.neighbours(t), h)...).sick(t))
		})
	}
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		server, h := s.sshd(t, "sick", sshd.Config{UserKey: s.newKey(t, "other", "ed25519")})
		o := observe(t, append(s.neighbours(t), h)...)
		for range 5 {
			want("authorized_keys", hosts.AuthFailed).check(t, o.sick(t))
		}
		// sshd punishes what tries again (sshd_config(5), PerSourcePenalties). A second attempt is fair: the key file was just written.
		if n := strings.Count(server.Log(), "Connection from"); n > 2 {
			t.Errorf("%d attempts in 5 polls", n)
		}
	})
}

// A real ssh-keygen(1) encrypts the key, and a passphrase file opens it.
func TestEncryptedKeys(t *testing.T) {
	for _, kind := range []string{"ed25519", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			_, h := s.sshd(t, "sick", sshd.Config{UserKey: s.newKey(t, "user", kind)})
			s.keygen(t, "-p", "-P", "", "-N", "open sesame", "-f", "user")
			h.SSH.IdentityFile, h.SSH.PassphraseFile = s.path("user"), s.path("passphrase")
			s.write(t, "passphrase", "open\n")
			o := observe(t, append(s.neighbours(t), h)...)
			want("passphrase", hosts.AuthFailed).check(t, o.sick(t))
			s.write(t, "passphrase", "open sesame\n") // Which is noticed, and ends the pause.
			o.await(t, hosts.OK)
		})
	}
}

// A real ssh-agent(1) holds several keys; the one that identity_file names is offered, with its certificate where there is one.
func TestSSHAgent(t *testing.T) {
	s := newSite(t)
	mine := s.newKey(t, "user", "rsa")
	s.newKey(t, "certified", "ed25519")
	s.newKey(t, "stranger", "ed25519")
	s.newKey(t, "ca", "ed25519")
	s.keygen(t, "-s", "ca", "-I", "collector", "-n", sshd.User, "certified.pub")
	s.startAgent(t, "stranger", "user", "certified")
	server, h := s.sshd(t, "plain", sshd.Config{UserKey: mine})
	_, certified := s.sshd(t, "certificate", sshd.Config{
		UserKey: mine, Directives: []string{"TrustedUserCAKeys " + sshd.Path + "/ca.pub"},
		Files: map[string]string{"bin/systemctl": systemctl, "ca.pub": s.read(t, "ca.pub")},
	})
	_, unnamed := s.sshd(t, "unnamed", sshd.Config{UserKey: mine})
	for _, host := range []*inventory.Host{&h, &certified, &unnamed} {
		host.SSH.Agent, host.SSH.IdentityFile = true, ""
	}
	h.SSH.IdentityFile, certified.SSH.IdentityFile = s.path("user"), s.path("certified")
	for _, name := range []string{"user", "certified"} { // The agent has them.
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	all := observe(t, append(s.neighbours(t), h, certified, unnamed)...).next(t)
	want("", hosts.OK).check(t, all["plain"])
	want("", hosts.OK).check(t, all["certificate"])
	want("identity_file", hosts.AuthFailed).check(t, all["unnamed"])
	if log := server.Log(); strings.Contains(log, "Failed publickey") || !strings.Contains(log, "Accepted publickey") {
		t.Errorf("other keys were offered:\n%s", log)
	}
}

// startAgent runs ssh-agent(1) with some of the site's keys until the test ends.
func (s site) startAgent(t *testing.T, keys ...string) {
	t.Helper()
	socket := s.path("agent")
	cmd := exec.CommandContext(context.Background(), "ssh-agent", "-D", "-a", socket)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // It was killed.
	})
	if _, err := stdout.Read(make([]byte, 1)); err != nil { // It says where it listens, and then does.
		t.Fatalf("ssh-agent: %v", err)
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	for _, key := range keys {
		if out, err := exec.CommandContext(t.Context(), "ssh-add", "-q", s.path(key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-add %s: %v: %s", key, err, out)
		}
	}
}

// A user certificate lets in without an authorized_keys entry.
func TestUserCertificate(t *testing.T) {
	for _, test := range []struct {
		name   string
		sign   []string
		remove bool // the certificate, which is found beside the key else
		want   expectation
	}{
		{name: "valid", sign: []string{"-n", sshd.User, "-V", "+1h"}, want: want("", hosts.OK)},
		{name: "without it", sign: []string{"-n", sshd.User}, remove: true, want: want("", hosts.AuthFailed)},
		{name: "of another principal", sign: []string{"-n", "someone"}, want: want("", hosts.AuthFailed)},
		{name: "expired", sign: []string{"-n", sshd.User, "-V", "-2h:-1h"}, want: want("", hosts.AuthFailed)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.newKey(t, "user", "ed25519")
			stranger := s.newKey(t, "stranger", "ed25519")
			s.newKey(t, "ca", "ed25519")
			s.keygen(t, append(append([]string{"-s", "ca", "-I", "collector"}, test.sign...), "user.pub")...)
			server, h := s.sshd(t, "sick", sshd.Config{
				UserKey: stranger, Directives: []string{"TrustedUserCAKeys " + sshd.Path + "/ca.pub"},
				Files: map[string]string{"bin/systemctl": systemctl, "ca.pub": s.read(t, "ca.pub")},
			})
			h.SSH.IdentityFile, h.SSH.CertificateFile = s.path("user"), s.path("user-cert.pub")
			if test.remove {
				h.SSH.CertificateFile = ""
				if err := os.Remove(s.path("user-cert.pub")); err != nil {
					t.Fatal(err)
				}
			}
			test.want.check(t, observe(t, append(s.neighbours(t), h)...).sick(t))
			if t.Failed() {
				t.Log(server.Log())
			}
		})
	}
}

func TestHostKeys(t *testing.T) {
	for _, test := range []struct {
		name string
		kind []string // of the host's key
		// known makes the line in known_hosts of the host's pattern and key.
		known func(pattern, key string) string
		alias string
		want  expectation
	}{
		{name: "ed25519", kind: []string{"ed25519"}, known: plain, want: want("", hosts.OK)},
		{name: "ECDSA", kind: []string{"ecdsa"}, known: plain, want: want("", hosts.OK)},
		{name: "RSA", kind: []string{"rsa", "-b", "2048"}, known: plain, want: want("", hosts.OK)},
		{
			name: "alias", kind: []string{"ed25519"}, alias: "db-blue", want: want("", hosts.OK),
			known: func(_, key string) string { return "db-blue " + key },
		},
		{
			name: "unknown", kind: []string{"ed25519"}, want: want("is not in known_hosts", hosts.HostKeyUnknown),
			known: func(string, string) string { return "" },
		},
		{
			name: "known on another port", kind: []string{"ed25519"}, want: want("is not in known_hosts", hosts.HostKeyUnknown),
			known: func(_, key string) string { return "[127.0.0.1]:1 " + key },
		},
		{
			name: "revoked", kind: []string{"ed25519"}, want: want("revoked", hosts.HostKeyChanged),
			known: func(pattern, key string) string { return plain(pattern, key) + "@revoked * " + key },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.newKey(t, "host", test.kind...)
			_, h := s.sshd(t, "sick", sshd.Config{HostKey: []byte(s.read(t, "host"))})
			pattern, _, _ := strings.Cut(s.read(t, "known_hosts_sick"), " ")
			s.write(t, "known_hosts_sick", test.known(pattern, s.read(t, "host.pub")))
			h.SSH.HostKeyAlias = test.alias
			test.want.check(t, observe(t, append(s.neighbours(t), h)...).sick(t))
		})
	}
}

func plain(pattern, key string) string { return pattern + " " + key }

// A host that was installed anew, or someone who stands between, is never read, however often it is asked.
func TestHostKeyChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, h := s.sshd(t, "sick", sshd.Config{})
	o := observe(t, append(s.neighbours(t), h)...)
	want("", hosts.OK).check(t, o.sick(t))
	s.newKey(t, "other", "ed25519")
	s.write(t, "sick/host_key", s.read(t, "other"))
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	o.await(t, hosts.HostKeyChanged)
	for range 2 {
		status := o.sick(t)
		want("was installed anew", hosts.HostKeyChanged).check(t, status)
		if status.StaleSince == nil || len(status.Units) != len(h.Units) {
			t.Errorf("stale since %v, %d units; want the last known ones", status.StaleSince, len(status.Units))
		}
	}
}

// A host certificate needs a known_hosts line for its authority only.
func TestHostCertificate(t *testing.T) {
	for _, test := range []struct {
		name string
		sign []string
		tail string // more lines of known_hosts
		want expectation
	}{
		{name: "valid", sign: []string{"-n", "127.0.0.1"}, want: want("", hosts.OK)},
		{name: "of another host", sign: []string{"-n", "db-01"}, want: want("", hosts.HostKeyUnknown, hosts.HostKeyChanged)},
		{name: "expired", sign: []string{"-n", "127.0.0.1", "-V", "-2h:-1h"}, want: want("", hosts.HostKeyUnknown, hosts.HostKeyChanged)},
		{name: "of a revoked authority", sign: []string{"-n", "127.0.0.1"}, tail: "@revoked * ", want: want("revoked", hosts.HostKeyChanged)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.newKey(t, "host", "ed25519")
			authority := s.newKey(t, "ca", "ed25519")
			s.keygen(t, append(append([]string{"-s", "ca", "-I", "host", "-h"}, test.sign...), "host.pub")...)
			_, h := s.sshd(t, "sick", sshd.Config{
				HostKey: []byte(s.read(t, "host")), Directives: []string{"HostCertificate " + sshd.Path + "/host-cert.pub"},
				Files: map[string]string{"bin/systemctl": systemctl, "host-cert.pub": s.read(t, "host-cert.pub")},
			})
			s.trust(t, h, authority, test.tail)
			test.want.check(t, observe(t, append(s.neighbours(t), h)...).sick(t))
		})
	}
}

// trust makes known_hosts accept the authority for every host, and puts it behind tail once more, where that is not empty.
func (s site) trust(t *testing.T, h inventory.Host, authority ssh.PublicKey, tail string) {
	t.Helper()
	key := string(ssh.MarshalAuthorizedKey(authority))
	text := "@cert-authority * " + key
	if tail != "" {
		text += tail + key
	}
	s.write(t, "known_hosts_"+h.Name, text)
}

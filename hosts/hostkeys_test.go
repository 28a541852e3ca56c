package hosts_test

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts"
	"service_manager/hosts/knownhosts"
	"service_manager/hosts/sshtest"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, signer, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// certify returns a host key with a certificate that ca signed, for a principal, until some time from now.
func certify(t *testing.T, ca, key ssh.Signer, principal string, until time.Duration) ssh.Signer {
	t.Helper()
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{principal},
		ValidBefore: uint64(time.Now().Add(until).Unix()),
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func text(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

// What known_hosts may say of a host, and how a connection to it ends then. In the lines PORT is the host's, which is never 22.
func TestKnownHosts(t *testing.T) {
	ca, key, other := newSigner(t), newSigner(t), newSigner(t)
	const lives, ended = time.Hour, -time.Hour
	for _, test := range []struct {
		name, lines string
		host        ssh.Signer
		more        []ssh.Signer
		want        hosts.Outcome
		text        string
	}{
		{name: "plain", lines: "[127.0.0.1]:PORT " + text(key.PublicKey()), host: key, want: hosts.OK},
		{name: "hashed", lines: "HASHED " + text(key.PublicKey()), host: key, want: hosts.OK},
		{name: "hashed, another key", lines: "HASHED " + text(other.PublicKey()), host: key, want: hosts.HostKeyChanged, text: "known_hosts:1, " + ssh.FingerprintSHA256(other.PublicKey())},
		{name: "any host", lines: "* " + text(key.PublicKey()), host: key, want: hosts.OK},
		{name: "net", lines: "127.0.0.* " + text(key.PublicKey()), host: key, want: hosts.OK},
		{name: "not this host", lines: "127.*,!127.0.0.1,![127.0.0.1]:PORT " + text(key.PublicKey()), host: key, want: hosts.HostKeyUnknown},
		{name: "without its port", lines: "127.0.0.1 " + text(key.PublicKey()), host: key, want: hosts.OK},
		{name: "revoked", lines: "[127.0.0.1]:PORT " + text(key.PublicKey()) + "@revoked * " + text(key.PublicKey()), host: key, want: hosts.HostKeyChanged, text: "is revoked at"},
		{name: "one bad line", lines: "garbage\n[127.0.0.1]:PORT " + text(key.PublicKey()), host: key, want: hosts.OK},
		{name: "bad lines and no key", lines: "garbage\n* ssh-rsa x", host: key, want: hosts.HostKeyUnknown, text: "2 lines of "},
		{name: "authority", lines: "@cert-authority [127.0.0.1]:PORT " + text(ca.PublicKey()), host: certify(t, ca, key, "127.0.0.1", lives), want: hosts.OK},
		{name: "authority for any host", lines: "@cert-authority * " + text(ca.PublicKey()), host: certify(t, ca, key, "127.0.0.1", lives), want: hosts.OK},
		{name: "authority without the port", lines: "@cert-authority 127.0.0.* " + text(ca.PublicKey()), host: certify(t, ca, key, "127.0.0.1", lives), want: hosts.OK},
		{name: "authority of another type than the host's key", lines: "@cert-authority * " + text(ca.PublicKey()), host: certify(t, ca, ecdsaKey(t), "127.0.0.1", lives), more: []ssh.Signer{other}, want: hosts.OK},
		{name: "authority, but a plain key", lines: "@cert-authority * " + text(ca.PublicKey()), host: key, want: hosts.HostKeyUnknown, text: "names an authority for it, but it showed no certificate"},
		{name: "another authority", lines: "@cert-authority * " + text(other.PublicKey()), host: certify(t, ca, key, "127.0.0.1", lives), want: hosts.HostKeyUnknown, text: "no @cert-authority for it"},
		{name: "another authority, but a known key", lines: "* " + text(key.PublicKey()), host: certify(t, ca, key, "127.0.0.1", lives), want: hosts.OK},
		{name: "another host's certificate", lines: "@cert-authority * " + text(ca.PublicKey()), host: certify(t, ca, key, "10.0.0.1", lives), want: hosts.HostKeyUnknown, text: `names "10.0.0.1", not "127.0.0.1"`},
		{name: "expired certificate", lines: "@cert-authority * " + text(ca.PublicKey()), host: certify(t, ca, key, "127.0.0.1", ended), want: hosts.HostKeyUnknown, text: "have it signed anew"},
		{name: "revoked authority", lines: "@cert-authority * " + text(ca.PublicKey()) + "@revoked * " + text(ca.PublicKey()), host: certify(t, ca, key, "127.0.0.1", lives), want: hosts.HostKeyChanged, text: "the authority " + ssh.FingerprintSHA256(ca.PublicKey())},
		{name: "revoked key, certified", lines: "@cert-authority * " + text(ca.PublicKey()) + "@revoked * " + text(key.PublicKey()), host: certify(t, ca, key, "127.0.0.1", lives), want: hosts.HostKeyChanged, text: "host key " + ssh.FingerprintSHA256(key.PublicKey()) + " is revoked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			server := s.start(t, sshtest.Config{Exec: systemd("252"), HostKey: test.host, MoreHostKeys: test.more})
			port := strconv.Itoa(server.Addr().Port)
			hashed := xknownhosts.HashHostname("[127.0.0.1]:" + port)
			s.write(t, "known_hosts", strings.NewReplacer("PORT", port, "HASHED", hashed).Replace(test.lines))
			_, err := read(t.Context(), newPool(t, hosts.Config{}), s.host(server))
			if got := hosts.OutcomeOf(err); got != test.want || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("outcome %q, want %q; error %v, want it to say %q", got, test.want, err, test.text)
			}
		})
	}
}

// A certificate is for the alias, where the host has one.
func TestCertificateOfAlias(t *testing.T) {
	s, ca := newSite(t), newSigner(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252"), HostKey: certify(t, ca, newSigner(t), "blue", time.Hour)})
	s.write(t, "known_hosts", "@cert-authority b* "+text(ca.PublicKey()))
	h := s.host(server)
	h.SSH.HostKeyAlias = "blue"
	if _, err := read(t.Context(), newPool(t, hosts.Config{}), h); err != nil {
		t.Error(err)
	}
}

// A key that is revoked, or replaced, between two dials counts at the second.
func TestKnownHostsChangesBetweenDials(t *testing.T) {
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: systemd("252")})
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	name := knownhosts.HostPort("127.0.0.1", server.Addr().Port)
	for _, step := range []struct {
		change func() error
		want   hosts.Outcome
	}{
		{func() error { return nil }, hosts.HostKeyUnknown},
		{func() error {
			return knownhosts.Add(s.path("known_hosts"), knownhosts.Entry{Name: name, Key: server.HostKey(), Hash: true})
		}, hosts.OK},
		{func() error {
			return knownhosts.Replace(s.path("known_hosts"), knownhosts.Entry{Name: name, Key: newSigner(t).PublicKey()})
		}, hosts.HostKeyChanged},
		{func() error {
			return knownhosts.Replace(s.path("known_hosts"), knownhosts.Entry{Name: name, Key: server.HostKey()})
		}, hosts.OK},
		{func() error { return os.Remove(s.path("known_hosts")) }, hosts.HostKeyUnknown},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		if err := pool.Connect(t.Context(), h); hosts.OutcomeOf(err) != step.want {
			t.Errorf("%v, want %s", err, step.want)
		}
	}
}

func TestScan(t *testing.T) {
	ca, key, ec := newSigner(t), newSigner(t), ecdsaKey(t)
	other := newSigner(t)
	for _, test := range []struct {
		name, lines string
		server      sshtest.Config
		want        knownhosts.Standing
		key         ssh.PublicKey
	}{
		{name: "unknown", server: sshtest.Config{HostKey: ec, MoreHostKeys: []ssh.Signer{key}}, want: knownhosts.Unknown, key: key.PublicKey()},
		{name: "known", lines: "* " + text(ec.PublicKey()), server: sshtest.Config{HostKey: key, MoreHostKeys: []ssh.Signer{ec}}, want: knownhosts.Known, key: ec.PublicKey()},
		{name: "changed", lines: "* " + text(other.PublicKey()), server: sshtest.Config{HostKey: key}, want: knownhosts.Changed, key: key.PublicKey()},
		{name: "revoked", lines: "@revoked * " + text(key.PublicKey()), server: sshtest.Config{HostKey: key}, want: knownhosts.Revoked, key: key.PublicKey()},
		{name: "signed", lines: "@cert-authority * " + text(ca.PublicKey()), server: sshtest.Config{HostKey: certify(t, ca, key, "127.0.0.1", time.Hour)}, want: knownhosts.Signed, key: key.PublicKey()},
		{name: "signed by another", server: sshtest.Config{HostKey: certify(t, ca, key, "127.0.0.1", time.Hour)}, want: knownhosts.Unknown, key: key.PublicKey()},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			server := s.start(t, test.server)
			s.write(t, "known_hosts", test.lines)
			h := s.host(server)
			h.SSH.IdentityFile = s.path("nothing") // No one logs in.
			offer, err := newPool(t, hosts.Config{}).Scan(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			if offer.Verdict.Standing != test.want || offer.Fingerprint() != ssh.FingerprintSHA256(test.key) || offer.Name.String() != "[127.0.0.1]:"+strconv.Itoa(h.SSH.Port) {
				t.Errorf("%+v, want %s and the key %s", offer, test.want, ssh.FingerprintSHA256(test.key))
			}
			if n := server.Accepted(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestScanFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		server sshtest.Config
		want   hosts.Outcome
	}{
		{"hung", sshtest.Config{Greet: func(ctx context.Context, _ net.Conn) bool { <-ctx.Done(); return false }}, hosts.Timeout},
		{"throttled", sshtest.Config{Greet: greet("Exceeded MaxStartups\r\n")}, hosts.Throttled},
		{"another protocol", sshtest.Config{Greet: greet("HTTP/1.1 400 Bad Request\r\n\r\n")}, hosts.ProtocolError},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			h := s.host(s.start(t, test.server))
			if test.want == hosts.Timeout {
				h.ConnectTimeout = time.Second
			}
			_, err := newPool(t, hosts.Config{}).Scan(t.Context(), h)
			if hosts.OutcomeOf(err) != test.want || !strings.HasPrefix(err.Error(), "monitor@127.0.0.1:") {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	h := newSite(t).hostAt(1)
	if _, err := newPool(t, hosts.Config{}).Scan(t.Context(), h); hosts.OutcomeOf(err) != hosts.Unreachable {
		t.Errorf("nothing there: %v", err)
	}
	h.SSH.KnownHosts = []string{t.TempDir()}
	if _, err := newPool(t, hosts.Config{}).Scan(t.Context(), h); hosts.OutcomeOf(err) != hosts.HostKeyUnknown || hosts.Persistent(err) {
		t.Errorf("known_hosts cannot be read: %v", err)
	}
}

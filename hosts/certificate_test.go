package hosts_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// An authority makes user certificates.
type authority struct{ ssh.Signer }

func newAuthority(t *testing.T) authority {
	t.Helper()
	_, signer, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return authority{signer}
}

// certify returns a certificate for user monitor that is valid around now, but for what adapt changes.
func (a authority) certify(t *testing.T, key ssh.PublicKey, adapt func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	now := time.Now()
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: "fleet", ValidPrincipals: []string{"monitor"},
		ValidAfter: unix(now.Add(-time.Hour)), ValidBefore: unix(now.Add(time.Hour)),
	}
	if adapt != nil {
		adapt(cert)
	}
	if err := cert.SignCert(rand.Reader, a); err != nil {
		t.Fatal(err)
	}
	return cert
}

func unix(t time.Time) uint64 { return uint64(t.Unix()) }

// accept makes a server accept the authority's certificates only.
func (a authority) accept(c *ssh.ServerConfig) {
	checker := &ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), a.PublicKey().Marshal()) }}
	c.PublicKeyCallback = checker.Authenticate
}

func TestCertificates(t *testing.T) {
	ca := newAuthority(t)
	for name, key := range userKeys(t) {
		s := newSite(t).withKey(t, key)
		s.write(t, "short-lived", string(ssh.MarshalAuthorizedKey(ca.certify(t, s.userKey, nil))))
		named := func(h *inventory.Host) { h.SSH.CertificateFile = s.path("short-lived") }
		if err := s.login(t, sshtest.Config{Configure: ca.accept}, named); err != nil {
			t.Errorf("%s, named: %v", name, err)
		}
		if err := s.login(t, sshtest.Config{Configure: ca.accept}, nil); hosts.OutcomeOf(err) != hosts.AuthFailed {
			t.Errorf("%s, without the certificate: %v", name, err)
		}
		s.write(t, "id-cert.pub", string(ssh.MarshalAuthorizedKey(ca.certify(t, s.userKey, func(c *ssh.Certificate) {
			c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity
		}))))
		if err := s.login(t, sshtest.Config{Configure: ca.accept}, nil); err != nil {
			t.Errorf("%s, beside the key: %v", name, err)
		}
	}
}

func TestCertificateErrors(t *testing.T) {
	ca, now := newAuthority(t), time.Now()
	for name, test := range map[string]struct {
		adapt func(*ssh.Certificate)
		want  string
		asked bool // the host was
	}{
		"expired":         {adapt: func(c *ssh.Certificate) { c.ValidBefore = unix(now.Add(-time.Minute)) }, want: "renew it"},
		"not valid yet":   {adapt: func(c *ssh.Certificate) { c.ValidAfter = unix(now.Add(time.Minute)) }, want: "is not valid before"},
		"for a host":      {adapt: func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, want: "is for a host"},
		"for another key": {adapt: func(c *ssh.Certificate) { c.Key = ca.PublicKey() }, want: "but the user key is"},
		"for another user": {
			adapt: func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root"} },
			want:  `principals ["root"] was not accepted`, asked: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.write(t, "cert", string(ssh.MarshalAuthorizedKey(ca.certify(t, s.userKey, test.adapt))))
			named := func(h *inventory.Host) { h.SSH.CertificateFile = s.path("cert") }
			err := s.login(t, sshtest.Config{Configure: ca.accept}, named)
			if hosts.OutcomeOf(err) != hosts.AuthFailed || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if hosts.Persistent(err) != test.asked {
				t.Errorf("persistent is %v: a host that was not asked has nothing against another try", !test.asked)
			}
		})
	}
}

func TestCertificateFiles(t *testing.T) {
	s := newSite(t)
	s.write(t, "id-cert.pub", string(ssh.MarshalAuthorizedKey(newAuthority(t).certify(t, s.userKey, func(c *ssh.Certificate) { c.ValidBefore = 1 }))))
	if err := s.login(t, sshtest.Config{}, nil); err == nil || !strings.Contains(err.Error(), "expired at 1970-01-01T00:00:01Z: renew it, or remove it") {
		t.Errorf("one that nobody named: %v", err)
	}
	for text, want := range map[string]string{
		"":         "certificate ",
		"nonsense": "certificate ",
		string(ssh.MarshalAuthorizedKey(s.userKey)): "ssh-keygen -s",
	} {
		s.write(t, "cert", text)
		err := s.login(t, sshtest.Config{}, func(h *inventory.Host) { h.SSH.CertificateFile = s.path("cert") })
		if hosts.OutcomeOf(err) != hosts.AuthFailed || !strings.Contains(err.Error(), want) {
			t.Errorf("%.10q: error %v, want %q", text, err, want)
		}
	}
	err := s.login(t, sshtest.Config{}, func(h *inventory.Host) { h.SSH.CertificateFile = s.path("nothing") })
	if !errors.Is(err, os.ErrNotExist) || hosts.OutcomeOf(err) != hosts.AuthFailed {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A standing connection outlives its certificate, and the next one is made with what the file says then.
func TestCertificateRenewed(t *testing.T) {
	s, ca := newSite(t), newAuthority(t)
	certify := func(until time.Duration) {
		s.write(t, "id-cert.pub", string(ssh.MarshalAuthorizedKey(ca.certify(t, s.userKey, func(c *ssh.Certificate) {
			c.ValidBefore = unix(time.Now().Add(until))
		}))))
	}
	server := s.start(t, sshtest.Config{Exec: systemd("252"), Configure: ca.accept})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	certify(time.Hour)
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	certify(-time.Second)
	if _, err := pool.Poll(t.Context(), h); err != nil {
		t.Errorf("a poll over the standing connection: %v", err)
	}
	if err := pool.Connect(t.Context(), h); hosts.OutcomeOf(err) != hosts.AuthFailed {
		t.Errorf("with an expired certificate: %v", err)
	}
	certify(time.Hour)
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Errorf("with a renewed one: %v", err)
	}
}

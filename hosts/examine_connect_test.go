package hosts_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

func rsaKey(t *testing.T, bits int) ssh.Signer {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newHostKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, signer, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// hostCertificate makes a host certificate for a new key, valid for the time given.
func hostCertificate(t *testing.T, ca ssh.Signer, from, to time.Time) ssh.Signer {
	t.Helper()
	key := newHostKey(t)
	certificate := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"},
		ValidAfter: uint64(from.Unix()), ValidBefore: uint64(to.Unix()),
	}
	if to.IsZero() {
		certificate.ValidBefore = ssh.CertTimeInfinity
	}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestExamineHostKeys(t *testing.T) {
	ca, now := newHostKey(t), time.Now()
	for name, test := range map[string]struct {
		key  ssh.Signer
		ca   bool
		code string
		in   string
		do   string // what trust must be told to
	}{
		"ed25519":             {key: newHostKey(t), in: "ssh-ed25519 SHA256:"},
		"rsa":                 {key: rsaKey(t, 3072), code: "rsa_host_key", in: "3072 bits", do: "known_hosts; then: service_manager trust {selector}"},
		"short rsa":           {key: rsaKey(t, 1024), code: "weak_host_key", in: "1024 bits", do: "service_manager trust --replace {selector}"},
		"certificate":         {key: hostCertificate(t, ca, now.Add(-time.Hour), now.Add(time.Hour)), ca: true, in: "signed by a CA in known_hosts (" + ssh.FingerprintSHA256(ca.PublicKey())},
		"old certificate":     {key: hostCertificate(t, ca, now.Add(-time.Hour), now.Add(time.Minute)), ca: true, code: "certificate_expires", in: "valid until"},
		"valid since ever":    {key: hostCertificate(t, ca, time.Unix(0, 0), now.AddDate(0, 1, 0)), ca: true, in: "valid until"},
		"endless certificate": {key: hostCertificate(t, ca, now.Add(-time.Hour), time.Time{}), ca: true, in: "valid for ever"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			server := s.start(t, sshtest.Config{HostKey: test.key, Exec: commands(seen(well()))})
			line := knownhosts.Line([]string{knownhosts.Normalize(server.Addr().String())}, test.key.PublicKey())
			if test.ca {
				line = "@cert-authority " + knownhosts.Line([]string{knownhosts.Normalize(server.Addr().String())}, ca.PublicKey())
			}
			s.write(t, "known_hosts", line+"\n")
			h := s.host(server)
			r := newPool(t, hosts.Config{}).Examine(t.Context(), h, 0)
			i := slices.IndexFunc(r.Findings, func(f hosts.Finding) bool { return f.Step == "host key" })
			if i < 0 || r.Findings[i].Code != test.code || !strings.Contains(r.Findings[i].Detail, test.in) {
				t.Errorf("%+v, want code %q and %q", r.Findings, test.code, test.in)
			}
			if i >= 0 && !strings.HasSuffix(r.Findings[i].Remedy, test.do) {
				t.Errorf("to mend it: %s", r.Findings[i].Remedy)
			}
			if r.Outcome != hosts.OK {
				t.Errorf("outcome %s", r.Outcome)
			}
		})
	}
}

// A lagging connection holds back what is sent on it.
type lagging struct {
	net.Conn
	lag time.Duration
}

func (c lagging) Write(b []byte) (int, error) {
	<-time.After(c.lag)
	return c.Conn.Write(b)
}

// What takes long is told with what it takes long for.
func TestExamineSlowness(t *testing.T) {
	answer := commands(seen(well()))
	for code, test := range map[string]struct {
		config sshtest.Config
		pool   hosts.Config
		change func(*inventory.Host)
	}{
		"slow_login": {config: sshtest.Config{Exec: answer, Greet: func(ctx context.Context, _ net.Conn) bool {
			wait(ctx, 1100*time.Millisecond)
			return true
		}}},
		"slow_query": {
			config: sshtest.Config{Exec: commandsOf(func(ctx context.Context, command string, stdout, stderr io.Writer) int {
				wait(ctx, 2100*time.Millisecond)
				return answer(ctx, command, stdout, stderr)
			}, seen(well()))},
			change: func(h *inventory.Host) { h.Timeout = 4 * time.Second },
		},
		"far_away": {
			config: sshtest.Config{Exec: answer},
			pool: hosts.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				return lagging{Conn: c, lag: 130 * time.Millisecond}, err
			}},
			change: func(h *inventory.Host) { h.ConnectTimeout = 2 * time.Second },
		},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.start(t, test.config)
			s.know(t, server, server.HostKey())
			h := s.host(server)
			if test.change != nil {
				test.change(&h)
			}
			r := newPool(t, test.pool).Examine(t.Context(), h, 0)
			if f := finding(t, r, code); f.Severity != hosts.SeverityWarning || f.Remedy == "" || r.Outcome != hosts.OK {
				t.Errorf("outcome %s, %+v", r.Outcome, f)
			}
		})
	}
}

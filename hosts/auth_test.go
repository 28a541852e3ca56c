package hosts_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// withKey returns the site with a private key as its user key.
func (s site) withKey(t *testing.T, private any) site {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s.userKey = signer.PublicKey()
	s.write(t, "id", string(pem.EncodeToMemory(block)))
	return s
}

func userKeys(t *testing.T) map[string]any {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"ed25519": ed, "ECDSA": ec, "RSA": rs}
}

// login polls a new server once, as the host that adapt makes of the site's.
func (s site) login(t *testing.T, config sshtest.Config, adapt func(*inventory.Host)) error {
	t.Helper()
	config.Exec = systemd("252")
	server := s.start(t, config)
	s.know(t, server, server.HostKey())
	h := s.host(server)
	if adapt != nil {
		adapt(&h)
	}
	_, err := read(t.Context(), newPool(t, hosts.Config{}), h)
	return err
}

func TestUserKeyTypes(t *testing.T) {
	for name, key := range userKeys(t) {
		s := newSite(t).withKey(t, key)
		if err := s.login(t, sshtest.Config{}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RSA keys sign with SHA-2, or not at all.
func TestRSAHashes(t *testing.T) {
	key := userKeys(t)["RSA"]
	for algorithm, want := range map[string]string{
		ssh.KeyAlgoRSASHA512: "",
		ssh.KeyAlgoRSASHA256: "",
		ssh.KeyAlgoRSA:       "SHA-1",
	} {
		s := newSite(t).withKey(t, key)
		err := s.login(t, sshtest.Config{Configure: func(c *ssh.ServerConfig) { c.PublicKeyAuthAlgorithms = []string{algorithm} }}, nil)
		if want == "" && err != nil || want != "" && (hosts.OutcomeOf(err) != hosts.AuthFailed || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", algorithm, err, want)
		}
	}
}

// What mends a login depends on why it failed, which sshd tells by the methods it would take.
func TestAuthErrors(t *testing.T) {
	wantsPassword := func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("wrong") }
	for name, test := range map[string]struct {
		configure func(*ssh.ServerConfig)
		want      string
	}{
		"passwords only": {func(c *ssh.ServerConfig) {
			c.PublicKeyCallback, c.PasswordCallback = nil, wantsPassword
		}, "takes no keys here, only: password"},
		"a key and a password": {func(c *ssh.ServerConfig) {
			c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
				return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{PasswordCallback: wantsPassword}}
			}
		}, "the key was accepted, but sshd also wants one of: password"},
		"another key": {func(c *ssh.ServerConfig) {
			c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errors.New("unknown") }
		}, "authorized_keys"},
	} {
		s := newSite(t)
		err := s.login(t, sshtest.Config{Configure: test.configure}, nil)
		if hosts.OutcomeOf(err) != hosts.AuthFailed || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
		if !hosts.Persistent(err) {
			t.Errorf("%s: it is tried again soon", name)
		}
	}
}

// Each key that is offered in vain counts towards MaxAuthTries and a penalty.
func TestOffersOneKey(t *testing.T) {
	var offered []string
	s := newSite(t)
	err := s.login(t, sshtest.Config{Configure: func(c *ssh.ServerConfig) {
		c.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			offered = append(offered, ssh.FingerprintSHA256(key))
			return nil, errors.New("unknown")
		}
	}}, nil)
	if hosts.OutcomeOf(err) != hosts.AuthFailed || len(offered) != 1 {
		t.Errorf("offered %q (error %v)", offered, err)
	}
}

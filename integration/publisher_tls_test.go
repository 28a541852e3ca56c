//go:build integration

package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service_manager/integration/proxy"
	"service_manager/publish"
)

// certified is the user whom the stack's broker knows by the common name of a certificate. It may write to the exchange
// service_manager, and nothing else.
const certified = "collector-by-certificate"

// An identity is a folder with the files that a publisher logs in with: ca.pem, client.pem and client.key.
type identity struct {
	folder string
	ca     tls.Certificate // Of the certificates that it is issued.
}

// brokerCA returns the CA that the stack's broker trusts, and has its own certificate from.
func brokerCA(t *testing.T) tls.Certificate {
	t.Helper()
	both := []byte(stack.must(t, "broker", "cat /certificates/ca.pem /certificates/ca.key"))
	ca, err := tls.X509KeyPair(both, both)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newIdentity(t *testing.T, ca tls.Certificate) identity {
	t.Helper()
	id := identity{folder: t.TempDir(), ca: ca}
	id.write(t, "ca.pem", "CERTIFICATE", ca.Certificate[0])
	return id
}

func (id identity) write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(id.folder, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate for a client, valid until then, in place of the one before. Without a CA it signs itself.
func (id identity) issue(t *testing.T, name pkix.Name, until time.Time, signed bool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, any(key)
	if signed {
		parent, signer = id.ca.Leaf, id.ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id.write(t, "client.pem", "CERTIFICATE", der)
	id.write(t, "client.key", "PRIVATE KEY", keyDER)
}

// config logs in with the files at the address of the broker's TLS port, or of a way to it.
func (id identity) config(addr string) publish.Config {
	file := func(name string) string { return filepath.Join(id.folder, name) }
	return publish.Config{
		URLs: []string{"amqps://" + addr + "/"}, Exchange: "service_manager", Declare: publish.DeclarePassive,
		External: true, CAFile: file("ca.pem"), CertFile: file("client.pem"), KeyFile: file("client.key"),
	}
}

// TestPublisherExternal renews the client's certificate and cuts the connection: the files are read again at every dial.
func TestPublisherExternal(t *testing.T) {
	id := newIdentity(t, brokerCA(t))
	px, err := proxy.Listen(stack.tlsAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = px.Close() })
	src := newTray(t)
	id.issue(t, pkix.Name{CommonName: certified, SerialNumber: "first"}, time.Now().Add(time.Hour), true)
	p, _ := start(t, id.config(px.Addr()), src)
	src.put(messages(t, 1500, "web-01", 1000)...)
	src.awaitConfirmed(1500)
	id.issue(t, pkix.Name{CommonName: certified, SerialNumber: "renewed"}, time.Now().Add(time.Hour), true)
	px.Cut()
	src.put(messages(t, 1, "web-01", 0)...)
	src.awaitConfirmed(1501)
	if st := p.Stats(); st.Sessions != 2 {
		t.Errorf("stats: %+v", st)
	}
	peers := stack.must(t, "broker", "rabbitmqctl -q list_connections user peer_cert_subject")
	if !strings.Contains(peers, certified) || !strings.Contains(peers, "renewed") || strings.Contains(peers, "first") {
		t.Errorf("connections by certificate:\n%s", peers)
	}
}

func TestPublisherTLSErrors(t *testing.T) {
	ca := brokerCA(t)
	valid, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for name, tc := range map[string]struct {
		user   string // Of the client's certificate.
		until  time.Time
		signed bool
		caFile string
		want   []string // In the error's text.
	}{
		"expired":          {certified, past, true, "ca.pem", []string{"expired", "renew cert_file"}},
		"signed by itself": {certified, valid, false, "ca.pem", []string{"bad certificate", "ssl_options.cacertfile"}},
		"of no user":       {"nobody", valid, true, "ca.pem", []string{"ssl_cert_login_from", "make that user"}},
		"wrong CA":         {certified, valid, true, "client.pem", []string{"unknown authority", "set ca_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			id := newIdentity(t, ca)
			id.issue(t, pkix.Name{CommonName: tc.user}, tc.until, tc.signed)
			cfg := id.config(stack.tlsAddr())
			cfg.Attempts, cfg.CAFile = 1, filepath.Join(id.folder, tc.caFile)
			p, err := publish.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			src := newTray(t)
			src.put(messages(t, 1, "web-01", 0)...)
			err = p.Run(ctx, src)
			t.Log(err)
			for _, want := range tc.want {
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
		})
	}
}

// TestPublisherTLSWithPassword needs no certificate of its own.
func TestPublisherTLSWithPassword(t *testing.T) {
	id := newIdentity(t, brokerCA(t))
	src := newTray(t)
	src.put(messages(t, 10, "web-01", 0)...)
	cfg := id.config("collector:collector@" + stack.tlsAddr())
	cfg.External, cfg.CertFile, cfg.KeyFile = false, "", ""
	start(t, cfg, src)
	src.awaitConfirmed(10)
}

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
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/publish"
)

// TestPublisherTLS gives the publisher a CA file that is wrong at first: files are read again at every dial.
func TestPublisherTLS(t *testing.T) {
	d := newDesk(t)
	u, px := through(t)
	cert, right := selfSigned(t)
	_, wrong := selfSigned(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var wg conc.WaitGroup
	wg.Go(func() { // Takes the TLS off, as a broker's TLS port does.
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { splice(t, conn, px.Addr()) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })

	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	src := newTray(t)
	src.put(messages(t, 1500, "web-01", 1000)...)
	cfg := publish.Config{URLs: []string{strings.Replace(strings.Replace(u, "amqp://", "amqps://", 1), px.Addr(), l.Addr().String(), 1)}, Exchange: d.exchange, CAFile: ca, Attempts: 1}
	p, err := publish.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), src); err == nil || !strings.Contains(err.Error(), "set ca_file") {
		t.Fatalf("with the wrong CA: %v", err)
	}
	if err := os.WriteFile(ca, right, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if err := p.Run(ctx, src); err != nil {
			t.Errorf("with the right CA: %v", err)
		}
	})
	src.awaitConfirmed(1500)
	cancel()
}

// splice carries conn to addr until either ends.
func splice(t *testing.T, conn net.Conn, addr string) {
	t.Helper()
	defer func() { _ = conn.Close() }()
	var d net.Dialer
	plain, err := d.DialContext(context.WithoutCancel(t.Context()), "tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	var back conc.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, plain)
		_ = conn.Close()
	})
	_, _ = io.Copy(plain, conn)
	_ = plain.Close()
	back.Wait()
}

// selfSigned returns a certificate for loopback, also as PEM.
func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

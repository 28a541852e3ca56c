package publish

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
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

// listen answers each connection with serve until the test ends, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group conc.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				serve(c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); group.Wait() })
	return l.Addr().String()
}

// answer waits for the client to speak, and says one thing.
func answer(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 8))
		_, _ = io.WriteString(c, text)
	}
}

// frozen reads for as long as the client stays.
func frozen(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// failsAt wants the last finding to be an error of this step that says text, and the steps before it to be ok.
func failsAt(t *testing.T, findings []Finding, step, text string) {
	t.Helper()
	for i, f := range findings {
		if strings.Contains(fmt.Sprint(f), "s3cret") {
			t.Errorf("the password is shown: %+v", f)
		}
		if i < len(findings)-1 {
			if f.Severity != SeverityOK {
				t.Errorf("before the end: %+v", f)
			}
			continue
		}
		if !strings.HasSuffix(f.Step, " "+step) || f.Severity != SeverityError || f.Remedy == "" || !strings.Contains(f.Detail+" → "+f.Remedy, text) {
			t.Errorf("found %+v\nwant an error at %s with a remedy, and to read %q", f, step, text)
		}
	}
	if len(findings) == 0 {
		t.Error("nothing was found")
	}
}

func TestExamineConfiguration(t *testing.T) {
	findings := Examine(t.Context(), Config{Exchange: "x"})
	if len(findings) != 1 || findings[0].Severity != SeverityError || !strings.Contains(findings[0].Detail, "no broker URL") {
		t.Errorf("%+v", findings)
	}
}

func TestExamineNoBroker(t *testing.T) {
	for name, test := range map[string]struct {
		url        string // with %s for the address of serve
		serve      func(net.Conn)
		step, want string
	}{
		"no such name":    {url: "amqp://u:s3cret@nowhere.invalid/", step: "resolve", want: "check the host name"},
		"refused":         {url: "amqp://u:s3cret@127.0.0.1:1/", step: "connect", want: "is RabbitMQ running there, on port 1?"},
		"hangs up":        {serve: answer(""), step: "login", want: "closed without a word"},
		"HTTP":            {serve: answer("HTTP/1.1 400 Bad Request\r\n\r\n"), step: "login", want: "an HTTP server answers"},
		"TLS":             {serve: answer("\x15\x03\x01\x00\x02\x02\x46"), step: "login", want: "amqps://"},
		"AMQP 1.0":        {serve: answer("AMQP\x00\x01\x00\x00"), step: "login", want: "0-9-1"},
		"nonsense":        {serve: answer("\x1b[2Jwelcome to the mail server\r\n"), step: "login", want: "is this RabbitMQ's AMQP port"},
		"no TLS":          {url: "amqps://u:s3cret@%s/", serve: answer("AMQP\x00\x00\x09\x01"), step: "tls", want: "no TLS on this port"},
		"hangs up in TLS": {url: "amqps://u:s3cret@%s/", serve: answer(""), step: "tls", want: "TLS port"},
	} {
		t.Run(name, func(t *testing.T) {
			url := test.url
			if test.serve != nil {
				if url == "" {
					url = "amqp://u:s3cret@%s/"
				}
				url = fmt.Sprintf(url, listen(t, test.serve))
			}
			failsAt(t, Examine(t.Context(), Config{URLs: []string{url}, Exchange: "x"}), test.step, test.want)
		})
	}
}

// The examination of a broker that does not answer ends with its context, and does not keep that of another from its end.
func TestExamineFrozen(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	address := listen(t, frozen)
	start := time.Now()
	findings := Examine(ctx, Config{URLs: []string{"amqp://" + address, "amqps://" + address, "amqp://127.0.0.1:1"}, Exchange: "x"})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	failsAt(t, findings[:2], "login", "frozen")
	failsAt(t, findings[2:4], "tls", "frozen")
	failsAt(t, findings[4:], "connect", "is RabbitMQ running there")
}

// certify returns a self-signed certificate for the loopback address and its PEM file.
func certify(t *testing.T, adapt func(*x509.Certificate)) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker\x1b[2J"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if adapt != nil {
		adapt(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestExamineTLS(t *testing.T) {
	inDays := func(days int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, days)
		}
	}
	for name, test := range map[string]struct {
		adapt  func(*x509.Certificate)
		trust  bool
		client tls.ClientAuthType
		step   string
		want   string
	}{
		"unknown authority": {step: "tls", want: "set ca_file"},
		"another name": {
			trust: true, adapt: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"broker.example"} },
			step: "tls", want: "use a name from the broker's certificate",
		},
		"expired":                   {trust: true, adapt: inDays(-1), step: "tls", want: "renew the broker's certificate"},
		"wants our certificate":     {trust: true, client: tls.RequireAnyClientCert, step: "login", want: "set cert_file"},
		"no AMQP behind it":         {trust: true, step: "login", want: "closed without a word"},
		"soon to expire, no AMQP":   {trust: true, adapt: inDays(7), step: "login", want: "closed without a word"},
		"a CA file without any CA":  {step: "tls", want: "no PEM certificate"},
		"a CA file that is missing": {step: "tls", want: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, file := certify(t, test.adapt)
			server := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: test.client, MinVersion: tls.VersionTLS12}
			address := listen(t, func(c net.Conn) {
				secure := tls.Server(c, server)
				_, _ = secure.Read(make([]byte, 8))
				_ = secure.Close()
			})
			config := Config{URLs: []string{"amqps://u:s3cret@" + address}, Exchange: "x"}
			switch {
			case test.trust:
				config.CAFile = file
			case strings.Contains(name, "without any"):
				config.CAFile = os.DevNull
			case strings.Contains(name, "missing"):
				config.CAFile = file + ".not"
			}
			findings := Examine(t.Context(), config)
			if strings.HasPrefix(name, "soon") {
				if f := findings[2]; f.Severity != SeverityWarning || !strings.Contains(f.Detail, "expires at") || strings.Contains(f.Detail, "\x1b") {
					t.Errorf("found %+v", f)
				}
				findings = append(findings[:2], findings[3:]...)
			}
			failsAt(t, findings, test.step, test.want)
		})
	}
}

func TestExamineServer(t *testing.T) {
	for version, want := range map[string]Severity{"3.7.28": SeverityWarning, "3.8.0": SeverityOK, "3.13.7": SeverityOK, "4.0.5": SeverityOK, "": SeverityOK} {
		var x examination
		x.server(&amqp.Connection{Properties: amqp.Table{"product": "RabbitMQ", "version": version}})
		if f := x.findings[0]; f.Severity != want {
			t.Errorf("version %q: %+v", version, f)
		}
	}
	var x examination
	x.server(&amqp.Connection{})
	if f := x.findings[0]; f.Severity != SeverityWarning {
		t.Errorf("unknown product: %+v", f)
	}
}

// A command to copy must reach the shell as it is meant.
func TestExamineGrant(t *testing.T) {
	x := examination{
		cfg:    Config{Exchange: "fleet.status", Declare: DeclareActive},
		broker: broker{uri: amqp.URI{Username: "o'neil", Vhost: "a b"}},
	}
	want := `rabbitmqctl set_permissions -p 'a b' 'o'\''neil' '^fleet\.status$' '^fleet\.status$' '^$'; with '^$' in place of`
	if got := x.grant(); !strings.Contains(got, want) {
		t.Errorf("%s\nwant it to contain %s", got, want)
	}
	x.cfg.Declare = DeclarePassive
	want = `rabbitmqctl set_permissions -p 'a b' 'o'\''neil' '^$' '^fleet\.status$' '^$'`
	if got := x.grant(); !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant it to end with %s", got, want)
	}
}

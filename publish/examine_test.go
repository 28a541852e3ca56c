package publish

import (
	"cmp"
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
	"unicode"

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

// failsAt wants the last finding to be an error of this step with this code and to say text, and the steps before it to be ok.
func failsAt(t *testing.T, findings []Finding, step, code, text string) {
	t.Helper()
	if len(findings) == 0 {
		t.Fatal("nothing was found")
	}
	last := len(findings) - 1
	for i, f := range findings {
		explains(t, f)
		if i < last && f.Severity != SeverityOK {
			t.Errorf("before the end: %+v", f)
		}
	}
	f := findings[last]
	if f.Severity != SeverityError || f.Step != step || f.Code != code || !strings.Contains(f.Detail+" → "+f.Remedy, text) {
		t.Errorf("found %+v\nwant an error %s at %s, and to read %q", f, code, step, text)
	}
}

// explains wants f to say what, why and what to do about it if anything is wrong, and no more than what there is if nothing is. It
// must not show the password, or what a terminal would not print.
func explains(t *testing.T, f Finding) {
	t.Helper()
	said := []string{f.Code, f.Problem, f.Why, f.Remedy}
	for _, text := range said {
		if (text == "") != (f.Severity == SeverityOK) {
			t.Errorf("a word too few or too many: %+v", f)
			break
		}
	}
	all := strings.Join(append(said, f.Broker, f.Step, f.Detail), "|")
	if f.Step == "" || f.Detail == "" || strings.Contains(all, "s3cret") || strings.ContainsFunc(all, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("no step, no detail, a password or a control character: %+v", f)
	}
}

func TestExamineConfiguration(t *testing.T) {
	findings := Examine(t.Context(), Config{Exchange: "x"})
	failsAt(t, findings, "configuration", "bad_configuration", "no broker URL")
}

func TestExamineNoBroker(t *testing.T) {
	for name, test := range map[string]struct {
		url        string // with %s for the address of serve
		serve      func(net.Conn)
		step, code string
		want       string
	}{
		"no such name":    {url: "amqp://u:s3cret@nowhere.invalid/", step: "resolve", code: "unresolved", want: "getent ahosts nowhere.invalid"},
		"refused":         {url: "amqp://u:s3cret@127.0.0.1:1/", step: "connect", code: "refused", want: "ss -ltn 'sport = :1'"},
		"no route":        {url: "amqp://u:s3cret@255.255.255.255/", step: "connect", code: "unreachable", want: "nc -vz -w 5 255.255.255.255 5672"},
		"hangs up":        {serve: answer(""), step: "login", code: "closed", want: "EOF → on the broker: rabbitmq-diagnostics listeners"},
		"HTTP":            {serve: answer("HTTP/1.1 400 Bad Request\r\n\r\n"), step: "login", code: "not_amqp", want: `it answers "HTTP/1.1 400 Bad Request" → `},
		"TLS":             {serve: answer("\x15\x03\x01\x00\x02\x02\x46"), step: "login", code: "needs_tls", want: "amqps:// in place of amqp://"},
		"AMQP 1.0":        {serve: answer("AMQP\x00\x01\x00\x00"), step: "login", code: "amqp_version", want: `it answers "AMQP\x00\x01\x00\x00" → `},
		"nonsense":        {serve: answer("\x1b[2Jwelcome to the mail server\r\n"), step: "login", code: "not_amqp", want: `it answers "\x1b[2Jwelcome to the mail server" → `},
		"no TLS":          {url: "amqps://u:s3cret@%s/", serve: answer("AMQP\x00\x00\x09\x01"), step: "tls", code: "no_tls", want: "amqp/ssl"},
		"SSH":             {url: "amqps://u:s3cret@%s/", serve: answer("SSH-2.0-OpenSSH_9.2p1\r\n"), step: "tls", code: "not_amqp", want: `it answers "SSH-2", which is not TLS → `},
		"hangs up in TLS": {url: "amqps://u:s3cret@%s/", serve: answer(""), step: "tls", code: "tls_failed", want: "openssl s_client -connect 127.0.0.1:"},
		"alert in TLS":    {url: "amqps://u:s3cret@%s/", serve: answer("\x15\x03\x03\x00\x02\x02\x28"), step: "tls", code: "tls_failed", want: "set cert_file"},
	} {
		t.Run(name, func(t *testing.T) {
			url := cmp.Or(test.url, "amqp://u:s3cret@%s/")
			if test.serve != nil {
				url = fmt.Sprintf(url, listen(t, test.serve))
			}
			failsAt(t, Examine(t.Context(), Config{URLs: []string{url}, Exchange: "x"}), test.step, test.code, test.want)
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
	failsAt(t, findings[:2], "login", "timeout", "rabbitmq-diagnostics check_running")
	failsAt(t, findings[2:4], "tls", "timeout", "rabbitmq-diagnostics check_running")
	failsAt(t, findings[4:], "connect", "refused", "start rabbitmq-server")
	for i, want := range []string{"amqp://" + address + "/", "amqps://" + address + "/", "amqp://127.0.0.1:1/"} {
		if got := findings[2*i].Broker; got != want {
			t.Errorf("broker %q, want %q", got, want)
		}
	}
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
	forClients := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	for name, test := range map[string]struct {
		adapt  func(*x509.Certificate)
		trust  bool
		client tls.ClientAuthType
		most   uint16 // TLS version, 0 for the newest
		step   string
		code   string
		want   string
	}{
		"unknown authority": {step: "tls", code: "certificate_untrusted", want: "set ca_file"},
		"another name": {
			trust: true, adapt: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"broker.example"} },
			step: "tls", code: "certificate_name", want: "openssl x509 -noout -subject -ext subjectAltName",
		},
		"expired":                   {trust: true, adapt: inDays(-1), step: "tls", code: "certificate_expired", want: "; it is valid from 20"},
		"not for a server":          {trust: true, adapt: forClients, step: "tls", code: "certificate_untrusted", want: "incompatible key usage"},
		"wants our certificate":     {trust: true, client: tls.RequireAnyClientCert, step: "login", code: "client_certificate", want: "set cert_file"},
		"wants it in TLS 1.2":       {trust: true, client: tls.RequireAnyClientCert, most: tls.VersionTLS12, step: "tls", code: "tls_failed", want: "if it wants a client certificate, set cert_file"},
		"no AMQP behind it":         {trust: true, step: "login", code: "closed", want: "if it wants a client certificate, set cert_file"},
		"soon to expire, no AMQP":   {trust: true, adapt: inDays(7), step: "login", code: "closed", want: "EOF"},
		"a CA file without any CA":  {step: "tls", code: "tls_files", want: "no PEM certificate"},
		"a CA file that is missing": {step: "tls", code: "tls_files", want: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, file := certify(t, test.adapt)
			server := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: test.client, MinVersion: tls.VersionTLS12, MaxVersion: test.most}
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
				f := findings[2]
				explains(t, f)
				if f.Severity != SeverityWarning || f.Code != "certificate_expires" || !strings.Contains(f.Detail, "expires at") {
					t.Errorf("found %+v", f)
				}
				findings = append(findings[:2], findings[3:]...)
			}
			failsAt(t, findings, test.step, test.code, test.want)
		})
	}
}

func TestExamineServer(t *testing.T) {
	for version, want := range map[string]Severity{"3.7.28": SeverityWarning, "3.8.0": SeverityOK, "3.13.7": SeverityOK, "4.0.5": SeverityOK, "": SeverityOK} {
		var x examination
		x.server(&amqp.Connection{Properties: amqp.Table{"product": "RabbitMQ", "version": version}})
		explains(t, x.findings[0])
		if f := x.findings[0]; f.Severity != want {
			t.Errorf("version %q: %+v", version, f)
		}
	}
	var x examination
	x.server(&amqp.Connection{})
	explains(t, x.findings[0])
	if f := x.findings[0]; f.Severity != SeverityWarning || f.Code != "not_rabbitmq" {
		t.Errorf("unknown product: %+v", f)
	}
}

// What RabbitMQ 3.10 to 4.0 say, and what a person is told to do about it.
func TestExamineRefused(t *testing.T) {
	server := func(code int, reason string) error { return &amqp.Error{Code: code, Reason: reason, Server: true} }
	active, passive := Config{Exchange: "fleet", Declare: DeclareActive}, Config{Exchange: "fleet", Declare: DeclarePassive}
	guest, external := active, active
	external.External = true
	reserved := Config{Exchange: "amq.fanout", Declare: DeclareActive}
	const grant = "rabbitmqctl set_permissions -p v u '^fleet$' '^fleet$' '^$'"
	for name, test := range map[string]struct {
		cfg        Config
		user       string // u if empty
		err        error
		code, want string
	}{
		"wrong password":    {active, "", amqp.ErrCredentials, "auth_failed", "rabbitmqctl authenticate_user u, which asks for the password"},
		"guest":             {guest, "guest", amqp.ErrCredentials, "auth_failed", "guest may only log in on the broker's own machine"},
		"no such user":      {external, "", server(403, "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL"), "auth_failed", "rabbitmqctl list_users"},
		"no PLAIN":          {active, "", amqp.ErrSASL, "no_mechanism", "auth_mechanisms.1 = PLAIN"},
		"no EXTERNAL":       {external, "", amqp.ErrSASL, "no_mechanism", "rabbitmq-plugins enable rabbitmq_auth_mechanism_ssl"},
		"no vhost":          {active, "", server(530, "NOT_ALLOWED - vhost v not found"), "no_vhost", "rabbitmqctl add_vhost v, and give the user these permissions, which replace what it has: " + grant},
		"vhost refused":     {active, "", server(530, "NOT_ALLOWED - access to vhost 'v' refused for user 'u'"), "vhost_denied", grant},
		"hung up on":        {active, "", amqp.ErrVhost, "vhost_denied", grant},
		"vhost down":        {active, "", server(541, "INTERNAL_ERROR - access to vhost 'v' refused for user 'u': vhost 'v' is down"), "vhost_down", "rabbitmqctl restart_vhost -p v"},
		"vhost's limit":     {active, "", server(530, "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (1) is reached"), "connection_limit", "list_vhost_limits -p v"},
		"user's limit":      {active, "", server(530, "NOT_ALLOWED - connection refused for user 'u': user connection limit (0) is reached"), "connection_limit", "list_user_limits --user u"},
		"channels' limit":   {active, "", server(530, "NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed user limit of (0)"), "connection_limit", "set_user_limits"},
		"no exchange":       {passive, "", server(404, "NOT_FOUND - no exchange 'fleet' in vhost 'v'"), "no_exchange", "rabbitmqadmin --vhost=v declare exchange name=fleet type=topic durable=true; or set declare"},
		"no configure":      {active, "", server(403, "ACCESS_REFUSED - configure access to exchange 'fleet' in vhost 'v' refused for user 'u'"), "denied", grant},
		"no write":          {passive, "", server(403, "ACCESS_REFUSED - access to exchange 'fleet' in vhost 'v' refused for user 'u'"), "denied", "rabbitmqctl set_permissions -p v u '^$' '^fleet$' '^$'"},
		"other type":        {active, "", server(406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'fleet' in vhost 'v': received 'topic' but current is 'fanout'"), "exchange_type", "delete exchange name=fleet"},
		"broker's own":      {reserved, "", server(406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.fanout' in vhost 'v'"), "exchange_type", "or see which there are: rabbitmqctl list_exchanges -p v"},
		"reserved name":     {reserved, "", server(403, "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'"), "exchange_reserved", "does not begin with amq."},
		"not durable":       {active, "", server(406, "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'fleet' in vhost 'v'"), "exchange_settings", `set declare = "passive"`},
		"internal":          {active, "", server(406, "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'fleet' in vhost 'v'"), "exchange_internal", "name another one"},
		"internal, unseen":  {passive, "", server(403, "ACCESS_REFUSED - cannot publish to internal exchange 'fleet' in vhost 'v'"), "exchange_internal", "name another one"},
		"shut down":         {active, "", server(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"), "connection_lost", "rabbitmq-diagnostics log_tail"},
		"broken connection": {active, "", &amqp.Error{Code: 501, Reason: "read: connection reset by peer"}, "connection_lost", "run doctor again"},
		"no AMQP error":     {active, "", net.ErrClosed, "connection_lost", "run doctor again"},
	} {
		t.Run(name, func(t *testing.T) {
			x := examination{cfg: test.cfg, broker: broker{uri: amqp.URI{Username: cmp.Or(test.user, "u"), Vhost: "v"}}}
			x.refused(t.Context(), "step", test.err)
			failsAt(t, x.findings, "step", test.code, test.want)
		})
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

package publish

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// expirySoon is how long before its end a certificate is worth a warning.
const expirySoon = 30 * 24 * time.Hour

// connect goes the way to an open connection. It returns nil where it did not come to one.
func (x *examination) connect(ctx context.Context) (*amqp.Connection, *rawConn) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errNoAnswer)
	defer cancel()
	if !x.resolve(ctx) {
		return nil, nil
	}
	raw := x.dial(ctx)
	if raw == nil {
		return nil, nil
	}
	conn := x.login(ctx, raw)
	if !raw.unwatch() && conn != nil {
		x.failed(ctx, "login", context.Cause(ctx))
		conn = nil
	}
	if conn == nil {
		_ = raw.Close() // It is of no use.
		return nil, nil
	}
	return conn, raw
}

func (x *examination) resolve(ctx context.Context) bool {
	if _, err := netip.ParseAddr(x.broker.uri.Host); err == nil {
		return true
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, x.broker.uri.Host)
	if err != nil {
		x.failed(ctx, "resolve", err)
		return false
	}
	x.ok("resolve", "%s is %s", x.broker.uri.Host, strings.Join(addresses, ", "))
	return true
}

func (x *examination) dial(ctx context.Context) *rawConn {
	start := time.Now()
	raw, err := dialRaw(ctx, "tcp", net.JoinHostPort(x.broker.uri.Host, strconv.Itoa(x.broker.uri.Port)), x.cfg.WriteTimeout)
	if err != nil {
		x.failed(ctx, "connect", err)
		return nil
	}
	x.ok("connect", "TCP connection to %s in %v", raw.RemoteAddr(), time.Since(start).Round(10*time.Microsecond))
	return raw
}

// login does what TLS and AMQP do before there is a connection to work with.
func (x *examination) login(ctx context.Context, raw *rawConn) *amqp.Connection {
	peer := &overheard{Conn: raw}
	tlsConfig, err := x.cfg.tlsConfig(x.broker)
	if err != nil {
		x.add("tls", SeverityError, err.Error(), "correct ca_file, cert_file and key_file")
		return nil
	}
	if tlsConfig != nil {
		secure := tls.Client(raw, tlsConfig)
		if err := secure.HandshakeContext(ctx); err != nil {
			x.tlsFailed(ctx, err)
			return nil
		}
		x.certificates(secure.ConnectionState(), tlsConfig)
		peer.Conn = secure
	}
	config := amqp.Config{
		Vhost:      x.broker.uri.Vhost,
		Heartbeat:  x.cfg.Heartbeat,
		Properties: x.cfg.properties(),
		Dial:       func(string, string) (net.Conn, error) { return peer, nil },
	}
	if x.cfg.External {
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	// TLS, where there is any, is below already.
	_, rest, _ := strings.Cut(x.broker.url, "://")
	conn, err := amqp.DialConfig("amqp://"+rest, config)
	if err != nil {
		x.loginFailed(ctx, err, peer)
		return nil
	}
	x.ok("login", "user %s may use vhost %s", cmp.Or(x.userName(), "of the certificate"), x.broker.uri.Vhost)
	return conn
}

func (x *examination) userName() string {
	if x.cfg.External {
		return ""
	}
	return x.broker.uri.Username
}

func (x *examination) tlsFailed(ctx context.Context, err error) {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		x.add("tls", SeverityError, err.Error(), "renew the broker's certificate, or correct this machine's clock; it is valid from "+
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339)+" to "+invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
		return
	}
	if context.Cause(ctx) == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		x.add("tls", SeverityError, "the connection was closed in the TLS handshake: "+err.Error(),
			"is this the broker's TLS port (5671), and are its certificate and key in order (ssl_options)? Its log says more")
		return
	}
	x.failed(ctx, "tls", err)
}

// loginFailed tells by what was overheard what else than an AMQP broker there is.
func (x *examination) loginFailed(ctx context.Context, err error, peer *overheard) {
	const notAMQP = "name the port of AMQP in the URL: 5672, with amqps 5671 (15672 is the management page)"
	const wantsCertificate = "set cert_file and key_file, made by a CA that the broker trusts (ssl_options.cacertfile)"
	first, end := peer.tell()
	switch {
	case context.Cause(ctx) != nil:
	case bytes.HasPrefix(first, []byte("HTTP/")):
		x.add("login", SeverityError, "an HTTP server answers", notAMQP)
		return
	case len(first) >= 2 && first[0] == 0x15 && first[1] == 0x03: // A TLS alert, RFC 8446, section 5.1.
		x.add("login", SeverityError, "the port speaks TLS", "write amqps:// in place of amqp://, or name the port without TLS")
		return
	case bytes.HasPrefix(first, []byte("AMQP")):
		x.add("login", SeverityError, fmt.Sprintf("the broker speaks another version of AMQP: %q", first[4:]), "it must speak AMQP 0-9-1, as RabbitMQ and LavinMQ do")
		return
	case end != nil && (strings.Contains(end.Error(), "tls: certificate required") || strings.Contains(end.Error(), "tls: bad certificate")):
		x.add("login", SeverityError, "the broker wants a client certificate: "+end.Error(), wantsCertificate)
		return
	case len(first) == 0 && !errors.Is(err, amqp.ErrSASL):
		remedy := notAMQP + "; or is the broker just starting, or its limit of connections reached?"
		if x.broker.uri.Scheme == "amqps" {
			remedy += " If it wants a client certificate: " + wantsCertificate
		}
		x.add("login", SeverityError, "the connection was closed without a word: "+plain(cmp.Or(end, err)), remedy)
		return
	}
	x.failed(ctx, "login", err)
}

// certificates reports what TLS is in use, and which certificate ends first: of the broker's, up to its CA's, and of ours.
func (x *examination) certificates(state tls.ConnectionState, config *tls.Config) {
	now := time.Now()
	broker := state.PeerCertificates[0]
	x.ok("tls", "%s, %s; certificate %s of %s, valid until %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite),
		broker.Subject, broker.Issuer, broker.NotAfter.UTC().Format(time.RFC3339))
	soonest := broker
	for _, chain := range state.VerifiedChains[:1] {
		for _, cert := range chain {
			if cert.NotAfter.Before(soonest.NotAfter) {
				soonest = cert
			}
		}
	}
	if soonest.NotAfter.Sub(now) < expirySoon {
		x.add("tls", SeverityWarning, fmt.Sprintf("the broker's certificate, or its CA's, %s expires at %s", soonest.Subject, soonest.NotAfter.UTC().Format(time.RFC3339)),
			"renew it before then: after that nothing can be published")
	}
	for _, own := range config.Certificates {
		if leaf := own.Leaf; leaf != nil && leaf.NotAfter.Sub(now) < expirySoon {
			x.add("tls", SeverityWarning, fmt.Sprintf("the client certificate %s expires at %s", leaf.Subject, leaf.NotAfter.UTC().Format(time.RFC3339)),
				"renew cert_file before then: the broker refuses it after that; a new file is read at the next connection")
		}
	}
}

// An overheard connection remembers the beginning of what the peer sent, and how it ended. amqp091 keeps neither.
type overheard struct {
	net.Conn

	mu    sync.Mutex
	first []byte
	err   error
}

func (o *overheard) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.first = append(o.first, b[:min(n, 8-len(o.first))]...)
	o.err = cmp.Or(o.err, err)
	return n, err
}

func (o *overheard) tell() (first []byte, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first, o.err
}

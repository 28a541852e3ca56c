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
		x.refused(ctx, "login", context.Cause(ctx))
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
		x.failed("resolve", codeUnresolved, err.Error())
		return false
	}
	x.ok("resolve", "%s is %s", x.broker.uri.Host, strings.Join(addresses, ", "))
	return true
}

func (x *examination) dial(ctx context.Context) *rawConn {
	start := time.Now()
	raw, err := dialRaw(ctx, "tcp", net.JoinHostPort(x.broker.uri.Host, strconv.Itoa(x.broker.uri.Port)), x.cfg.WriteTimeout)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		x.failed("connect", codeRefused, err.Error())
		return nil
	case err != nil:
		x.failed("connect", codeUnreachable, err.Error())
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
		x.failed("tls", codeTLSFiles, err.Error())
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
	x.loggedIn()
	x.ok("vhost", "%s may be used", x.broker.uri.Vhost)
	return conn
}

func (x *examination) loggedIn() {
	if x.cfg.External {
		x.ok("login", "user of the certificate")
		return
	}
	x.ok("login", "user %s", x.broker.uri.Username)
}

func (x *examination) tlsFailed(ctx context.Context, err error) {
	if context.Cause(ctx) != nil {
		x.refused(ctx, "tls", err)
		return
	}
	code, detail := tlsTrouble(err)
	x.failed("tls", code, detail)
}

// tlsTrouble tells why a handshake failed.
func tlsTrouble(err error) (code, detail string) {
	detail = strings.TrimPrefix(err.Error(), "tls: ")
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if bytes.HasPrefix(e.RecordHeader[:], []byte("AMQP")) {
			return codeNoTLS, "it answers in AMQP without TLS"
		}
		return codeNotAMQP, fmt.Sprintf("it answers %q, which is not TLS", e.RecordHeader)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason != x509.Expired {
			return codeUntrusted, detail
		}
		from, to := e.Cert.NotBefore.UTC().Format(time.RFC3339), e.Cert.NotAfter.UTC().Format(time.RFC3339)
		return codeExpired, fmt.Sprintf("%s; it is valid from %s to %s", detail, from, to)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return codeUntrusted, detail
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return codeOtherName, detail
	}
	switch {
	case refusesCertificate(err):
		return codeClientCertificate, detail
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return codeTLSFailed, "the connection was closed in the handshake: " + detail
	}
	return codeTLSFailed, detail
}

// refusesCertificate reports whether err is an alert by which the peer refuses our certificate, or that there is none. With TLS 1.3
// it comes after the handshake. crypto/tls has no type for alerts, RFC 8446, section 6.2.
func refusesCertificate(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error" && strings.Contains(e.Error(), "certificate")
}

// loginFailed tells by what was overheard what else than an AMQP broker there is.
func (x *examination) loginFailed(ctx context.Context, err error, peer *overheard) {
	first, end := peer.tell()
	switch {
	case context.Cause(ctx) != nil:
		x.refused(ctx, "login", err)
	case refusesCertificate(end):
		x.failed("login", codeClientCertificate, end.Error())
	case len(first) == 0:
		x.failed("login", codeClosed, plain(cmp.Or(end, err)))
	case len(first) >= 2 && first[0] == 0x15 && first[1] == 0x03: // A TLS alert, RFC 8446, section 5.1.
		x.failed("login", codeNeedsTLS, "it answers with a TLS alert")
	case bytes.HasPrefix(first, []byte("AMQP")):
		x.failed("login", codeAMQPVersion, fmt.Sprintf("it answers %q", first[:min(len(first), len("AMQP\x00\x00\x09\x01"))]))
	case first[0] != 1: // What a broker says first is a frame with a method.
		line, _, _ := bytes.Cut(first, []byte("\n"))
		x.failed("login", codeNotAMQP, fmt.Sprintf("it answers %q", bytes.TrimSpace(line)))
	default:
		x.notAllowedIn(ctx, err)
	}
}

// notAllowedIn reports what the broker itself has against the login or, after that, the use of the vhost.
func (x *examination) notAllowedIn(ctx context.Context, err error) {
	switch codeOf(err) {
	case codeNoVhost, codeVhostDenied, codeVhostDown, codeLimit:
		x.loggedIn()
		x.refused(ctx, "vhost", err)
	default:
		x.refused(ctx, "login", err)
	}
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
		x.add(Finding{
			Step: "tls", Code: "certificate_expires", Severity: SeverityWarning, Detail: expires(soonest),
			Problem: "the broker's certificate, or its CA's, expires soon", Why: "from then on nothing is published through this broker",
			Remedy: "renew it before (ssl_options.certfile in the broker's rabbitmq.conf); see it: " + x.openssl("-showcerts") + " | openssl x509 -noout -issuer -dates",
		})
	}
	for _, own := range config.Certificates {
		if leaf := own.Leaf; leaf != nil && leaf.NotAfter.Sub(now) < expirySoon {
			x.add(Finding{
				Step: "tls", Code: "client_certificate_expires", Severity: SeverityWarning, Detail: expires(leaf),
				Problem: "the collector's certificate expires soon", Why: "the broker refuses it then, and nothing is published through it",
				Remedy: "renew cert_file of [broker] before; run reads the new file at its next connection",
			})
		}
	}
}

func expires(cert *x509.Certificate) string {
	return fmt.Sprintf("%s expires at %s", cert.Subject, cert.NotAfter.UTC().Format(time.RFC3339))
}

// overhears is how many bytes are enough to tell by who it is that answers.
const overhears = 64

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
	o.first = append(o.first, b[:min(n, overhears-len(o.first))]...)
	o.err = cmp.Or(o.err, err)
	return n, err
}

func (o *overheard) tell() (first []byte, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first, o.err
}

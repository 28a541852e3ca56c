package hosts

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"

	"service_manager/inventory"
)

// What takes longer is worth a warning.
const (
	slowLookup    = 500 * time.Millisecond
	slowHandshake = time.Second // beside the round trips
)

// handshakeTrips is about how many round trips a connection takes before the first command.
const handshakeTrips = 8

// A trace gathers what a connection shows of itself while it comes about, as net/http/httptrace does. A nil trace gathers nothing.
type trace struct {
	target    string
	userKey   ssh.PublicKey
	reached   time.Time
	transport *transport
	hostKey   ssh.PublicKey
}

type traceKey struct{}

// traceOf returns the trace that ctx carries for h, nil for other hosts: the way to one may lead through others.
func traceOf(ctx context.Context, h inventory.Host) *trace {
	t, _ := ctx.Value(traceKey{}).(*trace)
	if t == nil || t.target != target(h) {
		return nil
	}
	return t
}

func (t *trace) offers(key ssh.PublicKey) {
	if t != nil {
		t.userKey = key
	}
}

func (t *trace) reaches(over *transport) {
	if t != nil {
		t.reached, t.transport = time.Now(), over
	}
}

// received is how many bytes the connection has received, SSH's own included.
func (t *trace) received() int64 { return t.transport.total.Load() }

// greeting is the line in which the server named itself, of a handshake that failed later.
func (t *trace) greeting() (string, bool) {
	if t.transport == nil || t.hostKey == nil {
		return "", false
	}
	line, _, whole := strings.Cut(string(t.transport.greeting()), "\n")
	return line, whole && strings.HasPrefix(line, "SSH-")
}

func (t *trace) shows(key ssh.PublicKey) {
	if t != nil {
		t.hostKey = key
	}
}

// connect looks the address up beside connecting, so that each has the time it has in a poll.
func (e *examination) connect(ctx context.Context) bool {
	e.trace = &trace{target: target(e.host)}
	var (
		started = time.Now()
		lookup  lookup
		looking conc.WaitGroup
	)
	looking.Go(func() { lookup = look(ctx, e.host) })
	c, err := e.pool.connect(context.WithValue(ctx, traceKey{}, e.trace), e.host)
	took := time.Since(started)
	looking.Wait()
	e.resolved(lookup)
	e.reached(started)
	if err != nil {
		if greeting, ok := e.trace.greeting(); ok {
			e.server(greeting)
		}
		e.failed(e.failedStep(err), at(e.host, err))
		return false
	}
	e.conn = c
	e.server(string(c.ssh.ServerVersion()))
	e.hostKey()
	e.algorithms()
	e.authenticated()
	e.handshake = took - e.trace.reached.Sub(started)
	return true
}

// failedStep is the step of connecting that err belongs to.
func (e *examination) failedStep(err error) string {
	switch outcome := OutcomeOf(err); {
	case outcome == HostKeyUnknown || outcome == HostKeyChanged:
		return "host key"
	case outcome == AuthFailed || outcome == Denied:
		return "authentication"
	case e.trace.reached.IsZero():
		return "connect"
	case e.trace.hostKey != nil:
		return "authentication"
	}
	return "handshake"
}

// A lookup is how an address was resolved.
type lookup struct {
	by        string // the jump host that does it; empty: this machine
	literal   bool
	addresses []netip.Addr
	took      time.Duration
	err       error
}

func look(ctx context.Context, h inventory.Host) lookup {
	if _, err := netip.ParseAddr(h.Address); err == nil {
		return lookup{literal: true}
	}
	if h.Via != nil {
		return lookup{by: h.Via.Name}
	}
	started := time.Now()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", h.Address)
	return lookup{addresses: addresses, err: err, took: time.Since(started)}
}

// resolved tells about the lookup. That it failed is told by the connection, which failed with it.
func (e *examination) resolved(l lookup) {
	words := make([]string, len(l.addresses))
	for i, a := range l.addresses {
		words[i] = a.Unmap().String()
	}
	all := strings.Join(words, ", ")
	switch {
	case l.err != nil:
	case l.literal:
		e.ok("resolve", "%s is an address, nothing to resolve", e.host.Address)
	case l.by != "":
		e.ok("resolve", "%s is resolved by the jump host %s", e.host.Address, l.by)
	case l.took > slowLookup:
		e.add(Finding{
			Step: "resolve", Code: "slow_dns", Severity: SeverityWarning,
			Detail:  fmt.Sprintf("%s took %s to resolve to %s", e.host.Address, brief(l.took), all),
			Problem: "the name server answers slowly",
			Why:     "every new connection waits for it, and it counts towards connect_timeout",
			Remedy:  "mend the first nameserver in /etc/resolv.conf, or run a caching one, or write the IP address as the host's address",
		})
	case len(l.addresses) > 1:
		e.add(Finding{
			Step: "resolve", Code: "several_addresses", Severity: SeverityNote, Detail: fmt.Sprintf("%s is %s", e.host.Address, all),
			Problem: "the name stands for several addresses",
			Why:     "they are tried in turn; if they are different machines, polls read now one, now the other",
			Remedy:  "if they are, give each host an address of its own",
		})
	default:
		e.ok("resolve", "%s is %s, in %s", e.host.Address, all, brief(l.took))
	}
}

// reached tells about the TCP connection, if there was one.
func (e *examination) reached(started time.Time) {
	if e.trace.reached.IsZero() {
		return
	}
	took := brief(e.trace.reached.Sub(started))
	if e.host.Via != nil {
		e.ok("connect", "through %s in %s, its own connection included", e.host.Via.Name, took)
		return
	}
	e.ok("connect", "%s in %s", e.trace.transport.RemoteAddr(), took)
}

// server tells how the SSH server names itself.
func (e *examination) server(version string) {
	version = strings.TrimPrefix(strings.TrimPrefix(oneLine(version, 100), "SSH-2.0-"), "SSH-1.99-")
	e.report.Server = version
	major, minor, ok := opensshVersion(version)
	switch {
	case !ok:
		e.add(Finding{
			Step: "server", Code: "not_openssh", Severity: SeverityNote, Detail: version, Problem: "the SSH server is not OpenSSH",
			Why: "what is said here of sshd's limits need not be true of it",
		})
	case major < 7 || major == 7 && minor < 4:
		e.add(Finding{
			Step: "server", Code: "old_openssh", Severity: SeverityWarning, Detail: version,
			Problem: "this OpenSSH is older than any distribution maintains",
			Why:     "before 7.2 it knows neither rsa-sha2 signatures nor restrict in authorized_keys, and its holes are public",
			Remedy:  "upgrade the host's system",
		})
	default:
		e.ok("server", "%s", version)
	}
}

// opensshVersion reads the version number from OpenSSH's name for itself.
func opensshVersion(server string) (major, minor int, ok bool) {
	n, err := fmt.Sscanf(server, "OpenSSH_%d.%d", &major, &minor)
	return major, minor, err == nil && n == 2
}

// hostKey tells which key the host showed, and why it is trusted.
func (e *examination) hostKey() {
	key := e.trace.hostKey
	detail := fmt.Sprintf("%s %s, in known_hosts", key.Type(), ssh.FingerprintSHA256(key))
	if certificate, ok := key.(*ssh.Certificate); ok {
		detail = fmt.Sprintf("%s %s, signed by a CA in known_hosts (%s)", certificate.Key.Type(), ssh.FingerprintSHA256(certificate.Key),
			ssh.FingerprintSHA256(certificate.SignatureKey))
		e.certificate("host key", detail, certificate, "when it has expired, the host cannot be read any more",
			"sign the host's key anew with the CA: ssh-keygen -s CA -h -n NAMES -V +52w /etc/ssh/ssh_host_ed25519_key.pub")
		return
	}
	bits := rsaBits(key)
	switch {
	case bits > 0 && bits < 2048:
		e.add(Finding{
			Step: "host key", Code: "weak_host_key", Severity: SeverityWarning, Detail: fmt.Sprintf("%s, %d bits", detail, bits),
			Problem: "the host's key is short enough to be forged", Why: "who forges it can stand between and read as the collector",
			Remedy: "on the host: sudo ssh-keygen -A, and remove the old key; then: service_manager trust --replace {selector}",
		})
	case bits > 0:
		e.add(Finding{
			Step: "host key", Code: "rsa_host_key", Severity: SeverityNote, Detail: fmt.Sprintf("%s, %d bits", detail, bits),
			Problem: "known_hosts has only an RSA key of it",
			Why:     "signing with it costs the host more than all the rest of a connection; systems drop RSA step by step",
			Remedy: fmt.Sprintf("if it has an ed25519 key too (else on the host: sudo ssh-keygen -A): ssh-keygen -R %s -f %s; then: "+
				"service_manager trust {selector}", quote(KnownHostsName(e.host).String()), quote(KnownHostsFiles(e.host)[0])),
		})
	default:
		e.ok("host key", "%s", detail)
	}
}

func rsaBits(key ssh.PublicKey) int {
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok {
			return r.N.BitLen()
		}
	}
	return 0
}

// expiresSoon is how long before its end a certificate is worth a warning, of a short-lived one in the last tenth of its life.
const expiresSoon = 14 * 24 * time.Hour

// certificate tells about an OpenSSH certificate.
func (e *examination) certificate(step, detail string, c *ssh.Certificate, why, remedy string) {
	if c.ValidBefore == ssh.CertTimeInfinity {
		e.ok(step, "%s, valid for ever", detail)
		return
	}
	now := uint64(time.Now().Unix())           //nolint:gosec // G115: not negative.
	ends := time.Unix(int64(c.ValidBefore), 0) //nolint:gosec // G115: wraps after the year 292 billion.
	detail = fmt.Sprintf("%s, valid until %s", detail, ends.UTC().Format(time.RFC3339))
	if c.ValidBefore < now+min((c.ValidBefore-c.ValidAfter)/10, uint64(expiresSoon/time.Second)) {
		e.add(Finding{
			Step: step, Code: "certificate_expires", Severity: SeverityWarning, Detail: detail, Problem: "a certificate is about to expire",
			Why: why, Remedy: remedy,
		})
		return
	}
	e.ok(step, "%s", detail)
}

// algorithms tells what was negotiated.
func (e *examination) algorithms() {
	negotiated, ok := e.conn.ssh.(ssh.AlgorithmsConnMetadata)
	if !ok {
		return
	}
	a := negotiated.Algorithms()
	e.ok("algorithms", "%s, %s, %s", a.KeyExchange, a.HostKey, a.Read.Cipher)
}

// authenticated tells who logged in and with what.
func (e *examination) authenticated() {
	key := e.trace.userKey
	detail := "user " + e.host.SSH.User
	if key != nil {
		detail += fmt.Sprintf(", %s %s", key.Type(), ssh.FingerprintSHA256(key))
	}
	if certificate, ok := key.(*ssh.Certificate); ok {
		e.certificate("authentication", detail, certificate, "when it has expired, no host that trusts its CA lets the collector in",
			"have the CA sign the collector's key again; the file is read again when it changes")
	} else {
		e.ok("authentication", "%s", detail)
	}
}

// slowLogin warns of a handshake that took longer than the way there explains.
func (e *examination) slowLogin() {
	explained := time.Duration(handshakeTrips) * e.report.RoundTrip
	if e.handshake < explained+slowHandshake {
		return
	}
	e.add(Finding{
		Step: "authentication", Code: "slow_login", Severity: SeverityWarning,
		Detail: fmt.Sprintf("handshake and login took %s, of which the round trips explain %s; connecting may take %v",
			brief(e.handshake), brief(explained), e.host.ConnectTimeout),
		Problem: "logging in is slow",
		Why:     "connections come close to connect_timeout, and fail when the host is busy",
		Remedy: "in the host's sshd_config: UseDNS no, GSSAPIAuthentication no; look at its PAM modules and directory service (sssd, ldap); " +
			"or raise connect_timeout in [collector]",
	})
}

// brief is a duration as a person reads it.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
}

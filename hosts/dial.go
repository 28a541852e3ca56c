package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"service_manager/inventory"
)

// connect dials h and ends with an authenticated connection, or with an [Error], before ctx ends.
func (p *Pool) connect(ctx context.Context, h inventory.Host) (*conn, error) {
	signer, err := p.signers.load(ctx, h.SSH)
	if err != nil {
		return nil, &Error{Outcome: AuthFailed, Err: err, own: true}
	}
	trace := traceOf(ctx, h)
	trace.offers(signer.PublicKey())
	known, err := p.hostKeys.open(h.SSH.KnownHosts)
	if err != nil {
		return nil, &Error{Outcome: HostKeyUnknown, Err: err, own: true}
	}
	p.counts.dials.Add(1)
	raw, err := p.reach(ctx, h)
	if err != nil {
		return nil, err
	}
	t := &transport{Conn: raw}
	trace.reaches(t)
	stop := context.AfterFunc(ctx, t.abort)
	hs := handshake{host: h, transport: t, began: time.Now(), trace: trace}
	client, chans, reqs, err := ssh.NewClientConn(t, lookupAddress(h), hs.config(signer, known))
	if err != nil {
		stop()
		return nil, hs.explain(ctx, err)
	}
	c := newConn(t, client, chans, reqs, p)
	if !stop() {
		c.close()
		return nil, hs.explain(ctx, context.Cause(ctx))
	}
	return c, nil
}

// A handshake gathers what it takes to explain how it failed; golang.org/x/crypto/ssh tells most of it only as text.
type handshake struct {
	host      inventory.Host
	transport *transport
	began     time.Time
	trace     *trace // nil: no one wants to know
	keyError  *Error // the host key was refused
	keyPassed bool   // the host key was accepted: what follows is authentication
	banner    string // what sshd said to the user before authentication (sshd_config(5), Banner)
	auth      authTrail
}

func (hs *handshake) config(signer ssh.Signer, known *knownHosts) *ssh.ClientConfig {
	check := known.check(hs.host)
	hs.auth.offered = signer.PublicKey()
	return &ssh.ClientConfig{
		User: hs.host.SSH.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		// Never a method of its own: it only notes what sshd says.
		AuthCallback: hs.auth.note,
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			hs.trace.shows(key)
			err := check(name, remote, key)
			if err != nil {
				hs.keyError, _ = errors.AsType[*Error](err)
				return err
			}
			hs.keyPassed = true
			return nil
		},
		HostKeyAlgorithms: known.algorithms(hs.host),
		ClientVersion:     "SSH-2.0-service_manager",
		BannerCallback: func(message string) error {
			hs.banner = oneLine(message, 200)
			return nil
		},
	}
}

// explain names the outcome of a handshake that failed with err.
func (hs *handshake) explain(ctx context.Context, err error) *Error {
	switch cause := context.Cause(ctx); {
	case hs.keyError != nil:
		return hs.keyError
	case errors.Is(cause, context.Canceled):
		return fail(Timeout, "the handshake was interrupted: %w", cause)
	case refused(err):
		return hs.explainAuth(err)
	case cause != nil:
		return hs.explainLate()
	}
	if lost := hs.transport.lostWay(err); lost != nil {
		return lost
	}
	if _, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return fail(ProtocolError, "%w; this sshd is too old, or restricted, for the algorithms that are safe today", err)
	}
	if hs.keyPassed && closed(err) {
		return fail(Denied, "sshd hung up during authentication%s; look into its log: is the account locked, expired, or kept out by pam_nologin?",
			optional(" and said: ", hs.banner))
	}
	return hs.explainGreeting(err)
}

func (hs *handshake) explainLate() *Error {
	took := since(hs.began)
	switch {
	case hs.keyPassed:
		return fail(Timeout, "authentication was not finished within %v of connecting", took)
	case len(hs.transport.greeting()) == 0:
		return fail(Timeout, "TCP connected, but no SSH banner came within %v; sshd, or the host, may hang", took)
	}
	return fail(Timeout, "the SSH handshake was not finished within %v", took)
}

// explainGreeting tells by the server's first bytes an sshd that refuses us from one that is none.
func (hs *handshake) explainGreeting(err error) *Error {
	greeting := hs.transport.greeting()
	switch {
	case len(greeting) == 0 && closed(err):
		return fail(Throttled, "sshd hung up before its banner: too many connections at once (MaxStartups), or a penalty for this address (PerSourcePenalties): %w", err)
	case bytes.Contains(greeting, []byte("Not allowed at this time")), bytes.Contains(greeting, []byte("Exceeded MaxStartups")):
		return fail(Throttled, "sshd refused this address: %q (sshd_config(5): MaxStartups, PerSourcePenalties)", oneLine(string(greeting), 100))
	case !bytes.Contains(greeting, []byte("SSH-")):
		return fail(ProtocolError, "no SSH server: it greets with %q: %w", oneLine(string(greeting), 60), err)
	}
	return fail(ProtocolError, "%w", err)
}

// closed reports whether err says that the peer closed the connection.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// oneLine makes what a host said fit into an error: one line of at most limit bytes, without control characters, which would
// otherwise reach a terminal.
func oneLine(s string, limit int) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "�")
	long := len(s) > limit
	if long {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
	if long {
		s += "…"
	}
	return s
}

func optional(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// target names a host's SSH endpoint in errors.
func target(h inventory.Host) string {
	return fmt.Sprintf("%s@%s", h.SSH.User, net.JoinHostPort(h.Address, strconv.Itoa(h.SSH.Port)))
}

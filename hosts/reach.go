package hosts

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"service_manager/inventory"
)

// reach opens the byte stream to h's sshd. The error is an [Error].
func (p *Pool) reach(ctx context.Context, h inventory.Host) (net.Conn, error) {
	if h.Via != nil {
		return p.jumps.tunnel(ctx, h)
	}
	dial := p.dial
	if dial == nil {
		dial = dialer(h.SSH.Keepalive).DialContext
	}
	raw, err := dial(ctx, "tcp", net.JoinHostPort(h.Address, strconv.Itoa(h.SSH.Port)))
	if err != nil {
		return nil, dialError(ctx, err)
	}
	return raw, nil
}

// dialError names the outcome of a TCP connection that did not come about.
func dialError(ctx context.Context, err error) *Error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return fail(Unreachable, "connecting was interrupted: %w", cause)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return fail(Unreachable, "no address found for %s: %w; is the name in DNS or /etc/hosts? Else set the host's address", dns.Name, err)
		}
		return fail(Unreachable, "resolving %s: %w", dns.Name, err)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(Unreachable, "connection refused: %w; is sshd running there, and on this port?", err)
	case isTimeout(err):
		return fail(Unreachable, "no answer to the TCP connection: %w; is the host up, and does a firewall drop the port?", err)
	}
	return fail(Unreachable, "connecting: %w", err)
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// dialer is what connects where [Config.Dial] is not set. The keepalives end a connection whose peer vanished, after an idle time and
// 15 s, the user timeout (tcp(7)) one that vanished in the middle of a write, which no deadline reaches. With an idle time of 0 there
// are no keepalives.
func dialer(idle time.Duration) *net.Dialer {
	return &net.Dialer{
		KeepAlive:       -1, // None, unless the next line says else.
		KeepAliveConfig: net.KeepAliveConfig{Enable: idle > 0, Idle: idle, Interval: 5 * time.Second, Count: 3},
		Control:         limitUnacknowledged,
	}
}

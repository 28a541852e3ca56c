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
	raw, err := p.dial(ctx, "tcp", net.JoinHostPort(h.Address, strconv.Itoa(h.SSH.Port)))
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

// defaultDial is [Config.Dial] unless another is set. Keepalives and the user timeout (tcp(7)) end a connection whose
// peer vanished, also in the middle of a write, which no deadline reaches.
func defaultDial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         limitUnacknowledged,
	}
	return dialer.DialContext(ctx, network, address)
}

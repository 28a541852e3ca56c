package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/inventory"
)

// patience is how long a jump host may be silent about a tunnel before it is asked whether it lives at all.
const patience = time.Second

// A jumpConn is one connection to a jump host. Its fields are guarded by jumps.mu.
type jumpConn struct {
	jump      *jump
	conn      *conn
	tunnels   int       // channels that have not ended, and openings
	live      int       // those of them that someone wants
	idleSince time.Time // when live was last 0
}

// own waits for the end of the connection: that it breaks, that no one has used it for a while, or that the pool is closed.
func (c *jumpConn) own() {
	timer := time.NewTimer(jumpIdle)
	defer timer.Stop()
	for idle := false; !idle; {
		select {
		case <-timer.C:
			var left time.Duration
			left, idle = c.retireIdle()
			timer.Reset(left)
			continue
		case <-c.conn.done:
		case <-c.jump.jumps.closing.Done():
		}
		break
	}
	c.retire()
	c.conn.close()
}

// retireIdle retires the connection if it was idle long enough, else it says when that may be.
func (c *jumpConn) retireIdle() (time.Duration, bool) {
	j := c.jump.jumps
	j.mu.Lock()
	defer j.mu.Unlock()
	if c.live > 0 {
		return jumpIdle, false
	}
	left := time.Until(c.idleSince.Add(jumpIdle))
	if left > 0 {
		return left, false
	}
	c.leaveJump()
	return 0, true
}

// retire sees that no tunnel is opened on the connection any more.
func (c *jumpConn) retire() {
	j := c.jump.jumps
	j.mu.Lock()
	defer j.mu.Unlock()
	c.leaveJump()
}

func (c *jumpConn) leaveJump() {
	c.jump.conns = slices.DeleteFunc(c.jump.conns, func(other *jumpConn) bool { return other == c })
}

func (c *jumpConn) addLive(change int) {
	if c.live += change; c.live == 0 {
		c.idleSince = time.Now()
	}
}

func (c *jumpConn) addTunnels(change int) {
	c.tunnels += change
	c.conn.transport.bound.Store(idleBytes + int64(c.tunnels)*tunnelBytes)
	c.jump.jumps.counts.tunnels.Add(int64(change))
}

// An opening is a tunnel that the jump host was asked for. golang.org/x/crypto/ssh cannot take that back, and OpenSSH answers only
// when its own attempt to connect has ended, which takes over 2 minutes where packets are dropped (tcp(7), tcp_syn_retries).
type opening struct {
	via  *jumpConn
	to   address
	key  string // in jump.opening
	done chan struct{}

	wanted bool // someone waits for it
	over   bool // done is closed; what follows is set
	tunnel *tunnel
	err    error
}

func openingKey(h inventory.Host) string { return h.Name + " " + target(h) }

// open begins to open a tunnel to h. The caller holds the lock.
func (c *jumpConn) open(h inventory.Host) *opening {
	o := &opening{
		via: c, to: address{h.Address, h.SSH.Port}, key: openingKey(h),
		done: make(chan struct{}), wanted: true,
	}
	c.addTunnels(+1)
	c.addLive(+1)
	c.jump.opening[o.key] = o
	if !c.conn.serve(o.run) {
		o.end(nil, fmt.Errorf("%w: it was closed", errLost))
	}
	return o
}

func (o *opening) run() {
	t, err := o.via.dialTarget(o.to)
	j := o.via.jump.jumps
	j.mu.Lock()
	o.end(t, err)
	unwanted := t != nil && !o.wanted
	if unwanted {
		o.via.addLive(+1) // Until its end, as any tunnel.
	}
	j.mu.Unlock()
	if unwanted {
		_ = t.Close() // A pipe's end.
	}
}

// end notes what came of the opening. The caller holds the lock.
func (o *opening) end(t *tunnel, err error) {
	o.tunnel, o.err, o.over = t, err, true
	delete(o.via.jump.opening, o.key)
	if err != nil {
		if o.wanted {
			o.via.addLive(-1)
		}
		o.via.addTunnels(-1)
	}
	if errors.Is(err, errLost) {
		o.via.leaveJump()
	}
	close(o.done)
}

// want notes whether someone waits. The caller holds the lock.
func (o *opening) want(wanted bool) {
	o.wanted = wanted
	if wanted {
		o.via.addLive(+1)
	} else {
		o.via.addLive(-1)
	}
}

// wait waits for the tunnel until ctx ends, and then leaves it to a later call. A jump host that is silent about it, and does not
// answer a probe either, loses its connection with all its tunnels. The error is the cause of ctx, wraps [errLost], or is sshd's refusal.
func (o *opening) wait(ctx context.Context) (*tunnel, error) {
	silent := time.NewTimer(patience)
	defer silent.Stop()
	var alive error
	select {
	case <-o.done:
	case <-ctx.Done():
	case <-silent.C:
		alive = o.via.conn.probe(ctx)
		select {
		case <-o.done:
		case <-ctx.Done():
		}
	}
	j := o.via.jump.jumps
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case !o.over && alive == nil:
		o.want(false)
		return nil, context.Cause(ctx)
	case !o.over:
		o.want(false)
		return nil, fmt.Errorf("%w: %w", errSilent, context.Cause(ctx))
	}
	return o.tunnel, o.err
}

// explain names the outcome of a tunnel that did not come about.
func (o *opening) explain(ctx context.Context, err error, took time.Duration) *Error {
	name := o.via.jump.host.Name
	refused, ok := errors.AsType[*ssh.OpenChannelError](err)
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return fail(Unreachable, "connecting through its jump host %s was interrupted: %w", name, context.Cause(ctx))
	case errors.Is(err, errSilent):
		return fail(Unreachable, "its jump host %s does not answer: %w", name, err)
	case errors.Is(err, errLost): // By whoever's hand: its own, or that of another opening, to which it did not answer.
		return fail(Unreachable, "the connection to its jump host %s broke, or it does not answer: %w", name, err)
	case !ok:
		return fail(Unreachable, "its jump host %s answers, but had no connection to the host within %v; is the host up, and does a firewall "+
			"drop the port?", name, took)
	}
	said, advice := oneLine(refused.Message, 100), ""
	if strings.Contains(said, "refused") {
		advice = "; is sshd running there, and on this port?"
	}
	switch refused.Reason {
	case ssh.Prohibited:
		return fail(Unreachable, "its jump host %s does not allow forwarding to it (%s); look there at AllowTcpForwarding and PermitOpen in "+
			"sshd_config, and at restrict and permitopen in authorized_keys", name, said)
	case ssh.ConnectionFailed:
		return fail(Unreachable, "its jump host %s could not connect to it: %s%s", name, said, advice)
	case ssh.ResourceShortage:
		return fail(Unreachable, "its jump host %s has no resources left for another connection: %s", name, said)
	default:
		return fail(Unreachable, "its jump host %s opened no connection to it: %s (%s)", name, said, oneLine(refused.Reason.String(), 40))
	}
}

// dialTarget asks the jump host for a connection to a host (RFC 4254, section 7.2).
func (c *jumpConn) dialTarget(to address) (*tunnel, error) {
	channel, requests, err := c.conn.ssh.OpenChannel("direct-tcpip", ssh.Marshal(struct {
		Host       string
		Port       uint32
		Originator string
		OriginPort uint32
	}{to.host, uint32(to.port), "127.0.0.1", 0})) //nolint:gosec // G115: a port.
	if err != nil {
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			return nil, refused
		}
		return nil, fmt.Errorf("%w: opening a tunnel: %w", errLost, err)
	}
	near, far := net.Pipe()
	carry := func(f func()) {
		if !c.conn.serve(f) { // It is being closed.
			_ = near.Close() // A pipe's end. Nobody reads there yet, so that f would wait for ever.
			f()
		}
	}
	// sshd probes a client on whatever channel is open (sshd_config(5), ClientAliveInterval).
	carry(func() {
		ssh.DiscardRequests(requests) // It ends with the channel.
		c.ended(-1, 0)
	})
	carry(func() {
		_, _ = io.CopyBuffer(far, wanted{channel, c.conn.transport}, make([]byte, 4<<10)) // However it ends, it ends the tunnel.
		_ = far.Close()                                                                   // A pipe's end.
	})
	carry(func() {
		_, _ = io.CopyBuffer(channel, far, make([]byte, 4<<10)) // As above.
		c.ended(0, -1)
		_ = far.Close()     // As above.
		_ = channel.Close() // It may block, and is of no use on a connection that is gone.
	})
	return &tunnel{Conn: near, via: c, to: to, channel: channel}, nil
}

func (c *jumpConn) ended(tunnels, live int) {
	j := c.jump.jumps
	j.mu.Lock()
	defer j.mu.Unlock()
	c.addTunnels(tunnels)
	c.addLive(live)
}

// wanted tells the transport below what of its bytes a tunnel has passed on.
type wanted struct {
	io.Reader
	transport *transport
}

func (w wanted) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	w.transport.passedOn(n)
	return n, err
}

// A tunnel is a byte stream through a jump host: one end of a pipe, the other end of which two jobs of the connection to
// the jump host copy from and to a channel. A channel knows no deadlines, and its Close waits while the connection does; a pipe's
// end closes at once, and frees who reads and writes.
type tunnel struct {
	net.Conn
	via     *jumpConn
	to      address
	channel ssh.Channel
	closed  sync.Once
}

// Close ends the channel too, without waiting for it: what writes to it may wait for a jump host that takes no more.
func (t *tunnel) Close() error {
	t.closed.Do(func() {
		_ = t.Conn.Close()                                 // A pipe's end.
		t.via.conn.serve(func() { _ = t.channel.Close() }) // As where it is copied to.
	})
	return nil
}

// RemoteAddr is the host's address, as the jump host was given it.
func (t *tunnel) RemoteAddr() net.Addr { return t.to }

// lost reports whether the connection to the jump host is gone. It is called when the tunnel broke, and gives golang.org/x/crypto/ssh
// a moment to end all of the connection: it ends the channels first.
func (t *tunnel) lost() bool {
	moment := time.NewTimer(100 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-t.via.conn.done:
		return true
	case <-moment.C:
		return false
	}
}

// An address is where a tunnel leads, by a name that only the jump host may know.
type address struct {
	host string
	port int
}

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

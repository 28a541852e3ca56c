package publish

import (
	"context"
	"net"
	"sync"
	"time"
)

// mostHeld is how many bytes a rawConn holds back at most.
const mostHeld = 64 << 10

// rawConn is the socket under AMQP and TLS. amqp091 sets no write deadline, and cannot close a connection while a publish is stuck in
// a write to it: only the owner of the socket can. And it writes each message to the socket by itself, which costs both sides more than the
// rest of it: where there are several, they are held back, to be written at once.
type rawConn struct {
	net.Conn
	timeout time.Duration
	unwatch func() bool // Ends that the dial's context closes the socket; false when it has.

	mu      sync.Mutex
	holding bool
	held    []byte
	broken  error // Of a write: what comes behind a part of a frame would be no frame.
}

func dialRaw(ctx context.Context, network, addr string, writeTimeout time.Duration) (*rawConn, error) {
	d := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	raw := &rawConn{Conn: conn, timeout: writeTimeout}
	raw.unwatch = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return raw, nil
}

// Write implements [net.Conn] with a deadline for each write. While they are held back it only takes them in, and tells of no error.
func (c *rawConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holding && len(c.held)+len(b) <= mostHeld {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.write(b)
}

// hold has writes held back until release. Whoever calls it must not wait for an answer before that.
func (c *rawConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = true
}

// release writes what was held back.
func (c *rawConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = false
	return c.flush()
}

func (c *rawConn) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.write(c.held)
	c.held = c.held[:0]
	return err
}

func (c *rawConn) write(b []byte) (n int, err error) {
	if c.broken != nil {
		return 0, c.broken
	}
	if c.broken = c.SetWriteDeadline(time.Now().Add(c.timeout)); c.broken == nil {
		n, c.broken = c.Conn.Write(b)
	}
	return n, c.broken
}

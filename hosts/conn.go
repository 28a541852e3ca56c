package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/panics"
	"golang.org/x/crypto/ssh"
)

// probeLimit is how long a peer may take to show that it lives.
const probeLimit = 2 * time.Second

var (
	// errLost says that the connection broke, by whoever's hand, while something was under way on it.
	errLost = errors.New("connection lost")
	// errSilent says that the connection was given up because the peer did not answer a probe.
	errSilent = errors.New("no answer to a probe")
)

// A conn is one SSH connection. One goroutine of its own answers the server's requests, which would otherwise fill
// golang.org/x/crypto/ssh's queues and stall the connection. Its calls, which know no context, are jobs of the pool's crew. All end when the
// connection does.
type conn struct {
	transport *transport
	ssh       ssh.Conn
	pool      *Pool
	done      chan struct{} // closed when the connection is gone

	// Of whoever has the turn of the host.
	stream         *stream // nil when there is none
	streamFailed   bool    // since the last command that was not of a stream
	streamFailures int     // in a row

	mu      sync.Mutex
	served  sync.WaitGroup
	closing bool          // served takes no more
	gone    bool          // done is closed
	gauge   *atomic.Int64 // counts this connection while it is not gone
	probing *probe        // the one under way
	used    bool          // a session was opened on it
	broken  error         // the panic that ended it
	stuck   int           // sessions that were left and have not ended
	full    time.Time     // since when they are as many as may be
}

func newConn(t *transport, client ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request, pool *Pool) *conn {
	t.allow(idleBytes)
	c := &conn{transport: t, ssh: client, pool: pool, done: make(chan struct{})}
	c.served.Add(1)
	go c.attend(func() { // Not of the crew's: it lasts, and wants no stack that has grown.
		refuse(chans, reqs)
		c.mu.Lock()
		c.gone = true
		if c.gauge != nil {
			c.gauge.Add(-1)
		}
		c.mu.Unlock()
		close(c.done)
	})
	return c
}

// refuse turns down what the server asks of us, keepalives included, whose answer may be a refusal, until the connection is gone.
func refuse(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	for chans != nil || reqs != nil {
		select {
		case channel, ok := <-chans:
			if !ok {
				chans = nil
				continue
			}
			_ = channel.Reject(ssh.Prohibited, "") // A connection that cannot carry the refusal ends this loop.
		case request, ok := <-reqs:
			if !ok {
				reqs = nil
				continue
			}
			if request.WantReply {
				_ = request.Reply(false, nil) // As above.
			}
		}
	}
}

// serve has f done by the pool's crew, unless the connection is being closed, and has that wait for it. f must end when the connection does.
func (c *conn) serve(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serveLocked(f)
}

// serveLocked is serve for who holds the lock.
func (c *conn) serveLocked(f func()) bool {
	if c.closing {
		return false
	}
	c.served.Add(1)
	c.pool.work.Do(func() { c.attend(f) })
	return true
}

// beside has f done at the same time, and returns what waits for that. Who calls it is done himself by serve, so that the connection, also
// one that is being closed, waits for both.
func (c *conn) beside(f func()) (wait func()) {
	ended := make(chan struct{})
	c.served.Add(1)
	c.pool.work.Do(func() {
		c.attend(func() {
			defer close(ended)
			f()
		})
	})
	return func() { <-ended }
}

// attend ends the connection when f panics: whatever waits for f then learns that from the connection.
func (c *conn) attend(f func()) {
	defer c.served.Done()
	if panicked := panics.Try(f); panicked != nil {
		c.mu.Lock()
		c.broken = panicked.AsError()
		c.mu.Unlock()
		c.transport.abort()
	}
}

// count lets n count the connection for as long as it stands.
func (c *conn) count(n *atomic.Int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.gauge = n
		n.Add(1)
	}
}

// alive reports whether the connection stood when last heard of.
func (c *conn) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// explainEnd says why the connection broke while nothing was under way on it.
func (c *conn) explainEnd() *Error {
	c.mu.Lock()
	broken := c.broken
	c.mu.Unlock()
	switch {
	case broken != nil:
		return fail(ProtocolError, "%w: %w", ErrNotConnected, broken)
	case c.transport.flooded.Load():
		return fail(ProtocolError, "%w: %w, and without being asked", ErrNotConnected, errFlood)
	}
	if lost := c.transport.lostWay(io.EOF); lost != nil {
		lost.Err = fmt.Errorf("%w: %w", ErrNotConnected, lost.Err)
		return lost
	}
	return fail(ProtocolError, "%w: sshd, or something on the way, ended the connection after the login", ErrNotConnected)
}

// close ends the connection without waiting for the peer.
func (c *conn) close() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.transport.abort()
	c.served.Wait()
}

// A probe is a request under way that only wants an answer.
type probe struct {
	ended chan struct{}
	err   error // once ended
}

// probe asks the peer for a sign of life, and waits for it until ctx ends. Requests are answered one after the other, so all who
// ask at the same time share one. When the answer has not come within probeLimit the connection is aborted, whoever still
// waits: nothing else frees a call of golang.org/x/crypto/ssh. The error is the cause of ctx, or says that the connection is gone.
func (c *conn) probe(ctx context.Context) error {
	c.mu.Lock()
	p := c.probing
	if p == nil {
		p = &probe{ended: make(chan struct{})}
		if !c.serveLocked(func() { c.send(p) }) {
			c.mu.Unlock()
			return fmt.Errorf("%w: it was closed", errLost)
		}
		c.probing = p
	}
	c.mu.Unlock()
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *conn) send(p *probe) {
	defer func() {
		c.mu.Lock()
		c.probing = nil
		c.mu.Unlock()
		close(p.ended)
	}()
	late := time.AfterFunc(probeLimit, c.transport.abort)
	_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil) // Refused or not, it is an answer.
	if !late.Stop() {
		p.err = fmt.Errorf("%w within %v", errSilent, probeLimit)
	} else if err != nil {
		p.err = fmt.Errorf("%w: sending a probe: %w", errLost, err)
	}
}

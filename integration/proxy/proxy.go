// Package proxy is a TCP proxy that fails on purpose, for tests of what stands between two programs: it cuts, freezes, swallows and refuses.
package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
)

// Mode is what the proxy does with connections.
type Mode int

// The modes.
const (
	// Forward passes everything on.
	Forward Mode = iota
	// Freeze reads nothing: the senders' buffers fill and their writes block, as if the far process were stopped. Nothing is lost.
	Freeze
	// Blackhole reads and discards. The stream then has a hole, so that going back to Forward resets the connections that it swallowed from.
	Blackhole
	// Refuse resets the connections there are and every new one.
	Refuse
	// Slow passes on SlowPiece bytes at most every SlowEvery, in each direction of each connection: what is sent is late, and more waits
	// for it. Nothing is lost.
	Slow
)

// What the mode Slow lets through: 80 KiB/s, each piece a tenth of a second late.
const (
	SlowPiece = 8 << 10
	SlowEvery = 100 * time.Millisecond
)

// Proxy forwards TCP connections to a target. Its methods may be called concurrently.
type Proxy struct {
	target   string
	listener net.Listener
	wg       conc.WaitGroup

	mu      sync.Mutex
	mode    Mode
	changed chan struct{} // Closed at every change of mode.
	conns   []*pair
	total   int
}

// A pair is a connection through the proxy.
type pair struct {
	client, server net.Conn
	swallowed      bool // Guarded by Proxy.mu.
}

// Listen starts a proxy to target, "host:port", on a free port of loopback.
func Listen(target string) (*Proxy, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: l, changed: make(chan struct{})}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the address to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Total returns how many connections have been accepted so far.
func (p *Proxy) Total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// SetMode changes what happens to present and future connections.
func (p *Proxy) SetMode(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	for _, c := range p.conns {
		if m == Refuse || m != Blackhole && c.swallowed {
			c.reset()
		}
		_ = c.client.SetReadDeadline(time.Unix(1, 0))
		_ = c.server.SetReadDeadline(time.Unix(1, 0))
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut resets all present connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.reset()
	}
}

// Close stops listening, resets all connections and waits until nothing runs any more.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.SetMode(Refuse)
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve carries one connection until either side ends it.
func (p *Proxy) serve(client net.Conn) {
	c := &pair{client: client}
	d := net.Dialer{Timeout: 5 * time.Second}
	server, err := d.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		c.reset()
		return
	}
	c.server = server
	p.mu.Lock()
	p.total++
	p.conns = append(p.conns, c)
	if p.mode == Refuse {
		c.reset()
	}
	p.mu.Unlock()

	var both conc.WaitGroup
	both.Go(func() { p.copy(c, server, client) })
	both.Go(func() { p.copy(c, client, server) })
	both.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(o *pair) bool { return o == c })
}

// copy carries one direction.
func (p *Proxy) copy(c *pair, to, from net.Conn) {
	defer c.close()
	buf := make([]byte, 32<<10)
	for {
		p.thawed(func() { _ = from.SetReadDeadline(time.Time{}) }) // SetMode sets one that has passed.
		n, err := from.Read(buf)
		if n > 0 && p.passes(c) {
			if err := p.pass(to, buf[:n]); err != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// passes reports whether what has just been read is to be passed on.
func (p *Proxy) passes(c *pair) (yes bool) {
	p.thawed(func() {
		yes = p.mode != Blackhole
		c.swallowed = c.swallowed || !yes
	})
	return yes
}

// pass writes data, at the pace that the mode allows.
func (p *Proxy) pass(to io.Writer, data []byte) error {
	for len(data) > 0 {
		piece := len(data)
		if p.dawdle() {
			piece = min(piece, SlowPiece)
		}
		if _, err := to.Write(data[:piece]); err != nil {
			return err
		}
		data = data[piece:]
	}
	return nil
}

// dawdle waits SlowEvery while the mode is Slow, and reports whether it still is.
func (p *Proxy) dawdle() bool {
	p.mu.Lock()
	slow, changed := p.mode == Slow, p.changed
	p.mu.Unlock()
	if !slow {
		return false
	}
	timer := time.NewTimer(SlowEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-changed:
		return p.dawdle()
	}
}

// thawed calls f under the lock when the mode is not Freeze.
func (p *Proxy) thawed(f func()) {
	for {
		p.mu.Lock()
		if p.mode != Freeze {
			f()
			p.mu.Unlock()
			return
		}
		changed := p.changed
		p.mu.Unlock()
		<-changed
	}
}

// reset ends both sides with a TCP reset.
func (c *pair) reset() {
	for _, conn := range []net.Conn{c.client, c.server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	c.close()
}

func (c *pair) close() {
	for _, conn := range []io.Closer{c.client, c.server} {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

package hosts

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// What may arrive on a connection before any command runs, and between two. Nothing of it is kept: these bounds are for the
// processor's time, and end a peer that talks without end.
const (
	handshakeBytes = 256 << 10
	idleBytes      = 1 << 20
	// tunnelBytes is what golang.org/x/crypto/ssh lets a peer send on a channel before it is read (2 MiB), and the packets around it.
	tunnelBytes = 5 << 19
)

var errFlood = errors.New("more output than any answer has")

// transport is the byte stream below SSH, a TCP connection or a [tunnel]. It remembers the server's first bytes, bounds what
// arrives, and can be aborted. The bound is the one that nothing gets around: data of no known type, requests, and whatever
// golang.org/x/crypto/ssh buffers without being asked for it, all count.
type transport struct {
	net.Conn
	first [256]byte
	n     int

	total   atomic.Int64 // bytes that arrived
	arrived atomic.Int64 // those since the last allow
	bound   atomic.Int64 // 0 before the first one: handshakeBytes
	flooded atomic.Bool  // the peer went beyond it
	shared  atomic.Bool  // many use it for long: the bound is for a minute
	renewed time.Time    // when the minute began
}

// Read is called by one goroutine only, as all of golang.org/x/crypto/ssh's reading is.
func (t *transport) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if t.n < len(t.first) && n > 0 {
		t.n += copy(t.first[t.n:], b[:n])
	}
	t.total.Add(int64(n))
	bound := t.bound.Load()
	if bound == 0 {
		bound = handshakeBytes
	}
	if t.arrived.Add(int64(n)) > bound && !t.renew() {
		t.flooded.Store(true)
		t.abort()
		return 0, fmt.Errorf("%w: over %d bytes", errFlood, bound)
	}
	return n, err
}

// allow lets n more bytes arrive.
func (t *transport) allow(n int64) {
	t.bound.Store(n)
	t.arrived.Store(0)
}

// share lets others pass on what arrives, for as long as it lasts: what they have not passed on is bounded, for each minute.
func (t *transport) share(on bool) { t.shared.Store(on) }

// renew begins a new minute, if the one before is over.
func (t *transport) renew() bool {
	if !t.shared.Load() || time.Since(t.renewed) < time.Minute {
		return false
	}
	t.renewed = time.Now()
	t.arrived.Store(0)
	return true
}

// passedOn takes n bytes from what has arrived, and as much for the packets around them as they may have.
func (t *transport) passedOn(n int) {
	for {
		before := t.arrived.Load()
		if t.arrived.CompareAndSwap(before, max(0, before-4*int64(n))) {
			return
		}
	}
}

// greeting returns the server's first bytes. It must not run beside Read.
func (t *transport) greeting() []byte { return t.first[:t.n] }

// abort closes the connection: the only way to unblock golang.org/x/crypto/ssh, whose calls take no context and no
// deadline (golang/go#26643). It does not block, and all readers and writers return.
func (t *transport) abort() {
	_ = t.Close() // Nothing is lost that was not given up already.
}

// lostWay returns what is to be said when the connection ended with err because the one to the jump host did, else nil.
func (t *transport) lostWay(err error) *Error {
	tunnel, ok := t.Conn.(*tunnel)
	if !ok || !closed(err) || !tunnel.lost() {
		return nil
	}
	return fail(Unreachable, "the connection to its jump host %s broke", tunnel.via.jump.host.Name)
}

// since is how long it took, as precisely as a person wants to read it.
func since(began time.Time) time.Duration {
	return time.Since(began).Round(10 * time.Millisecond)
}

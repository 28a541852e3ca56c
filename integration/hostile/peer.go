package hostile

import (
	"net"
	"sync"
	"time"
)

// A peer is the connection to one client, and counts the writes of an act that breaks off.
type peer struct {
	net.Conn
	gone chan struct{} // closed when either side has closed the connection
	once sync.Once

	mu     sync.Mutex
	limits bool // writes counts
	writes int  // left
	stall  bool
	deaf   bool // nothing that comes is read any more
}

func newPeer(c net.Conn, act Act) *peer {
	return &peer{Conn: c, gone: make(chan struct{}), limits: act.writes > 0, writes: act.writes, stall: act.stall}
}

func (p *peer) close() {
	p.once.Do(func() { close(p.gone) })
	_ = p.Close() // The client may have been faster.
}

// Read notices that the client has gone, unless the peer is deaf.
func (p *peer) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil {
		p.once.Do(func() { close(p.gone) })
	}
	p.mu.Lock()
	deaf := p.deaf
	p.mu.Unlock()
	if deaf {
		<-p.gone
		return 0, net.ErrClosed
	}
	return n, err
}

// deafen makes the server deaf: it does not answer any more, not even by way of golang.org/x/crypto/ssh.
func (p *peer) deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = true
}

// Write counts.
func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	over := p.limits && p.writes == 0
	p.writes--
	p.mu.Unlock()
	switch {
	case over && p.stall:
		<-p.gone
		return 0, net.ErrClosed
	case over:
		p.close()
		return 0, net.ErrClosed
	}
	return p.Conn.Write(b)
}

// listen reads what the client sends, to no end, until it has gone.
func (p *peer) listen() {
	b := make([]byte, 4096)
	for {
		if _, err := p.Read(b); err != nil {
			return
		}
	}
}

// dribble sends a byte of text a second with send, and the text again when it ends, until the client has gone.
func (p *peer) dribble(text string, send func([]byte) (int, error)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(text) {
		if _, err := send([]byte{text[i]}); err != nil {
			return
		}
		select {
		case <-p.gone:
			return
		case <-tick.C:
		}
	}
}

// flood sends block over and over, until the client has gone.
func (p *peer) flood(block []byte, send func([]byte) (int, error)) {
	for {
		if _, err := send(block); err != nil {
			return
		}
		select {
		case <-p.gone:
			return
		default:
		}
	}
}

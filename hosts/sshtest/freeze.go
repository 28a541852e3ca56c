package sshtest

import (
	"net"
	"sync"
)

// Freeze makes the server like one that was stopped (SIGSTOP): connections stand, and are accepted, but it neither reads nor
// writes on them.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thawed == nil {
		s.thawed = make(chan struct{})
	}
}

// Thaw ends Freeze.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thawed != nil {
		close(s.thawed)
		s.thawed = nil
	}
}

// A freezable is a connection on which its frozen server does nothing.
type freezable struct {
	net.Conn
	server *Server
	close  sync.Once
	closed chan struct{}

	mu      sync.Mutex // Of what is held back: see Hold.
	holding bool
	held    []byte
}

func (s *Server) freezable(c net.Conn) *freezable {
	return &freezable{Conn: c, server: s, closed: make(chan struct{})}
}

func (c *freezable) Read(b []byte) (int, error) {
	c.wait()
	n, err := c.Conn.Read(b)
	c.wait()
	return n, err
}

func (c *freezable) Write(b []byte) (int, error) {
	c.wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	const most = 64 << 10
	if c.holding && len(c.held)+len(b) <= most {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// hold has what is written wait for what comes next, until release.
func (c *freezable) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = true
}

func (c *freezable) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = false
	return c.flush()
}

func (c *freezable) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	return err
}

func (c *freezable) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// wait waits until the server is not frozen, or the connection is closed.
func (c *freezable) wait() {
	c.server.mu.Lock()
	thawed := c.server.thawed
	c.server.mu.Unlock()
	if thawed == nil {
		return
	}
	select {
	case <-thawed:
	case <-c.closed:
	}
}

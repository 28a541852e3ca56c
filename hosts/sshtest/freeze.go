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
	return c.Conn.Write(b)
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

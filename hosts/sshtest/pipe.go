package sshtest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBytes is how much a pipe holds in each direction, as a socket's buffers do, before a writer waits for the reader.
const pipeBytes = 64 << 10

// A pipeConn is one end of a connection inside the process. Unlike [net.Pipe] it holds what was written, without which the two sides
// of SSH, which both speak first, would wait for each other.
type pipeConn struct {
	in, out    *stream
	here, peer net.Addr
}

func newPipe(client, server net.Addr) (*pipeConn, *pipeConn) {
	a, b := newStream(), newStream()
	return &pipeConn{in: a, out: b, here: client, peer: server}, &pipeConn{in: b, out: a, here: server, peer: client}
}

func (c *pipeConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *pipeConn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *pipeConn) LocalAddr() net.Addr         { return c.here }
func (c *pipeConn) RemoteAddr() net.Addr        { return c.peer }

// Close ends both directions. What the other side has not read yet, it may still read.
func (c *pipeConn) Close() error {
	c.out.close(io.EOF)
	c.in.close(net.ErrClosed)
	return nil
}

func (c *pipeConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *pipeConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *pipeConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// A stream is one direction of a pipe.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	data    []byte
	end     error // what the reader is told behind data, once closed
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 && s.end == nil {
		s.changed.Wait()
	}
	if len(s.data) == 0 {
		return 0, s.end
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	s.changed.Broadcast()
	return n, nil
}

func (s *stream) write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(b) > 0 {
		for len(s.data) >= pipeBytes && s.end == nil {
			s.changed.Wait()
		}
		if s.end != nil {
			return n, net.ErrClosed
		}
		part := b[:min(len(b), pipeBytes-len(s.data))]
		s.data = append(s.data, part...)
		n, b = n+len(part), b[len(part):]
		s.changed.Broadcast()
	}
	return n, nil
}

func (s *stream) close(end error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = end
	}
	s.changed.Broadcast()
}

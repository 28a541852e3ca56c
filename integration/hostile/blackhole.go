package hostile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// A Blackhole is an address on loopback that no TCP connection to comes about: the kernel drops what asks for one, as a firewall
// does. It is a listener that accepts nothing and whose queue is full (listen(2), backlog).
type Blackhole struct {
	listener *net.TCPListener
	queue    []net.Conn
}

// NewBlackhole returns one that swallows already.
func NewBlackhole() (*Blackhole, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	b := &Blackhole{listener: listener}
	if err := b.fill(); err != nil {
		b.Close()
		return nil, fmt.Errorf("making a black hole: %w", err)
	}
	return b, nil
}

// Addr is its address.
func (b *Blackhole) Addr() *net.TCPAddr { return addrOf(b.listener) }

// Close gives the address back.
func (b *Blackhole) Close() {
	_ = b.listener.Close() // Nothing is pending that anyone wants.
	for _, c := range b.queue {
		_ = c.Close() // As above.
	}
}

// fill makes the queue as short as it can be, and connects until there is no room.
func (b *Blackhole) fill() error {
	raw, err := b.listener.SyscallConn()
	if err != nil {
		return err
	}
	var shortened error
	if err := raw.Control(func(fd uintptr) { shortened = unix.Listen(int(fd), 0) }); err != nil {
		return err
	}
	if shortened != nil {
		return shortened
	}
	dialer := net.Dialer{Timeout: 300 * time.Millisecond} // Longer than a connection over loopback takes.
	for range 16 {
		c, err := dialer.DialContext(context.Background(), "tcp", b.Addr().String())
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return nil
		}
		if err != nil {
			return err
		}
		b.queue = append(b.queue, c)
	}
	return errors.New("the kernel goes on accepting connections")
}

package hosts

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
)

// A connection to a jump host that begins to be closed when it has just opened a tunnel, in which the host already speaks.
type endingConn struct {
	ssh.Conn
	of *conn
}

func (e endingConn) OpenChannel(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	e.of.mu.Lock()
	e.of.closing = true
	e.of.mu.Unlock()
	requests := make(chan *ssh.Request)
	close(requests)
	return speaking{greeting: strings.NewReader("SSH-2.0-OpenSSH_9.8\r\n")}, requests, nil
}

type speaking struct {
	ssh.Channel
	greeting io.Reader
}

func (s speaking) Read(b []byte) (int, error)  { return s.greeting.Read(b) }
func (s speaking) Write(b []byte) (int, error) { return len(b), nil }
func (s speaking) Close() error                { return nil }

// Nobody reads from a tunnel that is not open yet. Were its first bytes waited with, the connection would never end.
func TestTunnelOfAConnectionThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		via := &conn{transport: &transport{}}
		via.ssh = endingConn{of: via}
		c := &jumpConn{jump: &jump{jumps: &jumps{counts: &counters{}}}, conn: via}
		tunnel, err := c.dialTarget(address{"web-01", 22})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := tunnel.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes from a tunnel that has ended", n)
		}
	})
}

package hosts_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
)

// A countingConn counts what is read from it.
type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// drip sends a byte a second for as long as it is allowed to.
func drip(ctx context.Context, w io.Writer) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
			if _, err := w.Write([]byte("x")); err != nil {
				return
			}
		}
	}
}

// endless sends text again and again until the client hangs up.
func endless(text string) func(context.Context, net.Conn) bool {
	return func(ctx context.Context, c net.Conn) bool {
		for ctx.Err() == nil {
			if _, err := io.WriteString(c, text); err != nil {
				break
			}
		}
		return false
	}
}

// midway ends the connection, or not, after the server's first message of the handshake.
func midway(then func(ctx context.Context, c net.Conn)) func(context.Context, net.Conn) bool {
	return func(ctx context.Context, c net.Conn) bool {
		_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
		_, _ = c.Read(make([]byte, 4096))
		then(ctx, c)
		return false
	}
}

// TestHostileHosts plays hosts that send too much, too little or nonsense. Each ends in its time, with an outcome, and with no more
// read of it than the bound of two units; what it sends beyond that is not taken off the network.
func TestHostileHosts(t *testing.T) {
	const answer = 64<<10 + 2*16<<10
	everywhere := func(ctx context.Context, _ string, stdout, _ io.Writer) int {
		extended, ok := stdout.(interface {
			Extended(code uint32) io.ReadWriter
		})
		if !ok {
			t.Error("the server's library has no extended data any more")
			return -1
		}
		return flood(ctx, "", extended.Extended(7), nil)
	}
	for _, test := range []struct {
		name   string
		server sshtest.Config
		want   hosts.Outcome
		text   string
		most   int64 // bytes; 0 means what a handshake may have
	}{
		{name: "stdout", server: sshtest.Config{Exec: flood}, want: hosts.ProtocolError, text: "more output", most: 2*answer + 256<<10},
		{
			name: "stderr", want: hosts.ProtocolError, text: "more output", most: 2*answer + 256<<10,
			server: sshtest.Config{Exec: func(ctx context.Context, c string, _, errout io.Writer) int { return flood(ctx, c, errout, nil) }},
		},
		{
			name: "data of no known type", want: hosts.ProtocolError, text: "more output", most: 2*answer + 256<<10,
			server: sshtest.Config{Exec: everywhere},
		},
		{name: "lines before the version", server: sshtest.Config{Greet: endless("hello\r\n")}, want: hosts.ProtocolError, text: "no SSH server"},
		{name: "one line before the version", server: sshtest.Config{Greet: endless("hello")}, want: hosts.ProtocolError, text: "no SSH server"},
		{name: "zeros", server: sshtest.Config{Greet: endless(strings.Repeat("\x00", 1024))}, want: hosts.ProtocolError, text: "no SSH server"},
		{name: "a byte a second before the version", server: sshtest.Config{Greet: func(ctx context.Context, c net.Conn) bool {
			drip(ctx, c)
			return false
		}}, want: hosts.Timeout, text: "not finished within 5s"},
		{name: "a byte a second in the answer", server: sshtest.Config{Exec: func(ctx context.Context, _ string, stdout, _ io.Writer) int {
			drip(ctx, stdout)
			return -1
		}}, want: hosts.Timeout, text: "no answer within 8s"},
		{
			name: "closed in the handshake", want: hosts.ProtocolError, text: "EOF",
			server: sshtest.Config{Greet: midway(func(context.Context, net.Conn) {})},
		},
		{
			name: "silent in the handshake", want: hosts.Timeout, text: "not finished within 5s",
			server: sshtest.Config{Greet: midway(func(ctx context.Context, _ net.Conn) { <-ctx.Done() })},
		},
		{name: "huge packet", server: sshtest.Config{Greet: midway(func(ctx context.Context, c net.Conn) {
			_, _ = c.Write(binary.BigEndian.AppendUint32(nil, 1<<31))
			endless("x")(ctx, c)
		})}, want: hosts.ProtocolError, text: "handshake failed"},
		{name: "ignored packets", server: sshtest.Config{Greet: midway(func(ctx context.Context, c net.Conn) {
			packet := append(binary.BigEndian.AppendUint32(nil, 252), 4, 2) // SSH_MSG_IGNORE
			endless(string(append(packet, make([]byte, 250)...)))(ctx, c)
		})}, want: hosts.ProtocolError, text: "handshake failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.add(t, "web-01", test.server)
				var n atomic.Int64
				pool := newPool(t, hosts.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := l.dial(ctx, network, address)
					return countingConn{c, &n}, err
				}})
				took := began()
				_, err := read(t.Context(), pool, l.host("web-01", nil))
				wantOutcome(t, err, test.want, test.text)
				if took() > 8*time.Second {
					t.Errorf("it took %v", took())
				}
				if most := max(test.most, 320<<10); n.Load() > most {
					t.Errorf("%d bytes were read, want at most %d", n.Load(), most)
				}
			})
		})
	}
}

// Whoever has many units may answer with much, more than golang.org/x/crypto/ssh takes unread on one session: also then what comes on
// standard error in place of an answer is read, and found to be too much, at once.
func TestFloodOfErrorsInPlaceOfALargeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.add(t, "web-01", sshtest.Config{Exec: func(ctx context.Context, c string, _, errout io.Writer) int { return flood(ctx, c, errout, nil) }})
		h := l.host("web-01", nil)
		for i := range 100 {
			h.Units = append(h.Units, fmt.Sprintf("unit-%d.service", i))
		}
		took := began()
		pool := newPool(t, hosts.Config{Dial: l.dial})
		_, err := read(t.Context(), pool, h)
		wantOutcome(t, err, hosts.ProtocolError, "more output")
		if stats := pool.Stats(); took() > time.Second || stats.LeftBehind != 0 {
			t.Errorf("it took %v; %+v", took(), stats)
		}
	})
}

// A host that ends the connection, or floods it, before it is asked anything has no outcome of hosts that cannot be reached.
func TestBetweenLoginAndPoll(t *testing.T) {
	for _, test := range []struct {
		name, text string
		joined     func(*ssh.ServerConn)
	}{
		{name: "hangs up", text: "after the login", joined: func(c *ssh.ServerConn) { _ = c.Close() }},
		{name: "floods", text: "more output", joined: func(c *ssh.ServerConn) {
			for {
				if _, _, err := c.SendRequest("x", false, make([]byte, 16<<10)); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.add(t, "web-01", sshtest.Config{Exec: systemd("252"), Joined: test.joined})
				pool, h := l.pool(t), l.host("web-01", nil)
				if err := pool.Connect(t.Context(), h); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				_, err := pool.Poll(t.Context(), h)
				wantOutcome(t, err, hosts.ProtocolError, test.text)
				if !errors.Is(err, hosts.ErrNotConnected) {
					t.Errorf("%v: it does not ask for a new connection", err)
				}
			})
		})
	}
}

// A host that sends what no one asked for between two polls loses its connection, and one that probes now and then does not.
func TestTalkBetweenPolls(t *testing.T) {
	for _, test := range []struct {
		name     string
		requests int
		size     int
		stays    bool
	}{
		{name: "an hour of probes", requests: 240, size: 0, stays: true},
		{name: "a flood", requests: 1 << 10, size: 16 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				conns := make(chan *ssh.ServerConn, 1)
				l.add(t, "web-01", sshtest.Config{Exec: systemd("252"), Joined: func(c *ssh.ServerConn) { conns <- c }})
				pool, h := l.pool(t), l.host("web-01", nil)
				if _, err := read(t.Context(), pool, h); err != nil {
					t.Fatal(err)
				}
				c := <-conns
				for range test.requests {
					if _, _, err := c.SendRequest("keepalive@openssh.com", true, make([]byte, test.size)); err != nil {
						break
					}
				}
				synctest.Wait()
				if _, err := pool.Poll(t.Context(), h); (err == nil) != test.stays {
					t.Errorf("the next poll: %v", err)
				}
			})
		})
	}
}

package hosts

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"
)

// Bounds on what one command may print. A record of the requested properties is well under 2 KiB.
const (
	maxStdout = 4 << 20
	maxStderr = 64 << 10
)

var (
	errFlood = errors.New("more output than any answer has")
	// errLost says that the connection broke, by whoever's hand, while a command had not finished.
	errLost = errors.New("connection lost")
	// errExecRefused says that sshd accepts sessions but not the command.
	errExecRefused = errors.New("sshd refused to run a command")
)

// A conn is one SSH connection. Its goroutine answers the server's requests, which would otherwise fill golang.org/x/crypto/ssh's
// queues and stall the connection, and ends when the connection does.
type conn struct {
	transport *transport
	ssh       ssh.Conn
	served    conc.WaitGroup
	done      chan struct{} // closed when the connection is gone
}

func newConn(t *transport, client ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) *conn {
	c := &conn{transport: t, ssh: client, done: make(chan struct{})}
	c.served.Go(func() {
		defer close(c.done)
		refuse(chans, reqs)
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

// alive reports whether the connection stood when last heard of.
func (c *conn) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// close ends the connection without waiting for the peer.
func (c *conn) close() {
	c.transport.abort()
	c.served.Wait()
}

// An output is what a command printed and how it ended.
type output struct {
	stdout, stderr []byte
	exit           int    // exit status, -1 when sshd sent none
	signal         string // that ended the command, where sshd says so
}

// exec runs command and returns what it printed. When ctx ends first, the connection is closed, since nothing else frees a call of
// golang.org/x/crypto/ssh; the command itself must bound its own run time. An error is [errFlood], [errExecRefused], the cause of ctx, or wraps [errLost].
func (c *conn) exec(ctx context.Context, command string) (output, error) {
	stop := context.AfterFunc(ctx, c.transport.abort)
	defer stop()
	out, err := c.run(command)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return out, cause
	}
	return out, err
}

func (c *conn) run(command string) (output, error) {
	out := output{exit: -1}
	channel, requests, err := c.ssh.OpenChannel("session", nil)
	if err != nil {
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			return out, fmt.Errorf("%w: no session: %s", errExecRefused, refused.Message)
		}
		return out, fmt.Errorf("%w: opening a session: %w", errLost, err)
	}
	var readers conc.WaitGroup
	readers.Go(func() { out.exit, out.signal = exitStatus(requests) })
	err = start(channel, command)
	var overflow error
	if err == nil {
		readers.Go(func() { out.stderr, overflow = c.readBounded(channel.Stderr(), maxStderr) })
		out.stdout, err = c.readBounded(channel, maxStdout)
	}
	_ = channel.Close() // After a whole answer, or a lost connection, there is nothing left to fail.
	readers.Wait()
	switch err = errors.Join(err, overflow); {
	case err != nil:
		return out, err
	case out.exit < 0 && out.signal == "":
		return out, fmt.Errorf("%w before the command had ended", errLost)
	}
	return out, nil
}

// start asks sshd to run command with nothing on its standard input.
func start(channel ssh.Channel, command string) error {
	accepted, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err != nil {
		return fmt.Errorf("%w: sending the command: %w", errLost, err)
	}
	if !accepted {
		return errExecRefused
	}
	if err := channel.CloseWrite(); err != nil && !errors.Is(err, io.EOF) { // EOF: the command has ended already.
		return fmt.Errorf("%w: sending the command: %w", errLost, err)
	}
	return nil
}

// exitStatus reads a session's requests until it is closed, and returns how the command ended (RFC 4254, section 6.10).
func exitStatus(requests <-chan *ssh.Request) (status int, signal string) {
	status = -1
	for request := range requests {
		switch request.Type {
		case "exit-status":
			if len(request.Payload) == 4 {
				status = int(binary.BigEndian.Uint32(request.Payload))
			}
		case "exit-signal":
			var message struct {
				Signal     string
				CoreDumped bool
				Text, Lang string
			}
			if ssh.Unmarshal(request.Payload, &message) == nil {
				signal = message.Signal
			}
		}
		if request.WantReply { // Such as sshd's ClientAliveInterval probe, which only wants an answer.
			_ = request.Reply(false, nil) // A connection that cannot carry the answer closes requests.
		}
	}
	return status, signal
}

// readBounded reads r to its end. The connection is closed when more than limit bytes come: to stop reading only would leave the
// rest in golang.org/x/crypto/ssh's buffers.
func (c *conn) readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if int64(len(data)) > limit {
		c.transport.abort()
		return nil, fmt.Errorf("%w: over %d bytes", errFlood, limit)
	}
	if err != nil {
		return data, fmt.Errorf("%w: reading the answer: %w", errLost, err)
	}
	return data, nil
}

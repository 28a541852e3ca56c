package hosts

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Bounds on what one command may print.
const (
	maxAnswer = 8 << 20 // on standard output, whatever was asked
	maxStderr = 64 << 10
	// packetBytes is for what else comes with an answer, such as the requests of SSH. The packets' own bytes are covered by
	// counting the answer twice.
	packetBytes = 128 << 10
)

// answerLimit bounds the answer to a question about so many units, in bytes. A record of the requested properties is well under
// 2 KiB, and what makes it long is a description, which systemd does not bound.
func answerLimit(units int) int64 {
	return min(64<<10+int64(units)*16<<10, maxAnswer)
}

var (
	// errExecRefused says that sshd accepts sessions but not the command, or accepts no session.
	errExecRefused = errors.New("sshd refused to run a command")
	// errSessionRefused says in an errExecRefused that it was the session.
	errSessionRefused = errors.New("no session")
	// errLate says that a command was left behind since it had not ended in time. The connection may be well.
	errLate = errors.New("the command has not ended")
)

// An output is what a command printed and how it ended.
type output struct {
	stdout, stderr []byte
	exit           int    // exit status, -1 when sshd sent none
	signal         string // that ended the command, where sshd says so
}

// exec runs command and returns what it printed, at most limit bytes of standard output; the command itself must bound its own run
// time. When ctx ends first, exec returns at once: the session is closed and, until sshd says that it has ended too, counts
// as stuck. OpenSSH says so when the command has ended, so a stuck session is a process that still runs there.
//
// An error wraps [errLate] and the cause of ctx, [errExecRefused], or, when the connection is gone, [errFlood] or [errLost].
func (c *conn) exec(ctx context.Context, command string, limit int64) (output, error) {
	c.transport.allow(2*limit + maxStderr + packetBytes)
	defer c.transport.allow(idleBytes)
	return c.converse(ctx, &session{conn: c, command: command, limit: limit, ended: make(chan struct{})})
}

// follow runs command like exec, but has listen take its standard output in while it comes, for as long as that may be, and hear its
// standard error. Meanwhile its standard input stays open. Whoever listens must return when ctx ends; it may be called until then only.
func (c *conn) follow(ctx context.Context, command string, listen listener) (output, error) {
	c.transport.allow(tunnelBytes)
	c.transport.share(true)
	defer c.transport.share(false) // What was under way may still arrive: the bound stays for the next command to set.
	return c.converse(ctx, &session{conn: c, command: command, listen: &listen, ended: make(chan struct{})})
}

// A listener takes in what a command prints while it runs.
type listener struct {
	read func(stdout io.Reader) error
	hear func(stderr string) error // all of it so far, up to maxStderr; an error ends the command

	// converse, in place of both, has standard input too. Standard error is not read.
	converse func(stdio io.ReadWriter) error
}

func (c *conn) converse(ctx context.Context, s *session) (output, error) {
	if !c.serve(s.run) {
		return output{exit: -1}, fmt.Errorf("%w: it was closed", errLost)
	}
	select {
	case <-s.ended:
		return s.out, s.err
	case <-ctx.Done():
	}
	if !s.leave() {
		<-s.ended // It came at the last moment.
		return s.out, s.err
	}
	return output{exit: -1}, fmt.Errorf("%w: %w", errLate, context.Cause(ctx))
}

// A session is one command under way.
type session struct {
	conn    *conn
	command string
	limit   int64
	listen  *listener // in place of limit

	ended chan struct{} // closed when out and err are set
	out   output
	err   error

	mu      sync.Mutex
	channel ssh.Channel // nil before sshd opened it
	left    bool        // no one waits for it any more
	over    bool        // it has ended
}

// run is the session's goroutine. It ends when sshd has ended the session, or the connection is gone.
func (s *session) run() {
	s.err = errLost // Unless converse tells otherwise: it may panic.
	defer func() {
		s.mu.Lock()
		s.over = true
		if s.left {
			s.conn.countStuck(-1)
		}
		s.mu.Unlock()
		close(s.ended)
	}()
	s.out, s.err = s.converse()
	if s.conn.transport.flooded.Load() {
		s.err = errFlood
	}
}

// leave gives the session up, unless it is over.
func (s *session) leave() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.left = true
	s.conn.countStuck(+1)
	if channel := s.channel; channel != nil {
		s.conn.serve(func() { _ = channel.Close() }) // It may block; a connection that is gone has no use for it.
	}
	return true
}

// opened takes the channel in, and reports whether someone still waits for it.
func (s *session) opened(channel ssh.Channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channel = channel
	return !s.left
}

func (s *session) converse() (output, error) {
	out := output{exit: -1}
	channel, requests, err := s.conn.ssh.OpenChannel("session", nil)
	if err != nil {
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			return out, fmt.Errorf("%w: %w: %s", errExecRefused, errSessionRefused, oneLine(refused.Message, 100))
		}
		return out, fmt.Errorf("%w: opening a session: %w", errLost, err)
	}
	s.conn.countSession()
	requestsEnd := s.conn.beside(func() { out.exit, out.signal = exitStatus(requests) })
	errorsEnd := func() {}
	var overflow error
	if s.opened(channel) {
		switch err = start(channel, s.command); {
		case err != nil:
		case s.listen != nil && s.listen.converse != nil:
			err = s.listen.converse(channel)
		case s.listen != nil:
			errorsEnd = s.conn.beside(func() { out.stderr, overflow = s.hear(channel) })
			err = s.listen.read(passing{channel, s.conn.transport})
		default:
			if err = endInput(channel); err == nil {
				errorsEnd = s.conn.beside(func() { out.stderr, overflow = s.read(nil, channel.Stderr(), maxStderr) })
				out.stdout, err = s.read(s.conn.pool.answers.buffer(), channel, s.limit)
			}
		}
	}
	_ = channel.Close() // After a whole answer, or a lost connection, there is nothing left to fail.
	requestsEnd()
	errorsEnd()
	switch err = errors.Join(err, overflow); {
	case err != nil:
		return out, err
	case out.exit < 0 && out.signal == "":
		return out, fmt.Errorf("%w before the command had ended", errLost)
	}
	return out, nil
}

// start asks sshd to run command.
func start(channel ssh.Channel, command string) error {
	accepted, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err != nil {
		return fmt.Errorf("%w: sending the command: %w", errLost, err)
	}
	if !accepted {
		return errExecRefused
	}
	return nil
}

// endInput tells a command that nothing comes on its standard input.
func endInput(channel ssh.Channel) error {
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

// read appends what r has to text, and returns it. The connection is aborted when more than limit bytes come: to stop reading only would
// leave the rest in golang.org/x/crypto/ssh's buffers.
func (s *session) read(text []byte, r io.Reader, limit int64) ([]byte, error) {
	text, err := readAll(text, r, limit)
	if int64(len(text)) > limit {
		s.conn.transport.abort()
		return nil, fmt.Errorf("%w: over %d bytes", errFlood, limit)
	}
	if err != nil {
		return text, fmt.Errorf("%w: reading the answer: %w", errLost, err)
	}
	return text, nil
}

// hear has the listener hear standard error while it comes. What is beyond the bound is not kept.
func (s *session) hear(channel ssh.Channel) (heard []byte, err error) {
	buffer := make([]byte, 4<<10)
	for r := (passing{channel.Stderr(), s.conn.transport}); ; {
		n, end := r.Read(buffer)
		if room := maxStderr - len(heard); n > 0 && room > 0 && err == nil {
			heard = append(heard, buffer[:min(n, room)]...)
			if err = s.listen.hear(string(heard)); err != nil {
				_ = channel.Close() // It is given up.
			}
		}
		if end != nil {
			return heard, err
		}
	}
}

// passing tells the transport what has been read.
type passing struct {
	io.Reader
	transport *transport
}

func (p passing) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.transport.passedOn(n)
	return n, err
}

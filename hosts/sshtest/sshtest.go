// Package sshtest is an SSH server in the process, for tests and for the simulated fleet: it speaks the real protocol on a real
// TCP socket with real keys, and answers exec requests with a function instead of a shell.
package sshtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts/crew"
)

// Config configures a [Server].
type Config struct {
	// Address to listen on, "127.0.0.1:0" where empty.
	Address string
	// HostKey that the server shows. Nil means a new ed25519 key.
	HostKey ssh.Signer
	// MoreHostKeys are keys of other types that the server has beside HostKey.
	MoreHostKeys []ssh.Signer
	// UserKey is the one key that may log in, as any user. Nil means that none may.
	UserKey ssh.PublicKey
	// Exec runs a command: it writes its output and returns its exit status, or a negative number to end the session without one.
	// The context ends when the connection does. Nil refuses every command.
	Exec func(ctx context.Context, command string, stdout, stderr io.Writer) int
	// Interact is like Exec, and takes its place, for commands that read: standard input ends when the client ends it, or the session.
	Interact func(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int
	// Greet, where set, is called with each new TCP connection before SSH begins; the connection is closed when it returns false. The
	// context ends when the server is closed.
	Greet func(context.Context, net.Conn) bool
	// Configure, where set, changes how the server authenticates users.
	Configure func(*ssh.ServerConfig)
	// Joined, where set, is called with each connection on which someone has logged in, before it is served.
	Joined func(*ssh.ServerConn)
	// MaxSessions is how many sessions a connection may have at a time, as in sshd_config(5). 0 means any number. As with OpenSSH, a
	// session counts until its command has ended.
	MaxSessions int
	// Open, where set, is called before a session is opened. The client gets no answer until it returns. The context ends when the
	// connection does.
	Open func(context.Context)
	// Forward opens the connections of tunnels (direct-tcpip). Its error refuses the tunnel: an [ssh.OpenChannelError] as it says, any
	// other since connecting failed. Until it returns the client gets no answer. The context ends when the connection does. Nil allows no
	// tunnels.
	Forward func(ctx context.Context, network, address string) (net.Conn, error)
	// Work runs the sessions, for many servers that share it. It is ended by who made it, after the servers. Nil: each has a goroutine.
	Work *crew.Crew
	// Version is how the server names itself, such as "SSH-2.0-OpenSSH_9.8". Empty means as golang.org/x/crypto/ssh does.
	Version string
}

// A Server serves until it is closed.
type Server struct {
	config   Config
	ssh      *ssh.ServerConfig
	addr     *net.TCPAddr
	ctx      context.Context //nolint:containedctx // It is the server's lifetime, which no caller has.
	stop     context.CancelFunc
	served   conc.WaitGroup
	accepted atomic.Int64

	tunnels, forwarded atomic.Int64

	mu       sync.Mutex
	listener net.Listener // nil while suspended
	conns    map[net.Conn]struct{}
	thawed   chan struct{} // closed when the server is not frozen any more, nil while it is not
}

// Start begins to serve.
func Start(config Config) (*Server, error) {
	s, err := New(config)
	if err != nil {
		return nil, err
	}
	if err := s.listen(s.config.Address); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// New returns a server that does not listen: connections come from [Server.Dial] only.
func New(config Config) (*Server, error) {
	if config.HostKey == nil {
		var err error
		if _, config.HostKey, err = NewKey(); err != nil {
			return nil, err
		}
	}
	if run := config.Exec; config.Interact == nil && run != nil {
		config.Interact = func(ctx context.Context, command string, _ io.Reader, stdout, stderr io.Writer) int {
			return run(ctx, command, stdout, stderr)
		}
	}
	if config.Address == "" {
		config.Address = "127.0.0.1:0"
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{config: config, ctx: ctx, stop: stop, conns: make(map[net.Conn]struct{})}
	s.ssh = &ssh.ServerConfig{PublicKeyCallback: s.authenticate, ServerVersion: config.Version}
	if config.Configure != nil {
		config.Configure(s.ssh)
	}
	s.ssh.AddHostKey(config.HostKey)
	for _, key := range config.MoreHostKeys {
		s.ssh.AddHostKey(key)
	}
	addr, err := net.ResolveTCPAddr("tcp", config.Address)
	if err != nil {
		stop()
		return nil, err
	}
	s.addr = addr
	return s, nil
}

// Dial connects to the server inside the process, whatever the network and the address. It takes no socket, so that it may be used
// in the bubble of testing/synctest.
func (s *Server) Dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, net.ErrClosed
	}
	near, far := newPipe(&net.TCPAddr{IP: s.addr.IP}, s.addr)
	c := s.freezable(far)
	s.accepted.Add(1)
	s.conns[c] = struct{}{}
	s.served.Go(func() { s.serve(c) }) //nolint:contextcheck // As with a socket, ctx ends the dialling only.
	return near, nil
}

// NewKey makes an ed25519 key. It returns the private key as a PEM block, as OpenSSH writes it, beside the signer.
func NewKey() ([]byte, ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	return pem.EncodeToMemory(block), signer, err
}

// listen begins to accept connections at address.
func (s *Server) listen(address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		return net.ErrClosed
	case s.listener != nil:
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(s.ctx, "tcp", address)
	if err != nil {
		return err
	}
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		_ = listener.Close() // Nothing is pending on it.
		return fmt.Errorf("sshtest: listening on a %T", listener.Addr())
	}
	s.listener, s.addr = listener, addr
	s.served.Go(func() { s.accept(listener) })
	return nil
}

// Addr is the address the server listens on, or would, also while it is suspended.
func (s *Server) Addr() *net.TCPAddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// HostKey is the public key that the server shows.
func (s *Server) HostKey() ssh.PublicKey { return s.config.HostKey.PublicKey() }

// Accepted is how many connections there have been.
func (s *Server) Accepted() int { return int(s.accepted.Load()) }

// Disconnect closes all connections; new ones are welcome.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // It is meant to break.
	}
}

// Suspend makes the server like a host that went down: it closes all connections, and new ones are refused. It does not
// wait, so that Exec may call it.
func (s *Server) Suspend() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close() // Nothing is pending on a listener.
		s.listener = nil
	}
	s.mu.Unlock()
	s.Disconnect()
}

// Resume ends Suspend, at the same address. It fails where that was taken in the meantime, or the server is closed.
func (s *Server) Resume() error { return s.listen(s.Addr().String()) }

// Close ends the server and all its connections, and waits for them.
func (s *Server) Close() {
	s.stop()
	s.Suspend()
	s.served.Wait()
}

func (s *Server) authenticate(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if s.config.UserKey == nil || string(key.Marshal()) != string(s.config.UserKey.Marshal()) {
		return nil, errors.New("not the authorized key")
	}
	return &ssh.Permissions{}, nil
}

func (s *Server) accept(listener net.Listener) {
	for {
		raw, err := listener.Accept()
		if err != nil {
			return // Closed.
		}
		c := s.freezable(raw)
		s.accepted.Add(1)
		s.mu.Lock()
		suspended := s.listener != listener
		if !suspended {
			s.conns[c] = struct{}{}
		}
		s.mu.Unlock()
		if suspended {
			_ = c.Close() // It came just before the listener was closed, and missed Disconnect.
			return
		}
		s.served.Go(func() { s.serve(c) })
	}
}

func (s *Server) serve(c *freezable) {
	defer func() {
		_ = c.Close() // The peer may have closed it already.
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	if s.ctx.Err() != nil || s.config.Greet != nil && !s.config.Greet(s.ctx, c) {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c, s.ssh)
	if err != nil {
		return // A client that gave up, or was refused.
	}
	if s.config.Joined != nil {
		s.config.Joined(conn)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var served sync.WaitGroup
	defer served.Wait()
	served.Go(func() {
		ssh.DiscardRequests(requests) // It ends with the connection.
		cancel()
	})
	var open atomic.Int64
	for channel := range channels {
		switch limit := int64(s.config.MaxSessions); {
		case channel.ChannelType() == "direct-tcpip":
			served.Go(func() { s.forward(ctx, channel) })
		case channel.ChannelType() != "session":
			_ = channel.Reject(ssh.UnknownChannelType, "sessions and tunnels only") // A broken connection ends the loop.
		case limit > 0 && open.Load() >= limit:
			_ = channel.Reject(ssh.ConnectionFailed, "open failed") // As above, and as OpenSSH does.
		default:
			open.Add(1)
			s.work(&served, func() { s.session(ctx, c, channel, sync.OnceFunc(func() { open.Add(-1) })) })
		}
	}
}

// work does a job that all waits for.
func (s *Server) work(all *sync.WaitGroup, job func()) {
	if s.config.Work == nil {
		all.Go(job)
		return
	}
	all.Add(1)
	s.config.Work.Do(func() {
		defer all.Done()
		job()
	})
}

// last is the key of what Last calls in the context of a command.
type last struct{}

// Last says, with the context of a command, that what it writes from now on is the end of its output. That goes to the client together with
// the exit status, as it does where sshd finds both at once.
func Last(ctx context.Context) {
	if hold, ok := ctx.Value(last{}).(func()); ok {
		hold()
	}
}

// session serves one session, and calls free before the client can know that it has ended.
func (s *Server) session(ctx context.Context, c *freezable, channel ssh.NewChannel, free func()) {
	defer free()
	if s.config.Open != nil {
		s.config.Open(ctx)
	}
	session, requests, err := channel.Accept()
	if err != nil {
		return // The connection broke.
	}
	defer func() { _ = session.Close() }() // As above.
	for request := range requests {
		var message struct{ Command string }
		if request.Type != "exec" || s.config.Interact == nil || ssh.Unmarshal(request.Payload, &message) != nil {
			_ = request.Reply(false, nil) // As above.
			continue
		}
		_ = request.Reply(true, nil) // As above.
		var drained sync.WaitGroup
		s.work(&drained, func() { ssh.DiscardRequests(requests) })
		if status := s.config.Interact(context.WithValue(ctx, last{}, c.hold), message.Command, session, session, session.Stderr()); status >= 0 {
			exit := ssh.Marshal(struct{ Status uint32 }{uint32(status)}) //nolint:gosec // G115: not negative.
			_, _ = session.SendRequest("exit-status", false, exit)       // As above.
		}
		free()
		_ = session.Close() // It also ends the draining, on the client's answer.
		_ = c.release()     // As above.
		drained.Wait()
		return
	}
}

package hostile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts/sshtest"
)

// An Act is one way to misbehave. The zero Act is a healthy host.
type Act struct {
	// tcp takes the bare connection, in place of SSH.
	tcp func(*peer)
	// writes, where not 0, is how many writes to the connection succeed before it is cut, or swallows the rest if stall is set.
	writes int
	stall  bool
	// login decides on the user's key, in place of a comparison.
	login func(*peer) error
	// serve takes the connection of a user who has logged in.
	serve func(*peer, *ssh.ServerConn, <-chan ssh.NewChannel)
	// exec takes a session's request to run a command, not answered yet.
	exec func(*peer, ssh.Channel, *ssh.Request)
}

// A Server plays one act for everyone who connects. It listens on loopback until it is closed.
type Server struct {
	act      Act
	hostKey  ssh.Signer
	userKey  []byte
	listener *net.TCPListener
	ctx      context.Context //nolint:containedctx // It is the server's lifetime, which no caller has.
	stop     context.CancelFunc
	served   conc.WaitGroup

	mu    sync.Mutex
	peers map[*peer]struct{}
}

// Start begins to serve. The key may log in as any user, in acts that get so far.
func Start(act Act, userKey ssh.PublicKey) (*Server, error) {
	_, hostKey, err := sshtest.NewKey()
	if err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		act: act, hostKey: hostKey, userKey: userKey.Marshal(), listener: listener, ctx: ctx, stop: stop, peers: make(map[*peer]struct{}),
	}
	s.served.Go(s.accept)
	return s, nil
}

func listen() (*net.TCPListener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listener, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("listening with a %T", l)
	}
	return listener, nil
}

// Addr is where it listens.
func (s *Server) Addr() *net.TCPAddr { return addrOf(s.listener) }

func addrOf(l *net.TCPListener) *net.TCPAddr {
	addr, _ := l.Addr().(*net.TCPAddr) // It always is one.
	return addr
}

// HostKey is the public key that it shows.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKey.PublicKey() }

// Close ends the server and all its connections, and waits for them.
func (s *Server) Close() {
	s.stop()
	_ = s.listener.Close() // Nothing is pending on a listener.
	s.mu.Lock()
	for p := range s.peers {
		p.close()
	}
	s.mu.Unlock()
	s.served.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // Closed.
		}
		p := newPeer(c, s.act)
		s.mu.Lock()
		s.peers[p] = struct{}{}
		s.mu.Unlock()
		s.served.Go(func() {
			defer func() {
				p.close()
				s.mu.Lock()
				delete(s.peers, p)
				s.mu.Unlock()
			}()
			if s.ctx.Err() == nil { // Else it missed Close.
				s.play(p)
			}
		})
	}
}

// play carries one connection through the act.
func (s *Server) play(p *peer) {
	if s.act.tcp != nil {
		s.act.tcp(p)
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(p, s.handshake(p))
	if err != nil {
		return // A client that gave up, or an act that ends here.
	}
	var served conc.WaitGroup
	defer served.Wait()
	served.Go(func() {
		ssh.DiscardRequests(requests) // It ends with the connection.
		p.close()
	})
	if s.act.serve != nil {
		s.act.serve(p, conn, channels)
		return
	}
	serveSessions(p, s.act, channels)
}

func (s *Server) handshake(p *peer) *ssh.ServerConfig {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		switch {
		case s.act.login != nil:
			return nil, s.act.login(p)
		case string(key.Marshal()) != string(s.userKey):
			return nil, errors.New("not the authorized key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(s.hostKey)
	return config
}

// serveSessions accepts sessions and runs their commands, until the connection ends.
func serveSessions(p *peer, act Act, channels <-chan ssh.NewChannel) {
	var served conc.WaitGroup
	defer served.Wait()
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return // The connection broke.
		}
		served.Go(func() {
			for request := range requests {
				switch {
				case request.Type != "exec":
					_ = request.Reply(false, nil) // A broken connection ends the loop.
				case act.exec != nil:
					act.exec(p, channel, request)
				default:
					healthy(channel, request)
				}
			}
		})
	}
}

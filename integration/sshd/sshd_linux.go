package sshd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sourcegraph/conc"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts/sshtest"
)

// Config configures a [Server].
type Config struct {
	// Dir is an empty folder for the server's files. Required.
	Dir string
	// UserKey may log in as [User]. Required.
	UserKey ssh.PublicKey
	// HostKey is a private key in PEM. Nil means a new ed25519 key.
	HostKey []byte
	// Directives are lines of sshd_config(5). They precede the server's own, and so win.
	Directives []string
	// Files are more files, by their names below [Path], all of them executable. Those in bin come first in PATH.
	Files map[string]string
	// Prepare is shell script that root runs in the namespaces, just before sshd starts.
	Prepare string
	// Shell is the account's login shell. Empty means /bin/sh.
	Shell string
	// Shadow is the account's line in shadow(5) without the name. Empty means an account that is in order.
	Shadow string
}

// A Server is a running sshd.
type Server struct {
	dir     string
	program string // sshd's path
	addr    *net.TCPAddr
	hostKey ssh.PublicKey

	// Of the run that there is.
	cmd     *exec.Cmd
	log     *log
	waiting conc.WaitGroup
	ended   chan struct{}
}

// startAttempts is how often a port is looked for. Another process may have it already, or be faster.
const startAttempts = 5

// Start runs sshd, and returns when it listens.
func Start(config Config) (*Server, error) {
	sshd, err := find()
	if err != nil {
		return nil, err
	}
	var made ssh.Signer
	if config.HostKey == nil {
		if config.HostKey, _, err = sshtest.NewKey(); err != nil {
			return nil, fmt.Errorf("making a host key: %w", err)
		}
	}
	if made, err = ssh.ParsePrivateKey(config.HostKey); err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	config.Shell = cmp.Or(config.Shell, "/bin/sh")
	config.Shadow = cmp.Or(config.Shadow, "*:20000:0:99999:7:::")
	for range startAttempts {
		var s *Server
		if s, err = config.start(sshd); err == nil {
			s.hostKey = made.PublicKey()
			return s, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) && !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	return nil, fmt.Errorf("starting sshd: %w", err)
}

// find returns the path of sshd, or what is missing to run it.
func find() (string, error) {
	if os.Geteuid() != 0 {
		return "", errors.New("a real sshd with accounts of its own takes namespaces, and so root")
	}
	for _, path := range []string{"/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no sshd: install openssh-server, as integration/setup does")
}

func (c Config) start(sshd string) (*Server, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if err := c.write(addr.Port); err != nil {
		return nil, err
	}
	s := &Server{dir: c.Dir, program: sshd, addr: addr}
	return s, s.run()
}

// run starts the process at its address, and waits until it listens.
func (s *Server) run() error {
	s.cmd = exec.CommandContext(context.Background(), "sh", "-c", start, "sh", s.dir, s.program)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS,  // With it Go keeps the mounts from reaching the machine.
		Cloneflags:   syscall.CLONE_NEWPID, // It is process 1: nothing that it starts outlives it.
		Pdeathsig:    syscall.SIGKILL,
	}
	s.log, s.ended = new(log), make(chan struct{})
	s.cmd.Stderr = s.log
	s.cmd.WaitDelay = 5 * time.Second
	if err := s.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := s.cmd, s.ended
	s.waiting.Go(func() {
		_ = cmd.Wait() // It is killed, as a rule.
		close(ended)
	})
	if !s.log.waitFor("Server listening on", 1, ended) {
		s.Close()
		return fmt.Errorf("it does not listen: %s", s.log.String())
	}
	return nil
}

// freeAddress picks a port below those that Linux gives to whoever names none (ip(7), ip_local_port_range), so that it stays free while
// sshd is down.
func freeAddress() (*net.TCPAddr, error) {
	const first, end = 10240, 32768
	port := first + rand.IntN(end-first) //nolint:gosec // It is no secret.
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return addr, l.Close()
}

// Addr is where it listens.
func (s *Server) Addr() *net.TCPAddr { return s.addr }

// HostKey is the public key that it shows.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKey }

// Log is what it has logged so far, at LogLevel VERBOSE unless configured otherwise.
func (s *Server) Log() string { return s.log.String() }

// AwaitLog waits until it has logged that text so many times. It reports false when sshd has ended, or has not done so for half a minute.
func (s *Server) AwaitLog(text string, times int) bool { return s.log.waitFor(text, times, s.ended) }

// Close kills it with all that it started, as a power failure would, and waits until nothing of it is left. Its connections are
// closed by the kernel, its port refuses new ones.
func (s *Server) Close() {
	_ = s.cmd.Process.Kill() // It may have ended.
	s.waiting.Wait()
}

// Restart kills it like Close and starts it anew at the same address, from what its folder holds now. The test is the only one to use
// it meanwhile.
func (s *Server) Restart() error {
	s.Close()
	return s.run()
}

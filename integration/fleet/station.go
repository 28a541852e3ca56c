package fleet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts/journalctl"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
)

// refusedStatus is the exit status of a shell that knows no such command.
const refusedStatus = 127

// A station connects a host with its SSH server. It is safe for concurrent use.
type station struct {
	fleet  *Fleet
	server *sshtest.Server

	mu   sync.Mutex
	host *host
	away bool // the server is suspended, and someone waits to resume it
}

func (s *station) start(userKey ssh.PublicKey) error {
	s.mu.Lock() // A stranger may connect before the server is known.
	defer s.mu.Unlock()
	var err error
	s.server, err = sshtest.Start(sshtest.Config{UserKey: userKey, Interact: s.exec, Greet: s.greet, Work: s.fleet.work})
	return err
}

// greet lets a connection in if the host is up, late if it is frozen.
func (s *station) greet(ctx context.Context, _ net.Conn) bool {
	return s.await(ctx, func(time.Time) {})
}

// exec is the login shell of the host: an account that can do nothing but report status, operate units and read the journal.
func (s *station) exec(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int {
	if operation, err := systemctl.ParseOperation(command); err == nil {
		return s.operate(ctx, operation, stderr)
	}
	if query, err := journalctl.ParseCommand(command); err == nil {
		return s.readJournal(ctx, query, stdin, stdout, stderr)
	}
	if command == systemctl.StreamCommand {
		return s.stream(ctx, stdin, stdout)
	}
	request, err := systemctl.ParseCommand(command)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "this account only reports status and operates units: %v\n", err) // The client may be gone.
		return refusedStatus
	}
	return s.answer(ctx, request, "", stdout)
}

// stream answers one question after the other.
func (s *station) stream(ctx context.Context, stdin io.Reader, stdout io.Writer) int {
	var request systemctl.Request
	for lines := bufio.NewReaderSize(stdin, 256); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return 0
		}
		if request, err = systemctl.ParseLine(line, request); err != nil {
			return 1
		}
		if status := s.answer(ctx, request, systemctl.DoneMarker(request.Nonce), stdout); status != 0 {
			return status
		}
	}
}

// answer writes the answer to a question, and done behind it.
func (s *station) answer(ctx context.Context, request systemctl.Request, done string, stdout io.Writer) int {
	buffer := s.fleet.buffer()
	defer s.fleet.buffers.Put(buffer)
	asked, version := time.Now(), 0
	answered := s.await(ctx, func(now time.Time) {
		version = s.host.version
		*buffer = append(s.host.answer((*buffer)[:0], request, now), done...)
	})
	if !answered || !pause(ctx, s.fleet.latency) {
		return -1
	}
	if done == "" {
		sshtest.Last(ctx)
	}
	if _, err := stdout.Write(*buffer); err != nil {
		return -1 // The client is gone.
	}
	if s.fleet.served != nil && request.Globs == nil {
		s.fleet.served(s.host.name, version, asked)
	}
	return 0
}

// operate runs an operator's command.
func (s *station) operate(ctx context.Context, o systemctl.Operation, stderr io.Writer) int {
	var said string
	status := -1
	if !s.await(ctx, func(now time.Time) { said, status = s.host.operate(o, now) }) {
		return -1
	}
	_, _ = io.WriteString(stderr, said) // The client may be gone; what is done is done.
	return status
}

// await brings the host up to the present and calls do if it answers, as soon as it does. It reports false if the host
// is away, or ctx ended first.
func (s *station) await(ctx context.Context, do func(now time.Time)) bool {
	for {
		thaw, ok := s.meet(time.Now(), do) //nolint:contextcheck // A connection does not bound how long its host is away.
		if thaw == 0 {
			return ok
		}
		if !pause(ctx, thaw) {
			return false
		}
	}
}

// pause waits for d, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// meet calls do if the host answers now. Otherwise it returns how long the host is frozen, or 0 if it is away.
func (s *station) meet(now time.Time, do func(now time.Time)) (thaw time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host.advance(now)
	switch s.host.out {
	case present:
		do(now)
		return 0, true
	case frozen:
		return max(s.host.until.Sub(now), time.Millisecond), false
	default:
		s.leave()
		return 0, false
	}
}

// leave makes a host that is away so for everyone, until it comes back.
func (s *station) leave() {
	if !s.away && s.fleet.ctx.Err() == nil {
		s.away = true
		s.server.Suspend()
		until := s.host.until
		s.fleet.returning.Go(func() { s.comeBack(until) })
	}
}

// comeBack resumes the server at that moment. Its port is free as a rule, else it waits.
func (s *station) comeBack(at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	for {
		select {
		case <-s.fleet.ctx.Done():
			return
		case <-timer.C:
		}
		s.mu.Lock()
		s.away = s.server.Resume() != nil
		back := !s.away
		s.mu.Unlock()
		if back {
			return
		}
		timer.Reset(time.Second)
	}
}

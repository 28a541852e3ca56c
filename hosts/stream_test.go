package hosts_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// A streamer is a host that answers over streams, and commands of their own.
type streamer struct {
	// line, where set, is called before each line is answered; what it returns ends the stream.
	line func(stdout io.Writer) error
	// refuse says that no stream is let run.
	refuse bool
	open   atomic.Int64 // streams that run

	mu                       sync.Mutex
	streams, lines, commands int
}

func (s *streamer) count() (streams, lines, commands int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams, s.lines, s.commands
}

func (s *streamer) interact(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int {
	s.mu.Lock()
	stream := command == systemctl.StreamCommand
	if stream {
		s.streams++
	} else {
		s.commands++
	}
	refuse, line := s.refuse, s.line
	s.mu.Unlock()
	switch {
	case !stream:
		return systemd("252")(ctx, command, stdout, stderr)
	case refuse:
		_, _ = io.WriteString(stderr, "service_manager-report: refused (another command)\n")
		return 126
	}
	s.open.Add(1)
	defer s.open.Add(-1)
	var request systemctl.Request
	for lines := bufio.NewReader(stdin); ; {
		text, err := lines.ReadString('\n')
		if err != nil {
			return 0
		}
		if request, err = systemctl.ParseLine(text, request); err != nil {
			return 1
		}
		s.mu.Lock()
		s.lines++
		s.mu.Unlock()
		if line != nil {
			if err := line(stdout); err != nil {
				return 1
			}
		}
		answer(request, "252", stdout)
		_, _ = io.WriteString(stdout, systemctl.DoneMarker(request.Nonce))
	}
}

// streams connects to a host with mode = "stream".
func streams(t *testing.T, s *streamer, config sshtest.Config) (*hosts.Pool, inventory.Host) {
	t.Helper()
	l := newLab(t)
	config.Interact = s.interact
	l.add(t, "web-01", config)
	pool := l.pool(t)
	h := l.host("web-01", nil)
	h.SSH.Mode = inventory.ModeStream
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return pool, h
}

// All polls of a connection are one session; what they bring is what commands would.
func TestStreamAnswersPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streamer{}
		pool, h := streams(t, s, sshtest.Config{})
		defer pool.Close()
		plain := h
		plain.SSH.Mode = inventory.ModeExec
		var wants []hosts.Snapshot
		for n := range 2 {
			plain.Units = h.Units[:2-n]
			want, err := pool.Poll(t.Context(), plain)
			if err != nil {
				t.Fatal(err)
			}
			wants = append(wants, want)
		}
		for i := range 10 {
			want := wants[i/5]
			h.Units = h.Units[:len(want.Units)] // From the middle on another question.
			got, err := pool.Poll(t.Context(), h)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(hosts.Snapshot{}, "Took")); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			time.Sleep(time.Minute)
		}
		if streams, lines, commands := s.count(); streams != 1 || lines != 10 || commands != 2 {
			t.Errorf("%d streams, %d lines, %d commands; want 1, 10, 2", streams, lines, commands)
		}
	})
}

// A poll whose stream fails, in whatever way, is asked again by a command at once; after that there is a new stream.
func TestStreamFailsOver(t *testing.T) {
	for name, failure := range map[string]func(stdout io.Writer) error{
		"ends":         func(io.Writer) error { return errors.New("ended") },
		"ends amid it": func(w io.Writer) error { _, _ = io.WriteString(w, "\n--BEGIN-"); return errors.New("ended") },
		"another answer": func(w io.Writer) error {
			answer(systemctl.Request{Nonce: systemctl.NewNonce()}, "252", w)
			return errors.New("ended")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &streamer{line: failure}
				pool, h := streams(t, s, sshtest.Config{})
				defer pool.Close()
				if _, err := pool.Poll(t.Context(), h); err != nil {
					t.Fatal(err)
				}
				if streams, lines, commands := s.count(); streams != 1 || lines != 1 || commands != 1 {
					t.Errorf("%d streams, %d lines, %d commands; want 1 each", streams, lines, commands)
				}
				s.mu.Lock()
				s.line = nil
				s.mu.Unlock()
				for range 3 {
					if _, err := pool.Poll(t.Context(), h); err != nil {
						t.Fatal(err)
					}
				}
				if streams, lines, commands := s.count(); streams != 2 || lines != 4 || commands != 1 {
					t.Errorf("then %d streams, %d lines, %d commands; want 2, 4, 1", streams, lines, commands)
				}
			})
		})
	}
}

// A host that lets no stream run is asked by commands, and not for a stream without end.
func TestStreamRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streamer{refuse: true}
		pool, h := streams(t, s, sshtest.Config{})
		defer pool.Close()
		for range 20 {
			if _, err := pool.Poll(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		if streams, _, commands := s.count(); streams > 3 || commands != 20 {
			t.Errorf("%d streams were tried, %d commands; want at most 3, and 20", streams, commands)
		}
		if stats := pool.Stats(); stats.Stuck != 0 || stats.LeftBehind != 0 {
			t.Errorf("%+v", stats)
		}
	})
}

// Doctor says so of a host that lets no stream run, and nothing of one that does, whose session it does not miss.
func TestExamineStream(t *testing.T) {
	stream := func(h *inventory.Host) { h.SSH.Mode = inventory.ModeStream }
	for _, refuse := range []bool{true, false} {
		r := examine(t, sshtest.Config{Interact: (&streamer{refuse: refuse}).interact, MaxSessions: 3}, stream, 0)
		if got := slices.Contains(trouble(r), "query: no_stream"); got != refuse || r.Outcome != hosts.OK || slices.Contains(trouble(r), "sessions: few_sessions") {
			t.Errorf("refuses: %t; %s, %v", refuse, r.Outcome, trouble(r))
		}
	}
}

// A question that is not answered in time is a timeout, and its stream left behind; the next one is asked by a command.
func TestStreamHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streamer{line: func(io.Writer) error { time.Sleep(time.Hour); return errors.New("ended") }}
		pool, h := streams(t, s, sshtest.Config{})
		defer pool.Close()
		began := time.Now()
		_, err := pool.Poll(t.Context(), h)
		if took := time.Since(began); hosts.OutcomeOf(err) != hosts.Timeout || took != h.Timeout {
			t.Errorf("%v after %v; want a timeout after %v", err, took, h.Timeout)
		}
		if stats := pool.Stats(); stats.LeftBehind != 1 {
			t.Errorf("%d commands were left behind, want 1", stats.LeftBehind)
		}
		if _, err := pool.Poll(t.Context(), h); err != nil {
			t.Errorf("by a command: %v", err)
		}
		if streams, _, commands := s.count(); streams != 1 || commands != 1 {
			t.Errorf("%d streams, %d commands; want 1 each", streams, commands)
		}
		time.Sleep(2 * time.Hour)
		if stats := pool.Stats(); stats.Stuck != 0 {
			t.Errorf("%d commands are stuck after they ended", stats.Stuck)
		}
	})
}

// What is beyond the bound ends the connection, as with a command.
func TestStreamFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streamer{line: func(w io.Writer) error {
			for range 100 {
				if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
					return err
				}
			}
			return nil
		}}
		pool, h := streams(t, s, sshtest.Config{})
		defer pool.Close()
		if _, err := pool.Poll(t.Context(), h); hosts.OutcomeOf(err) != hosts.ProtocolError || pool.Connected(h.Name) {
			t.Errorf("%v, connected: %t", err, pool.Connected(h.Name))
		}
	})
}

// Where sshd allows one session, a stream makes room for what is no poll.
func TestStreamWithOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streamer{}
		pool, h := streams(t, s, sshtest.Config{MaxSessions: 1})
		defer pool.Close()
		if _, err := pool.Poll(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		err := pool.Operate(t.Context(), h, systemctl.Operation{Verb: systemctl.Restart, Unit: "nginx.service"})
		if _, answered := errors.AsType[*systemctl.OperationError](err); !answered { // This host knows no such command.
			t.Error(err)
		}
		if _, err := pool.Poll(t.Context(), h); err != nil {
			t.Error(err)
		}
		if streams, _, commands := s.count(); streams != 1 || commands != 2 {
			t.Errorf("%d streams, %d commands; want 1, and 2", streams, commands)
		}
	})
}

// A host whose mode a reload has changed has no shell left on it.
func TestStreamEndsWithItsMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streamer{}
		pool, h := streams(t, s, sshtest.Config{})
		defer pool.Close()
		for i, mode := range []string{inventory.ModeStream, inventory.ModeExec, inventory.ModeStream} {
			h.SSH.Mode = mode
			if _, err := pool.Poll(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if open, want := s.open.Load(), int64(1-i%2); open != want {
				t.Errorf("%s: %d streams run on the host, want %d", mode, open, want)
			}
		}
	})
}

// A connection that breaks, or is closed, takes its stream with it.
func TestStreamEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := &streamer{}
		server := l.add(t, "web-01", sshtest.Config{Interact: s.interact})
		pool := l.pool(t)
		h := l.host("web-01", nil)
		h.SSH.Mode = inventory.ModeStream
		for range 2 {
			if err := pool.Connect(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Poll(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			server.Disconnect()
			synctest.Wait()
			if _, err := pool.Poll(t.Context(), h); !errors.Is(err, hosts.ErrNotConnected) {
				t.Errorf("over a connection that broke: %v", err)
			}
		}
		if err := pool.Connect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Poll(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		pool.Close() // The bubble fails if a goroutine is left.
	})
}

package hosts_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
	"service_manager/hosts/sshtest"
)

func nginxLog() journalctl.Query { return journalctl.Query{Unit: "nginx.service", Lines: 10} }

func following() journalctl.Query {
	return journalctl.Query{Unit: "nginx.service", Lines: journalctl.All, Follow: true}
}

// begins prints what comes before the answer to a command.
func begins(command string, stdout io.Writer) {
	if q, err := journalctl.ParseCommand(command); err == nil {
		_, _ = io.WriteString(stdout, q.Begin())
	}
}

// logged is an entry as journalctl prints it.
func logged(message string) []byte {
	return journalctl.Entry{Time: time.UnixMicro(1), Cursor: "s=1", Priority: 6, Message: message}.Append(nil)
}

// interact is what a command does on a host.
type interact = func(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int

// reads reads a journal in a lab, on a host whose shell is run.
func reads(ctx context.Context, t *testing.T, run interact, q journalctl.Query, silence time.Duration, each func(journalctl.Entry) error) error {
	t.Helper()
	l := newLab(t)
	l.add(t, "web-01", sshtest.Config{Interact: func(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int {
		begins(command, stdout)
		return run(ctx, command, stdin, stdout, stderr)
	}})
	pool := l.pool(t)
	defer pool.Close()
	h := l.host("web-01", nil)
	if err := pool.Connect(t.Context(), h); err != nil { //nolint:contextcheck // Likewise.
		t.Fatal(err)
	}
	return pool.Journal(ctx, h, q, silence, each)
}

func TestJournalReadsToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked string
		var got []string
		err := reads(t.Context(), t, func(_ context.Context, command string, _ io.Reader, stdout, _ io.Writer) int {
			asked = command
			for i := range 1000 { // More than any window holds.
				_, _ = stdout.Write(logged(strconv.Itoa(i) + strings.Repeat("x", 10_000)))
			}
			return 0
		}, nginxLog(), 0, func(e journalctl.Entry) error {
			got = append(got, strings.TrimRight(e.Message, "x"))
			return nil
		})
		if err != nil || len(got) != 1000 || got[999] != "999" {
			t.Errorf("%d entries, %v", len(got), err)
		}
		q, err := journalctl.ParseCommand(asked)
		if q.Nonce = ""; err != nil || q != nginxLog() {
			t.Errorf("asked %s: %+v, %v", asked, q, err)
		}
	})
}

// Whoever reads slowly holds up the host, and is not taken for its silence.
func TestJournalWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int64
		entries := 0
		err := reads(t.Context(), t, func(_ context.Context, _ string, _ io.Reader, stdout, _ io.Writer) int {
			for range 100 {
				n, _ := stdout.Write(logged(strings.Repeat("x", 100_000)))
				written.Add(int64(n))
			}
			return 0
		}, nginxLog(), 5*time.Second, func(journalctl.Entry) error {
			if entries++; entries == 1 {
				time.Sleep(time.Minute)
				if n := written.Load(); n > 4<<20 {
					t.Errorf("%d bytes were sent that no one reads", n)
				}
			}
			return nil
		})
		if err != nil || entries != 100 {
			t.Errorf("%d entries, %v", entries, err)
		}
	})
}

// What is followed ends with the context, and standard input on the host with it.
func TestJournalEndsTheCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		err := reads(ctx, t, func(_ context.Context, _ string, stdin io.Reader, stdout, _ io.Writer) int {
			for i := range 3 {
				_, _ = stdout.Write(logged(strconv.Itoa(i)))
				time.Sleep(time.Hour)
			}
			go cancel()
			_, _ = io.Copy(io.Discard, stdin)
			close(ended)
			return 143
		}, following(), time.Second, func(e journalctl.Entry) error {
			got = append(got, e.Message)
			return nil
		})
		<-ended
		if hosts.OutcomeOf(err) != hosts.Timeout || !strings.Contains(err.Error(), "interrupted") || !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestJournalEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		err := reads(t.Context(), t, func(_ context.Context, _ string, stdin io.Reader, stdout, _ io.Writer) int {
			_, _ = stdout.Write(logged("one"))
			_, _ = io.Copy(io.Discard, stdin)
			return 143
		}, following(), 0, func(journalctl.Entry) error { return enough })
		if err != enough { //nolint:errorlint // as it is
			t.Error(err)
		}
	})
}

// A journalctl that comes to a halt is given up; one that follows may keep silent.
func TestJournalSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		halt := func(_ context.Context, _ string, stdin io.Reader, stdout, _ io.Writer) int {
			_, _ = stdout.Write(logged("one"))
			_, _ = io.Copy(io.Discard, stdin)
			return 143
		}
		none := func(journalctl.Entry) error { return nil }
		began := time.Now()
		err := reads(t.Context(), t, halt, nginxLog(), 30*time.Second, none)
		if hosts.OutcomeOf(err) != hosts.Timeout || !strings.Contains(err.Error(), "not a line in 30s") {
			t.Error(err)
		}
		if took := time.Since(began); took > 32*time.Second {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		began = time.Now()
		if err := reads(ctx, t, halt, following(), 30*time.Second, none); time.Since(began) < 24*time.Hour {
			t.Errorf("following ended after %v: %v", time.Since(began), err)
		}
	})
}

// A host that is frozen while its journal is followed is found out.
func TestJournalFrozenHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		server := l.add(t, "web-01", sshtest.Config{Interact: func(_ context.Context, command string, stdin io.Reader, stdout, _ io.Writer) int {
			begins(command, stdout)
			_, _ = stdout.Write(logged("one"))
			_, _ = io.Copy(io.Discard, stdin)
			return 143
		}})
		pool := l.pool(t)
		defer pool.Close()
		h := l.host("web-01", nil)
		if err := pool.Connect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, server.Freeze)
		began := time.Now()
		err := pool.Journal(t.Context(), h, following(), 0, func(journalctl.Entry) error { return nil })
		server.Thaw()
		if !errors.Is(err, hosts.ErrNotConnected) {
			t.Error(err)
		}
		if took := time.Since(began); took < time.Minute || took > time.Minute+40*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A host that freezes before its journal is read is given up too, in the time of one that keeps silent, or of a probe.
func TestJournalFrozenBeforehand(t *testing.T) {
	for _, q := range []journalctl.Query{nginxLog(), following()} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			server := l.add(t, "web-01", sshtest.Config{Exec: systemd("252")})
			pool := l.pool(t)
			defer pool.Close()
			h := l.host("web-01", nil)
			if err := pool.Connect(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			server.Freeze()
			began := time.Now()
			err := pool.Journal(t.Context(), h, q, 10*time.Second, func(journalctl.Entry) error { return nil })
			server.Thaw()
			if took := time.Since(began); err == nil || took > 40*time.Second {
				t.Errorf("following: %t: %v after %v", q.Follow, err, took)
			}
		})
	}
}

// The entry from which it goes on is not told again; if the journal has it no more, the first one is not taken for it.
func TestJournalGoesOn(t *testing.T) {
	for after, want := range map[string][]string{"s=1": {"two"}, "s=0": {"one", "two"}} {
		synctest.Test(t, func(t *testing.T) {
			q := following()
			q.Follow, q.After = false, after
			var got []string
			err := reads(t.Context(), t, func(_ context.Context, _ string, _ io.Reader, stdout, _ io.Writer) int {
				_, _ = stdout.Write(logged("one"))
				_, _ = stdout.Write(bytes.Replace(logged("two"), []byte("s=1"), []byte("s=2"), 1))
				return 0
			}, q, 0, func(e journalctl.Entry) error {
				got = append(got, e.Message)
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %v, %v; want %v", after, got, err, want)
			}
		})
	}
}

func TestJournalExplains(t *testing.T) {
	const hint = "Hint: You are currently not seeing messages from other users and the system.\n"
	for _, test := range []struct {
		stdout, stderr string
		status         int
		want           hosts.Outcome
		is             error
		tells          string
	}{
		{"", "No journal files were opened due to insufficient permissions.\n", 1, hosts.Denied, journalctl.ErrNotPermitted, "may not read the journal"},
		{"", "No journal files were found.\n", 0, hosts.CommandFailed, journalctl.ErrNoJournal, "there is no journal"},
		{"", "sh: 1: journalctl: not found\n", 127, hosts.NoSystemd, nil, "journalctl is not there"},
		{"", "Failed to add filter for units: Invalid argument\n", 1, hosts.CommandFailed, nil, "exit status 1: Failed to add filter"},
		{"", "service_manager-report: refused (another command): this key may only report status\n", 126, hosts.Denied, nil, "bound to reporting status"},
		{"", "Terminated\n", 143, hosts.CommandFailed, journalctl.ErrKilled, "by a signal"},
		{"Welcome!\n", "", 0, hosts.ProtocolError, journalctl.ErrOutput, "Welcome!"},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := reads(t.Context(), t, func(_ context.Context, _ string, _ io.Reader, stdout, stderr io.Writer) int {
				_, _ = io.WriteString(stdout, test.stdout)
				_, _ = io.WriteString(stderr, test.stderr)
				return test.status
			}, nginxLog(), 0, func(journalctl.Entry) error { return nil })
			if hosts.OutcomeOf(err) != test.want || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.tells) ||
				!strings.HasPrefix(err.Error(), "monitor@web-01:22: ") {
				t.Errorf("%s: %v; want %s, %q", hosts.OutcomeOf(err), err, test.want, test.tells)
			}
		})
	}
	// An account that sees only its own lines is told so, though journalctl goes on.
	synctest.Test(t, func(t *testing.T) {
		err := reads(t.Context(), t, func(_ context.Context, _ string, stdin io.Reader, _, stderr io.Writer) int {
			_, _ = io.WriteString(stderr, hint)
			_, _ = io.Copy(io.Discard, stdin)
			return 143
		}, following(), 0, func(journalctl.Entry) error { return nil })
		if hosts.OutcomeOf(err) != hosts.Denied || !errors.Is(err, journalctl.ErrNotPermitted) {
			t.Error(err)
		}
	})
}

// An old journalctl is asked again, in the way that it knows.
func TestJournalOfAnOldHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []bool
		entries := 0
		err := reads(t.Context(), t, func(_ context.Context, command string, _ io.Reader, stdout, stderr io.Writer) int {
			q, err := journalctl.ParseCommand(command)
			if err != nil {
				t.Error(err)
			}
			if asked = append(asked, q.Old); !q.Old {
				_, _ = io.WriteString(stderr, "journalctl: unrecognized option '--output-fields=MESSAGE'\n")
				return 1
			}
			_, _ = stdout.Write(logged("one"))
			return 0
		}, nginxLog(), 0, func(journalctl.Entry) error {
			entries++
			return nil
		})
		if err != nil || entries != 1 || !slices.Equal(asked, []bool{false, true}) {
			t.Errorf("%d entries, asked %v, %v", entries, asked, err)
		}
	})
}

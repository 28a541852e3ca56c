package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
	"service_manager/inventory"
)

// A journalScript is a host in whose place journals are read: step by step, for each connection.
type journalScript struct {
	mu    sync.Mutex
	steps []journalStep
	asked []journalctl.Query
	dials []time.Time
}

// A journalStep is what becomes of a connection: it does not come about, or it brings so many entries and then the error; with none it
// lasts.
type journalStep struct {
	refused error
	entries []journalctl.Entry
	err     error
	last    bool
}

func (s *journalScript) Connect(context.Context, inventory.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, time.Now())
	if refused := s.steps[0].refused; refused != nil {
		s.steps = s.steps[1:]
		return refused
	}
	return nil
}

func (s *journalScript) Journal(
	ctx context.Context, _ inventory.Host, q journalctl.Query, _ time.Duration, each func(journalctl.Entry) error,
) error {
	s.mu.Lock()
	s.asked = append(s.asked, q)
	step := s.steps[0]
	s.steps = s.steps[1:]
	s.mu.Unlock()
	for _, e := range step.entries {
		if err := each(e); err != nil {
			return err
		}
	}
	if step.last {
		<-ctx.Done()
		return &hosts.Error{Outcome: hosts.Timeout, Err: context.Cause(ctx)}
	}
	return step.err
}

func entriesOf(seconds ...int) []journalctl.Entry {
	var entries []journalctl.Entry
	for _, n := range seconds {
		entries = append(entries, journalctl.Entry{Time: logBase().Add(time.Duration(n) * time.Second), Cursor: fmt.Sprint("s=", n), Message: fmt.Sprint(n)})
	}
	return entries
}

// readScript reads one host by script for an hour at most, and returns what came, what was told, and the trouble at the end.
func readScript(t *testing.T, s *journalScript, q journalctl.Query) (messages, told []string, trouble error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	h := &logHost{host: inventory.Host{Name: "web-01"}, seen: func(bool) {}}
	h.deliver = func(_ context.Context, l logLine) error {
		messages = append(messages, l.entry.Message)
		return nil
	}
	r := &logReader{
		pool: s, query: q, began: time.Now(), hosts: []*logHost{h}, limits: inventory.Collector{Dials: 4, DialsPerJump: 2, DialRate: 100},
		tell: func(_, text string) { told = append(told, text) },
	}
	r.run(ctx)
	return messages, told, h.trouble
}

func brokenConnection() error {
	return &hosts.Error{Outcome: hosts.ProtocolError, Err: fmt.Errorf("%w: connection lost", hosts.ErrNotConnected)}
}

// A journal that is followed goes on behind its last line when the host comes back, however long that takes; it is told once.
func TestFollowingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unreachable := &hosts.Error{Outcome: hosts.Unreachable, Err: errors.New("connection refused")}
		s := &journalScript{steps: []journalStep{
			{entries: entriesOf(1, 2), err: brokenConnection()},
			{refused: unreachable},
			{refused: unreachable},
			{refused: unreachable},
			{refused: unreachable},
			{refused: unreachable},
			{refused: unreachable},
			{entries: entriesOf(3), last: true},
		}}
		messages, told, trouble := readScript(t, s, journalctl.Query{Unit: "a.service", Lines: 10, Follow: true})
		if !slices.Equal(messages, []string{"1", "2", "3"}) || trouble != nil {
			t.Errorf("%v, %v", messages, trouble)
		}
		if q := s.asked[1]; q.After != "s=2" || q.Lines != journalctl.All || !q.Follow {
			t.Errorf("it went on with %+v", q)
		}
		if len(told) != 2 || !strings.HasPrefix(told[0], "the connection broke, ") || !strings.HasPrefix(told[1], "connected again") {
			t.Errorf("told: %q", told)
		}
		if slowest := s.dials[7].Sub(s.dials[6]); slowest > lastLogRetry || s.dials[1].Sub(s.dials[0]) > firstLogRetry {
			t.Errorf("dialled at %v", s.dials)
		}
	})
}

// Of a host that had not logged anything yet, what it logs while it is away is not lost either.
func TestFollowingGoesOnWithoutALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &journalScript{steps: []journalStep{{err: brokenConnection()}, {last: true}}}
		if _, _, trouble := readScript(t, s, journalctl.Query{Unit: "a.service", Follow: true}); trouble != nil {
			t.Error(trouble)
		}
		if q := s.asked[1]; !q.Since.Equal(began) || q.Lines != journalctl.All {
			t.Errorf("it went on with %+v; want what was logged since it began", q)
		}
	})
}

// A journalctl that is killed there, as by a shutdown, is asked for again; a host that could not be reached at first shows its last lines.
func TestFollowingOutlivesJournalctl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unreachable := &hosts.Error{Outcome: hosts.Unreachable, Err: errors.New("connection refused")}
		killed := &hosts.Error{Outcome: hosts.CommandFailed, Err: journalctl.ErrKilled}
		s := &journalScript{steps: []journalStep{{refused: unreachable}, {entries: entriesOf(1), err: killed}, {entries: entriesOf(2), last: true}}}
		messages, told, trouble := readScript(t, s, journalctl.Query{Unit: "a.service", Lines: 10, Follow: true})
		if !slices.Equal(messages, []string{"1", "2"}) || trouble != nil || len(told) != 4 || told[1] != "connected now" {
			t.Errorf("%v, told %q, %v", messages, told, trouble)
		}
		if q := s.asked[0]; q.Lines != 10 || !q.Since.IsZero() {
			t.Errorf("at first it asked %+v", q)
		}
	})
}

// What a person has to mend is told at once, and not tried again.
func TestFollowingEndsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := &hosts.Error{Outcome: hosts.Denied, Err: journalctl.ErrNotPermitted}
		s := &journalScript{steps: []journalStep{{err: denied}}}
		_, told, trouble := readScript(t, s, journalctl.Query{Unit: "a.service", Follow: true})
		if !errors.Is(trouble, denied) || len(told) != 1 || len(s.dials) != 1 {
			t.Errorf("%v, told %q, %d dials", trouble, told, len(s.dials))
		}
	})
}

// Without -f a connection that breaks is made again once, and the rest is read.
func TestReadingGoesOnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &journalScript{steps: []journalStep{{entries: entriesOf(1), err: brokenConnection()}, {entries: entriesOf(2), err: brokenConnection()}}}
		messages, _, trouble := readScript(t, s, journalctl.Query{Unit: "a.service", Lines: 10})
		if !slices.Equal(messages, []string{"1", "2"}) || !errors.Is(trouble, hosts.ErrNotConnected) || s.asked[1].After != "s=1" {
			t.Errorf("%v, %v, asked %+v", messages, trouble, s.asked)
		}
	})
}

// Lines of a host whose clock was set back stay in the order in which it logged them.
func TestKeysDoNotGoBack(t *testing.T) {
	var keys []time.Time
	h := &logHost{seen: func(bool) {}, deliver: func(_ context.Context, l logLine) error {
		keys = append(keys, l.key)
		return nil
	}}
	for _, e := range entriesOf(5, 3, 6) {
		if err := h.take(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if !keys[1].Equal(keys[0]) || !keys[2].After(keys[1]) {
		t.Errorf("%v", keys)
	}
}

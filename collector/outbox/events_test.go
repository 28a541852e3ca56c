package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

func TestEventsInOrderOneAtATime(t *testing.T) {
	o := inMemory(t)
	commit(t, o, "a", "1", 2)
	commit(t, o, "b", "1", 1)
	commit(t, o, "a", "2", 1)
	commit(t, o, "c", "1", 0)
	if !ready(o) {
		t.Error("not ready although events wait")
	}
	expect(t, o, 4, "a#1", "b#1")
	settle(o, publish.Confirmed, "a#1")
	expect(t, o, 3, "a#2")
	settle(o, publish.Confirmed, "b#1", "a#2")
	expect(t, o, 1, "a#3")
	settle(o, publish.Lost, "a#3")
	expect(t, o, 1, "a#3")
	settle(o, publish.Confirmed, "a#3")
	settle(o, publish.Confirmed, "a#3") // A second time, against the contract: nothing.
	expect(t, o, 0)
}

func TestEventsThenNoticesThenStatuses(t *testing.T) {
	o := inMemory(t)
	put(o, "a/1")
	o.PutNotice(publish.Notice{ID: "n/1", Collector: "fleet-a", Event: publish.CollectorHeartbeat})
	o.PutNotice(publish.Notice{ID: "n/2", Collector: "fleet-a", Event: publish.CollectorHeartbeat})
	o.PutNotice(publish.Notice{ID: "s/1", Collector: "fleet-a", Event: publish.CollectorStarted})
	commit(t, o, "a", "1", 1)
	expect(t, o, 4, "a#1", "n/2", "s/1", "a/1")
	settle(o, publish.Confirmed, "a#1", "n/2", "s/1", "a/1")
	expect(t, o, 0)
}

// bodyOf returns the next message and its body, as T.
func bodyOf[T any](t *testing.T, o *outbox.Outbox) (publish.Message, T) {
	t.Helper()
	m, ok := o.Take()
	if !ok {
		t.Fatal("there is nothing to take")
	}
	return m, decode[T](t, m)
}

func decode[T any](t *testing.T, m publish.Message) (body T) {
	t.Helper()
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEventSeqIsTheLastConfirmed(t *testing.T) {
	config := onDisk(t)
	config.StatusTTL = time.Minute
	o := open(t, config)
	next := func(want uint64) publish.Message {
		t.Helper()
		m, s := bodyOf[publish.Status](t, o)
		if s.EventSeq != want || s.Epoch != o.Epoch() || m.TTL != time.Minute {
			t.Errorf("event_seq %d in epoch %s with TTL %v, want %d in %s with 1m", s.EventSeq, s.Epoch, m.TTL, want, o.Epoch())
		}
		return m
	}
	commit(t, o, "a", "1", 3)
	put(o, "a/1")
	expect := func(event string) {
		t.Helper()
		if m, _ := o.Take(); name(m) != event {
			t.Fatalf("took %s, want %s", name(m), event)
		}
	}
	expect("a#1")
	m := next(0)
	settle(o, publish.Confirmed, "a#1")
	if a, none := o.Confirmed("a"), o.Confirmed("b"); a != 1 || none != 0 {
		t.Errorf("%d confirmed of one host, and %d of one without events, want 1 and 0", a, none)
	}
	expect("a#2")
	o.Settle(m, publish.Lost)
	if again := next(0); string(again.Body) != string(m.Body) {
		t.Error("the body has changed in a repetition")
	}
	settle(o, publish.Confirmed, "a/1")
	put(o, "a/2")
	next(1)
	settle(o, publish.Confirmed, "a#2", "a/2")
	closeBox(t, o)

	o = open(t, config)
	put(o, "a/3", "b/1")
	expect("a#3")
	next(2)
	next(0) // Of b.
	settle(o, publish.Confirmed, "a#3")
	closeBox(t, o)

	o = open(t, config)
	put(o, "a/4")
	next(3)
}

func TestReopen(t *testing.T) {
	config := onDisk(t)
	o := open(t, config)
	epoch := o.Epoch()
	if len(o.States()) != 0 {
		t.Error("a new file has states")
	}
	commit(t, o, "a", "old", 1)
	commit(t, o, "a", "new", 2)
	commit(t, o, "b", "", 1)
	if err := o.Commit("c", nil, changes("c", 1)); err != nil {
		t.Fatal(err)
	}
	before, _ := o.Take()
	closeBox(t, o)

	o = open(t, config)
	if o.Epoch() != epoch {
		t.Errorf("epoch %s, before %s", o.Epoch(), epoch)
	}
	if diff := cmp.Diff(map[string][]byte{"a": []byte("new"), "b": {}}, o.States()); diff != "" {
		t.Error("states -want +got:\n" + diff)
	}
	if o.States() != nil {
		t.Error("the states are kept for ever")
	}
	got := map[string]publish.Message{}
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		got[name(m)] = m
		o.Settle(m, publish.Confirmed)
	}
	if len(got) != 5 {
		t.Errorf("took %d events, want 5", len(got))
	}
	before.Time = before.Time.UTC().Truncate(time.Millisecond)
	if diff := cmp.Diff(before, got[name(before)]); diff != "" {
		t.Error("the message -before +after:\n" + diff)
	}
	commit(t, o, "c", "1", 1) // It is in the inventory again.
	expect(t, o, 1, "c#2")
	closeBox(t, o)

	o = open(t, config)
	expect(t, o, 1, "c#2")
	if s := o.Stats(); s.Events != 1 || s.Bytes == 0 || s.InFlight != 1 {
		t.Errorf("stats: %+v", s)
	}
}

func TestAnEventThatCanNeverBeSent(t *testing.T) {
	config := onDisk(t)
	config.MaxBody = 2000
	o := open(t, config)
	events := changes("a", 3)
	long := make([]byte, 2000)
	for i := range long {
		long[i] = 'x'
	}
	events[1].Host.Labels = map[string]string{"long": string(long)}
	events[1].Unit = nil
	commitErr := o.Commit("a", []byte("1"), events)
	if commitErr != nil {
		t.Fatal(commitErr)
	}
	// The gap has the host's labels too.
	if got := o.Stats(); got.Quarantined == 0 {
		t.Errorf("stats: %+v", got)
	}
	_, first := bodyOf[publish.Event](t, o)
	if first.Seq != 1 {
		t.Errorf("first is %d", first.Seq)
	}
}

// While it has no room it comes again with each poll.
func TestAnEventThatCanNeverBeSentIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	o := open(t, outbox.Config{MaxMessages: 10, MaxBody: 2000, Log: slog.New(slog.NewTextHandler(&log, nil))})
	commit(t, o, "b", "1", 10)
	events := changes("a", 1)
	events[0].After = &publish.EventState{Unit: &publish.UnitState{Name: strings.Repeat("x", 2000)}}
	for range 5 {
		if err := o.Commit("a", []byte("1"), events); !errors.Is(err, outbox.ErrFull) {
			t.Fatalf("got %v", err)
		}
	}
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		o.Settle(m, publish.Confirmed)
	}
	if err := o.Commit("a", []byte("1"), events); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "never be sent"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, log.String())
	}
}

func TestConcurrentEvents(t *testing.T) {
	o := open(t, onDisk(t))
	var committers, taker conc.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	last := map[string]uint64{}
	taker.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			m, ok := o.Take()
			switch {
			case !ok:
				select {
				case <-ctx.Done():
				case <-o.Ready():
				}
			case n%5 == 0:
				o.Settle(m, publish.Lost)
			default:
				if m.Type == publish.KindEvent {
					if m.Seq != last[m.Host]+1 {
						t.Errorf("%s after #%d", name(m), last[m.Host])
					}
					last[m.Host] = m.Seq
				}
				o.Settle(m, publish.Confirmed)
			}
		}
	})
	for h := range 20 {
		committers.Go(func() {
			host := fmt.Sprint("host-", h)
			for n := range 20 {
				if err := o.Commit(host, []byte("1"), changes(host, n%3)); err != nil {
					t.Error(err)
				}
				put(o, fmt.Sprintf("%s/%d", host, n))
				o.Backlog()
			}
		})
	}
	committers.Wait()
	if err := o.Drain(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	taker.Wait()
	for h := range 20 {
		if got := last[fmt.Sprint("host-", h)]; got != 19 {
			t.Errorf("host-%d ends with #%d", h, got)
		}
	}
}

func TestCloseUnblocksCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		closeBox(t, o)
		closeBox(t, o)
		if err := o.Commit("a", nil, nil); err == nil {
			t.Error("a commit after Close succeeds")
		}
		if _, ok := o.Take(); ok {
			t.Error("a message after Close")
		}
	})
}

func TestCommitRefusesNonsense(t *testing.T) {
	o := inMemory(t)
	for name, err := range map[string]error{
		"no host":    o.Commit("", nil, nil),
		"long host":  o.Commit(fmt.Sprintf("%0300d", 1), nil, nil),
		"other host": o.Commit("a", nil, changes("b", 1)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

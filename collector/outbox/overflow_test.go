package outbox_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// overflown returns an outbox that is full of events of host b, with a change of host a refused at the time that it returns.
func overflown(t *testing.T, config outbox.Config) (*outbox.Outbox, time.Time) {
	t.Helper()
	o := open(t, config)
	commit(t, o, "b", "1", config.MaxMessages)
	since := time.Now()
	for range 3 {
		if err := o.Commit("a", []byte("1"), changes("a", 1)); !errors.Is(err, outbox.ErrFull) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(time.Second)
	}
	return o, since
}

// confirmAll confirms all there is, and gives the committer time for what follows.
func confirmAll(o *outbox.Outbox) {
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		o.Settle(m, publish.Confirmed)
	}
	time.Sleep(time.Second)
	synctest.Wait()
}

// toldOf takes the only message, which must be the first of host a, a gap that begins at the time.
func toldOf(t *testing.T, o *outbox.Outbox, since time.Time) {
	t.Helper()
	m, e := bodyOf[publish.Event](t, o)
	if e.Gap == nil || e.Gap.Reason != publish.GapOutboxFull || !e.Gap.Since.Equal(since.Truncate(time.Millisecond)) ||
		e.Host.Name != "a" || e.Host.Group != "web" || e.Seq != 1 {
		t.Errorf("got %s, want a gap since %v", m.Body, since)
	}
	expect(t, o, 1)
	o.Settle(m, publish.Confirmed)
}

// The host is as it was, when there is room again, so that no event of it is to come.
func TestAnOverflowIsToldWithoutAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := onDisk(t)
		config.MaxMessages = 10
		o, since := overflown(t, config)
		confirmAll(o)
		toldOf(t, o, since)
		confirmAll(o)
		closeBox(t, o)
		o = open(t, config)
		commit(t, o, "a", "1", 1)
		expect(t, o, 1, "a#2") // No second gap.
	})
}

func TestAnOverflowSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := onDisk(t)
		config.MaxMessages = 10
		o, since := overflown(t, config)
		closeBox(t, o)
		o = open(t, config)
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, o, 10, "b#1") // There is no room for it yet.
		settle(o, publish.Confirmed, "b#1")
		for m, ok := o.Take(); ok; m, ok = o.Take() {
			o.Settle(m, publish.Confirmed)
		}
		closeBox(t, o)
		o = open(t, config)
		time.Sleep(time.Second)
		synctest.Wait()
		toldOf(t, o, since)
	})
}

// Thousands of overflows do not fill the outbox by being told of.
func TestOverflowsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, outbox.Config{MaxMessages: 100})
		commit(t, o, "b", "1", 100)
		const hosts = 1000
		for h := range hosts {
			host := fmt.Sprint("host-", h)
			if err := o.Commit(host, []byte("1"), changes(host, 1)); !errors.Is(err, outbox.ErrFull) {
				t.Fatalf("got %v", err)
			}
		}
		told := map[string]bool{}
		for range 100 {
			if s := o.Stats(); s.Events > 100 {
				t.Fatalf("%d events", s.Events)
			}
			for m, ok := o.Take(); ok; m, ok = o.Take() {
				if m.Event == publish.Gap {
					told[m.Host] = true
				}
				o.Settle(m, publish.Confirmed)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if len(told) != hosts {
			t.Errorf("told of %d hosts", len(told))
		}
	})
}

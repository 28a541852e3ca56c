package outbox_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// commitIn commits events of host a while it is in the group, by which their routing keys differ.
func commitIn(t *testing.T, o *outbox.Outbox, group string, n int) {
	t.Helper()
	events := changes("a", n)
	for i := range events {
		events[i].Host.Group = group
	}
	if err := o.Commit("a", []byte("1"), events); err != nil {
		t.Fatal(err)
	}
}

// unbound is a broker where no queue is bound for events of the group.
func unbound(group string) *fakeBroker {
	return &fakeBroker{fate: func(m publish.Message) publish.Fate {
		if m.Group == group {
			return publish.Unroutable
		}
		return publish.Confirmed
	}}
}

// A host has changed its group: what goes elsewhere is not dropped with what was returned.
func TestOtherKeysAreNotDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		commitIn(t, o, "old", 2)
		commitIn(t, o, "new", 3)
		b := unbound("old")
		b.run(o, 65*time.Minute)
		if got := fmt.Sprint(b.got); got != "[a#3 a#4 a#5 a#6]" || o.Stats().Dropped != 2 {
			t.Errorf("arrived: %v, dropped %d; want #3 to #5 and a gap", got, o.Stats().Dropped)
		}
	})
}

// The host changes its group only after its gap had to wait.
func TestAGapMakesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		b := unbound("old")
		commitIn(t, o, "old", 1)
		b.run(o, 3*time.Hour)
		commitIn(t, o, "new", 1)
		b.run(o, time.Minute)
		if got := fmt.Sprint(b.got); got != "[a#3 a#4]" {
			t.Errorf("arrived: %v, want the event and a gap", got)
		}
	})
}

// A gap waits, and events for the same key come behind it: they have their time, too.
func TestAGapDoesNotKeepWhatIsBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		b := &fakeBroker{fate: always(publish.Unroutable)}
		commit(t, o, "a", "1", 1)
		b.run(o, 3*time.Hour)
		commit(t, o, "a", "2", 3)
		b.run(o, 50*time.Minute)
		if s := o.Stats(); s.Events != 4 {
			t.Errorf("after 50 minutes: %+v", s)
		}
		b.run(o, 15*time.Minute)
		if s := o.Stats(); s.Events != 1 {
			t.Errorf("after 65 minutes: %+v", s)
		}
	})
}

// An event was returned once; then for days nothing is, and behind it others gather.
func TestTimeAwayDoesNotCount(t *testing.T) {
	for what, away := range map[string]func(*testing.T, *outbox.Outbox, outbox.Config) *outbox.Outbox{
		"the broker": func(_ *testing.T, o *outbox.Outbox, _ outbox.Config) *outbox.Outbox {
			time.Sleep(72 * time.Hour)
			return o
		},
		"the collector": func(t *testing.T, o *outbox.Outbox, config outbox.Config) *outbox.Outbox {
			t.Helper()
			closeBox(t, o)
			time.Sleep(72 * time.Hour)
			return open(t, config)
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := onDisk(t)
				o := open(t, config)
				b := &fakeBroker{fate: always(publish.Unroutable)}
				commit(t, o, "a", "1", 1)
				b.run(o, time.Minute)
				commit(t, o, "a", "2", 10)
				o = away(t, o, config)
				b.run(o, 50*time.Minute)
				if s := o.Stats(); s.Dropped != 0 {
					t.Errorf("after 51 minutes: %+v", s)
				}
				b.run(o, 15*time.Minute)
				if s := o.Stats(); s.Dropped != 1 {
					t.Errorf("after 66 minutes: %+v", s)
				}
			})
		})
	}
}

// A process that runs now and then, for moments, drops too what can never be sent.
func TestShortRunsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := onDisk(t)
		config.UnroutableFor = 5 * time.Minute
		o := open(t, config)
		commit(t, o, "a", "1", 3)
		closeBox(t, o)
		b := &fakeBroker{fate: always(publish.Unroutable)}
		dropped := uint64(0)
		for range 60 {
			o := open(t, config)
			b.run(o, 15*time.Second)
			dropped += o.Stats().Dropped
			closeBox(t, o)
			time.Sleep(time.Hour)
		}
		if dropped != 3 {
			t.Errorf("dropped %d after 15 minutes", dropped)
		}
	})
}

// So many that one transaction would take them all into memory.
func TestManyAreDroppedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, outbox.Config{})
		const events, parts = 25_000, 3
		commit(t, o, "a", "1", events)
		expect(t, o, events, "a#1")
		settle(o, publish.Unroutable, "a#1")
		synctest.Wait()
		if s := o.Stats(); s.Dropped != events || s.Events != parts || o.Len() != parts {
			t.Errorf("stats: %+v, want %d gaps", s, parts)
		}
		next := uint64(1)
		for range parts {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			m, e := bodyOf[publish.Event](t, o)
			if e.Gap == nil || *e.Gap.FirstSeq != next {
				t.Fatalf("got %s, want a gap from %d", m.Body, next)
			}
			next = *e.Gap.LastSeq + 1
			o.Settle(m, publish.Confirmed)
		}
		if next != events+1 {
			t.Errorf("gaps tell of all before %d", next)
		}
	})
}

// What is dropped is not read for it.
func TestADropTakesLittleMemory(t *testing.T) {
	config := onDisk(t)
	config.UnroutableFor = 0
	o := open(t, config)
	const megabytes = 40
	long := strings.Repeat("x", 100_000)
	for range megabytes {
		events := changes("a", 10)
		for i := range events {
			events[i].Host.Labels = map[string]string{"long": long}
		}
		if err := o.Commit("a", []byte("1"), events); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, o, megabytes*10, "a#1")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	settle(o, publish.Unroutable, "a#1")
	for o.Len() > 1 {
		time.Sleep(time.Millisecond)
	}
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > megabytes/8 {
		t.Errorf("dropping %d MB took %d MB of memory", megabytes, used)
	}
}

func TestTheWaitSurvivesACopyOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := onDisk(t)
		o := open(t, config)
		commit(t, o, "a", "1", 1)
		b := &fakeBroker{fate: always(publish.Unroutable)}
		b.run(o, 40*time.Minute)
		wasteful(t, o)
		closeBox(t, o)
		closeBox(t, open(t, config)) // Makes the copy.
		o = open(t, config)
		b.run(o, 25*time.Minute)
		if s := o.Stats(); s.Dropped != 1 {
			t.Errorf("after 65 minutes: %+v", s)
		}
	})
}

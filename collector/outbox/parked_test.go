package outbox_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// A fakeBroker takes messages as fate says, at once, and counts them.
type fakeBroker struct {
	fate  func(m publish.Message) publish.Fate
	tried map[string][]time.Time // By name, events only.
	got   []string
}

// run takes messages for so long.
func (b *fakeBroker) run(o *outbox.Outbox, d time.Duration) {
	if b.tried == nil {
		b.tried = map[string][]time.Time{}
	}
	end := time.After(d)
	for {
		m, ok := o.Take()
		if !ok {
			select {
			case <-end:
				return
			case <-o.Ready():
			}
			continue
		}
		time.Sleep(time.Millisecond) // A round trip.
		f := b.fate(m)
		if m.Type == publish.KindEvent {
			b.tried[name(m)] = append(b.tried[name(m)], time.Now())
		}
		if f == publish.Confirmed {
			b.got = append(b.got, name(m))
		}
		o.Settle(m, f)
	}
}

func always(f publish.Fate) func(publish.Message) publish.Fate {
	return func(publish.Message) publish.Fate { return f }
}

func TestASingleParkedHostIsTriedEachFiveSeconds(t *testing.T) {
	for _, f := range []publish.Fate{publish.Refused, publish.Unroutable, publish.Rejected} {
		t.Run(f.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := inMemory(t)
				commit(t, o, "a", "1", 2)
				b := &fakeBroker{fate: always(f)}
				b.run(o, 10*time.Minute)
				tries := b.tried["a#1"]
				if len(tries) < 120 || len(tries) > 600 {
					t.Errorf("%d tries in 10 minutes", len(tries))
				}
				for i := range tries[1:] {
					if gap := tries[i+1].Sub(tries[i]); gap > 5*time.Second+time.Millisecond {
						t.Errorf("not tried for %v", gap)
					}
				}
				if len(b.tried) != 1 {
					t.Errorf("tried out of order: %v", b.tried)
				}
				if s := o.Stats(); s.Parked != 1 || s.Events != 2 {
					t.Errorf("stats: %+v", s)
				}
			})
		})
	}
}

func TestThousandsOfParkedHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		const hosts = 3000
		for h := range hosts {
			commit(t, o, fmt.Sprint("host-", h), "1", 2)
		}
		b := &fakeBroker{fate: always(publish.Refused)}
		b.run(o, 10*time.Second) // All are tried once.
		b.tried = nil
		b.run(o, time.Minute)
		tries := 0
		for _, times := range b.tried {
			tries += len(times)
		}
		if tries < 60*4 || tries > 60*10 {
			t.Errorf("%d tries in a minute, want a few each second", tries)
		}
		b.fate = always(publish.Confirmed)
		b.run(o, time.Second+2*hosts*time.Millisecond)
		if len(b.got) != 2*hosts {
			t.Errorf("%d events arrived, want %d, a moment after the broker takes them again", len(b.got), 2*hosts)
		}
		if s := o.Stats(); s.Parked != 0 || s.Events != 0 || s.Bytes != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestParkedHostsDoNotSlowOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		b := &fakeBroker{fate: func(m publish.Message) publish.Fate {
			if m.Host == "good" || m.Type == publish.KindStatus {
				return publish.Confirmed
			}
			return publish.Refused
		}}
		for h := range 100 {
			commit(t, o, fmt.Sprint("bad-", h), "1", 1)
		}
		b.run(o, time.Second)
		start := time.Now()
		commit(t, o, "good", "1", 100)
		put(o, "bad-1/1")
		b.run(o, 200*time.Millisecond)
		if len(b.got) != 101 {
			t.Errorf("%d messages arrived in %v, want 101", len(b.got), time.Since(start))
		}
	})
}

func TestOneFullQueueAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		down := true
		b := &fakeBroker{fate: func(m publish.Message) publish.Fate {
			if down || m.Host == "full" {
				return publish.Refused
			}
			return publish.Confirmed
		}}
		commit(t, o, "full", "1", 1)
		for h := range 20 {
			commit(t, o, fmt.Sprint("host-", h), "1", 1)
		}
		b.run(o, time.Minute)
		down = false
		b.run(o, 10*time.Second)
		if len(b.got) != 20 {
			t.Errorf("%d of 20 hosts are through after 10 s", len(b.got))
		}
	})
}

func TestUnroutableIsDroppedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		returned := true
		b := &fakeBroker{fate: func(publish.Message) publish.Fate {
			if returned {
				return publish.Unroutable
			}
			return publish.Confirmed
		}}
		start := time.Now()
		commit(t, o, "a", "1", 3)
		b.run(o, 50*time.Minute)
		if s := o.Stats(); s.Dropped != 0 || s.Events != 3 {
			t.Errorf("after 50 minutes: %+v", s)
		}
		commit(t, o, "a", "2", 1) // Too young.
		b.run(o, 15*time.Minute)
		if s := o.Stats(); s.Dropped != 3 || s.Events != 2 {
			t.Errorf("after 65 minutes: %+v", s)
		}
		b.run(o, 3*time.Hour) // The fourth is dropped too, then there are only gaps.
		if s := o.Stats(); s.Events != 1 {
			t.Errorf("after 4 hours: %+v", s)
		}
		before := o.Stats().Committed
		b.run(o, 3*time.Hour)
		if got := o.Stats().Committed; got != before {
			t.Errorf("%d gaps that tell of nothing but gaps", got-before)
		}
		commit(t, o, "a", "3", 1)
		returned = false
		var gaps []publish.Event
		b.fate = func(m publish.Message) publish.Fate {
			if m.Event == publish.Gap {
				gaps = append(gaps, decode[publish.Event](t, m))
			}
			return publish.Confirmed
		}
		b.run(o, 10*time.Second)
		if len(gaps) != 1 || len(b.got) != 2 {
			t.Fatalf("arrived: %v with gaps %v", b.got, gaps)
		}
		gap := gaps[0].Gap
		if gap.Reason != publish.GapUnroutable || *gap.FirstSeq != 1 || *gap.LastSeq != gaps[0].Seq-1 {
			t.Errorf("gap %d: %s of %d to %d, want all from 1", gaps[0].Seq, gap.Reason, *gap.FirstSeq, *gap.LastSeq)
		}
		if gap.Since.Sub(start) > time.Second || gaps[0].Host.Group != "web" || gaps[0].Host.Name != "a" {
			t.Errorf("gap since %v of %+v", gap.Since, gaps[0].Host)
		}
	})
}

func TestTheFirstReturnSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := onDisk(t)
		o := open(t, config)
		commit(t, o, "a", "1", 1)
		b := &fakeBroker{fate: always(publish.Unroutable)}
		b.run(o, 40*time.Minute)
		closeBox(t, o)
		o = open(t, config)
		b.run(o, 15*time.Minute)
		if s := o.Stats(); s.Dropped != 0 {
			t.Errorf("after 55 minutes: %+v", s)
		}
		closeBox(t, o)
		o = open(t, config)
		b.run(o, 10*time.Minute)
		if s := o.Stats(); s.Dropped != 1 {
			t.Errorf("after 65 minutes: %+v", s)
		}
		closeBox(t, o)
		o = open(t, config) // Only the gap is left, whose own time has begun.
		b.run(o, 40*time.Minute)
		if s := o.Stats(); s.Dropped != 0 || s.Events != 1 {
			t.Errorf("after 105 minutes: %+v", s)
		}
	})
}

func TestMoreAreTriedAtOnceEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		for h := range 100 {
			commit(t, o, fmt.Sprint("host-", h), "1", 1)
		}
		for m, ok := o.Take(); ok; m, ok = o.Take() {
			o.Settle(m, publish.Refused)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, want := range []int{1, 2, 4, 8, 16, 32, 37, 0} {
			got := take(o)
			if len(got) != want {
				t.Fatalf("%d are tried, want %d", len(got), want)
			}
			settle(o, publish.Confirmed, got...)
		}
	})
}

func TestUnroutableAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, outbox.Config{})
		b := &fakeBroker{fate: always(publish.Unroutable)}
		for range 100 {
			commit(t, o, "a", "1", 1)
			b.run(o, time.Minute)
		}
		if s := o.Stats(); s.Events != 1 || s.Dropped < 100 {
			t.Errorf("stats: %+v", s)
		}
		tries := 0
		for _, times := range b.tried {
			tries += len(times)
		}
		if tries > 100*60 {
			t.Errorf("%d tries in 100 minutes", tries)
		}
	})
}

func TestPoisonIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		b := &fakeBroker{fate: func(m publish.Message) publish.Fate {
			if name(m) == "bad#2" {
				return publish.Rejected
			}
			return publish.Confirmed
		}}
		commit(t, o, "bad", "1", 3)
		b.run(o, time.Minute)
		if s := o.Stats(); s.Quarantined != 0 || len(b.got) != 1 {
			t.Errorf("set aside although nothing else was confirmed since: %+v, %v", s, b.got)
		}
		put(o, "good/1")
		b.run(o, time.Minute)
		if s := o.Stats(); s.Quarantined != 1 || s.Events != 0 || s.Parked != 0 {
			t.Errorf("stats: %+v", s)
		}
		if got := fmt.Sprint(b.got); got != "[bad#1 good/1 bad#3 bad#4]" {
			t.Errorf("arrived: %v", got)
		}
	})
}

// Where the broker's permissions are wrong, events are not the cause: one per host may be set aside, and the gap that tells so waits.
func TestRejectedGapsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, book := logged(t, time.Hour)
		b := &fakeBroker{fate: func(m publish.Message) publish.Fate {
			if m.Type == publish.KindEvent {
				return publish.Rejected
			}
			return publish.Confirmed
		}}
		commit(t, o, "a", "1", 1)
		for n := range 100 {
			put(o, fmt.Sprint("b/", n))
			b.run(o, time.Minute)
			commit(t, o, "a", "1", 1)
		}
		if s := o.Stats(); s.Quarantined > 2 {
			t.Errorf("stats: %+v", s)
		}
		tries := 0
		for _, times := range b.tried {
			tries += len(times)
		}
		if tries > 100 {
			t.Errorf("%d connections lost in 100 minutes", tries)
		}
		book.expect(t, slog.LevelWarn, 15, 30)
		book.expect(t, slog.LevelError, 1, 2)
		b.fate, b.got = always(publish.Confirmed), nil
		b.run(o, 5*time.Minute)
		if s := o.Stats(); s.Events != 0 || len(b.got) < 100 {
			t.Errorf("after the cure %d events arrived: %+v", len(b.got), s)
		}
	})
}

func TestStatusesThatEndTheConnectionPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		var tries int
		b := &fakeBroker{fate: func(m publish.Message) publish.Fate {
			if m.Host == "good" {
				return publish.Confirmed
			}
			tries++
			return publish.Rejected
		}}
		for n := range 60 {
			put(o, fmt.Sprint("a/", n), fmt.Sprint("good/", n))
			b.run(o, 10*time.Second)
		}
		b.got = nil
		if tries < 4 || tries > 8 {
			t.Errorf("%d tries in 10 minutes", tries)
		}
		b.fate = always(publish.Confirmed)
		b.run(o, 6*time.Minute)
		if fmt.Sprint(b.got) != "[a/59]" {
			t.Errorf("arrived: %v", b.got)
		}
	})
}

// Where the broker takes nothing, no status is the cause.
func TestARefusalOfAllPausesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		b := &fakeBroker{fate: always(publish.Rejected)}
		for h := range 20 {
			put(o, fmt.Sprint("host-", h))
		}
		b.run(o, 10*time.Minute)
		b.fate = always(publish.Confirmed)
		b.run(o, 10*time.Second)
		if len(b.got) != 20 {
			t.Errorf("%d of 20 statuses are through 10 s after the cure", len(b.got))
		}
	})
}

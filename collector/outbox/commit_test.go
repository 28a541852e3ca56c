package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

func TestCommitsAreGrouped(t *testing.T) {
	o := open(t, onDisk(t))
	const hosts, rounds = 200, 10
	var wg conc.WaitGroup
	for h := range hosts {
		wg.Go(func() {
			host := fmt.Sprintf("host-%03d", h)
			for r := range rounds {
				if err := o.Commit(host, []byte{byte(r)}, changes(host, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := o.Stats()
	if s.Committed != hosts*rounds || s.Commits > hosts*rounds/10 {
		t.Errorf("%d commits with %d events took %d transactions", hosts*rounds, s.Committed, s.Commits)
	}
}

func TestDeletionsRideAlongOrGoByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := onDisk(t)
		o := open(t, config)
		commit(t, o, "a", "1", 2)
		expect(t, o, 2, "a#1")
		settle(o, publish.Confirmed, "a#1")
		before := o.Stats().Commits
		commit(t, o, "a", "2", 0)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := o.Stats().Commits - before; got != 1 {
			t.Errorf("%d transactions, want the deletion to ride along", got)
		}
		expect(t, o, 1, "a#2")
		settle(o, publish.Confirmed, "a#2")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := o.Stats().Commits - before; got != 2 {
			t.Errorf("%d transactions, want the deletion to have been made 100 ms later", got)
		}
		closeBox(t, o)
		expect(t, open(t, config), 0)
	})
}

func TestFull(t *testing.T) {
	for what, config := range map[string]outbox.Config{
		"messages": {MaxMessages: 10},
		"bytes":    {MaxBytes: 10 * 500},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testFull(t, config) })
		})
	}
}

func testFull(t *testing.T, config outbox.Config) {
	t.Helper()
	var log bytes.Buffer
	config.Path = onDisk(t).Path
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	o := open(t, config)
	n := 0
	for o.Commit("a", []byte("old"), changes("a", 1)) == nil {
		n++
	}
	if n < 8 || n > 13 {
		t.Errorf("%d events have room", n)
	}
	since := time.Now()
	time.Sleep(time.Minute)
	for range 100 {
		if err := o.Commit("a", []byte("new"), changes("a", 1)); !errors.Is(err, outbox.ErrFull) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(time.Second)
	}
	if !o.Backlog().Full {
		t.Error("not shown as full")
	}
	commit(t, o, "b", "1", 0) // Without events there is room.
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		o.Settle(m, publish.Confirmed)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if o.Backlog().Full {
		t.Error("shown as full although empty")
	}
	if got := strings.Count(log.String(), "full"); got != 1 || strings.Count(log.String(), "room again") != 1 {
		t.Errorf("logged:\n%s", log.String())
	}
	commit(t, o, "a", "new", 1)
	m, gap := bodyOf[publish.Event](t, o)
	want := &publish.GapInfo{Reason: publish.GapOutboxFull, Since: publish.Time{Time: since.UTC().Truncate(time.Millisecond)}}
	if diff := cmp.Diff(want, gap.Gap); diff != "" || gap.Seq != uint64(n+1) {
		t.Errorf("got event %d: %s", gap.Seq, m.Body)
	}
	o.Settle(m, publish.Confirmed)
	expect(t, o, 1, fmt.Sprintf("a#%d", n+2))
	commit(t, o, "a", "newer", 1)
	settle(o, publish.Confirmed, fmt.Sprintf("a#%d", n+2))
	expect(t, o, 1, fmt.Sprintf("a#%d", n+3)) // No second gap.
}

func TestAnEmptyOutboxHasRoomForAnyCommit(t *testing.T) {
	o := open(t, outbox.Config{MaxMessages: 10})
	commit(t, o, "a", "1", 20)
	if err := o.Commit("b", nil, changes("b", 1)); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("got %v", err)
	}
}

// Who waits for a million events must have room for them on the disk only.
func TestWaitingEventsTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 80 MB")
	}
	o := open(t, onDisk(t))
	const hosts, each = 100, 600
	before := heap()
	var wg conc.WaitGroup
	for h := range hosts {
		wg.Go(func() {
			host := fmt.Sprintf("host-%03d", h)
			events := changes(host, 100)
			for i := range events {
				events[i].Host.Labels = map[string]string{"long": strings.Repeat("x", 700)}
			}
			for range each / 100 {
				if err := o.Commit(host, []byte("1"), events); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	const cache = 16 << 20
	used := heap() - before
	if s := o.Stats(); s.Events != hosts*each || s.Bytes < 1000*hosts*each {
		t.Errorf("stats: %+v", s)
	}
	t.Logf("%d B each", (used-cache)/(hosts*each))
	if used > cache*3/2+100*hosts*each {
		t.Errorf("%d events of 1 KB take %d MB of memory", hosts*each, used>>20)
	}
	n := 0
	for m, ok := o.Take(); ok && len(m.Body) > 700; m, ok = o.Take() {
		o.Settle(m, publish.Confirmed)
		n++
	}
	if n != hosts*each {
		t.Errorf("took %d events", n)
	}
}

// Without a file too, only what waits takes memory.
func TestSentEventsTakeNoMemory(t *testing.T) {
	o := inMemory(t)
	before := heap()
	for range 100 {
		commit(t, o, "a", "1", 1000)
		for m, ok := o.Take(); ok; m, ok = o.Take() {
			o.Settle(m, publish.Confirmed)
		}
	}
	if used := heap() - before; used > 5<<20 {
		t.Errorf("nothing waits in %d MB of memory", used>>20)
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

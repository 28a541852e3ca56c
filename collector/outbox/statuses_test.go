package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// put hands in one status for each "host" or "host/version".
func put(o *outbox.Outbox, names ...string) {
	for _, n := range names {
		host, _, _ := strings.Cut(n, "/")
		o.PutStatus(publish.Status{ID: n, Host: publish.HostRef{Name: host, Group: "web"}, Outcome: "ok"})
	}
}

func TestNewestPerHostInTurn(t *testing.T) {
	o := inMemory(t)
	expect(t, o, 0)
	if ready(o) {
		t.Error("ready although empty")
	}
	put(o, "a/1", "b/1", "c/1", "a/2", "a/3")
	if !ready(o) {
		t.Error("not ready although something waits")
	}
	expect(t, o, 3, "a/3", "b/1", "c/1")
	settle(o, publish.Confirmed, "b/1", "a/3", "c/1")
	expect(t, o, 0)
}

// Statuses that follow on one another are told of together. An event, and what comes after a while, is told of at once.
func TestStatusesWaitForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		is := func(want bool, when string) {
			t.Helper()
			synctest.Wait()
			if ready(o) != want {
				t.Errorf("%s: ready is %v", when, !want)
			}
		}
		put(o, "a/1")
		is(true, "the first status")
		put(o, "b/1", "c/1")
		is(false, "two more")
		time.Sleep(9 * time.Millisecond)
		is(false, "9 ms later")
		put(o, "d/1")
		time.Sleep(time.Millisecond)
		is(true, "10 ms later")
		put(o, "e/1")
		is(false, "one more")
		commit(t, o, "f", "1", 1)
		is(true, "an event")
		time.Sleep(20 * time.Millisecond)
		is(true, "20 ms later")
		time.Sleep(time.Second)
		put(o, "g/1")
		is(true, "after a quiet second")
	})
}

// With the host its status goes, if it waits; one that is on its way is settled as ever. The host may come back.
func TestRemovalWithdrawsTheStatus(t *testing.T) {
	o := inMemory(t)
	put(o, "a/1", "b/1")
	expect(t, o, 2, "a/1", "b/1")
	put(o, "b/2", "c/1")
	for _, host := range []string{"a", "b", "c", "d"} {
		if err := o.Commit(host, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, o, 2)
	settle(o, publish.Confirmed, "a/1", "b/1")
	expect(t, o, 0)
	put(o, "b/3", "c/2")
	expect(t, o, 2, "b/3", "c/2")
	settle(o, publish.Confirmed, "b/3", "c/2")
	expect(t, o, 0)

	put(o, "a/2")
	expect(t, o, 1, "a/2")
	settle(o, publish.Refused, "a/2")
	if err := o.Commit("a", nil, nil); err != nil {
		t.Fatal(err)
	}
	expect(t, o, 0)
}

func TestOneInFlightPerHost(t *testing.T) {
	o := inMemory(t)
	put(o, "a/1")
	expect(t, o, 1, "a/1")
	put(o, "a/2", "a/3")
	expect(t, o, 2)
	ready(o)
	settle(o, publish.Confirmed, "a/1")
	if !ready(o) {
		t.Error("not ready although a/3 may go")
	}
	expect(t, o, 1, "a/3")
	settle(o, publish.Confirmed, "a/3")
	expect(t, o, 0)
}

func TestSettle(t *testing.T) {
	for name, tc := range map[string]struct {
		fate  publish.Fate
		newer bool
		now   []string // Taken at once.
		later []string // Taken after some seconds.
	}{
		"lost":                  {publish.Lost, false, []string{"a/1"}, nil},
		"lost, newer waits":     {publish.Lost, true, []string{"a/2"}, nil},
		"refused":               {publish.Refused, false, nil, []string{"a/1"}},
		"refused, newer waits":  {publish.Refused, true, []string{"a/2"}, nil},
		"unroutable":            {publish.Unroutable, false, nil, nil},
		"invalid":               {publish.Invalid, false, nil, nil},
		"invalid, newer waits":  {publish.Invalid, true, []string{"a/2"}, nil},
		"confirmed, newer goes": {publish.Confirmed, true, []string{"a/2"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := inMemory(t)
				put(o, "a/1")
				take(o)
				if tc.newer {
					put(o, "a/2")
				}
				ready(o)
				settle(o, tc.fate, "a/1")
				settle(o, tc.fate, "a/1") // A second time, against the contract: nothing.
				if got := ready(o); got != (tc.now != nil) {
					t.Errorf("ready at once: %v", got)
				}
				expect(t, o, len(tc.now)+len(tc.later), tc.now...)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := ready(o); got != (tc.later != nil) {
					t.Errorf("ready later: %v", got)
				}
				expect(t, o, len(tc.now)+len(tc.later), tc.later...)
			})
		})
	}
}

func TestRefusedGivesWayToNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		put(o, "a/1")
		take(o)
		settle(o, publish.Refused, "a/1")
		put(o, "a/2") // Does not wait for the delay.
		expect(t, o, 1, "a/2")
		settle(o, publish.Confirmed, "a/2")
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, o, 0)
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		if err := o.Drain(t.Context()); err != nil {
			t.Errorf("empty: %v", err)
		}
		put(o, "a", "b", "c")
		take(o)
		late := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, late)
		defer cancel()
		settle(o, publish.Confirmed, "b")
		if err := o.Drain(ctx); !errors.Is(err, late) || !strings.Contains(err.Error(), "2 status messages") {
			t.Errorf("got %v", err)
		}
		var wg conc.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := o.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		settle(o, publish.Confirmed, "a")
		settle(o, publish.Lost, "c")
		settle(o, publish.Confirmed, take(o)...)
		wg.Wait()
	})
}

func TestConcurrentUse(t *testing.T) {
	o := inMemory(t)
	var putters, taker conc.WaitGroup
	last := map[string]string{}
	ctx, cancel := context.WithCancel(t.Context())
	taker.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			m, ok := o.Take()
			switch {
			case !ok:
				select {
				case <-ctx.Done():
				case <-o.Ready():
				}
			case n%3 == 0:
				o.Settle(m, publish.Lost)
			default:
				last[m.Host] = m.ID
				o.Settle(m, publish.Confirmed)
			}
		}
	})
	want := map[string]string{}
	for h := range 20 {
		want[strconv.Itoa(h)] = fmt.Sprintf("%d/99", h)
		putters.Go(func() {
			for v := range 100 {
				put(o, fmt.Sprintf("%d/%d", h, v))
			}
		})
	}
	putters.Wait()
	if err := o.Drain(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	taker.Wait()
	if diff := cmp.Diff(want, last); diff != "" {
		t.Error("last status of each host -want +got:\n" + diff)
	}
}

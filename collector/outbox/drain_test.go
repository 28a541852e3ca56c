package outbox_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// What the broker does not take is not waited for, once nothing else is left.
func TestDrainEndsWithWhatIsLeft(t *testing.T) {
	for what, tc := range map[string]struct {
		inFile bool
		fates  map[string]publish.Fate // By the name of a message, of those that are taken; the others are in flight.
		takes  time.Duration
		want   string
	}{
		"returned": {
			inFile: true,
			fates:  map[string]publish.Fate{"a#1": publish.Unroutable, "b#1": publish.Unroutable, "c/1": publish.Confirmed},
			want:   "not delivered: 4 events that no queue is bound for; they stay in the state file",
		},
		"mixed": {
			inFile: true,
			fates:  map[string]publish.Fate{"a#1": publish.Unroutable, "b#1": publish.Refused, "c/1": publish.Rejected},
			want: "not delivered: 3 events that no queue is bound for, 1 event that the broker does not take (nack), " +
				"1 status message that the broker ends the connection for; events stay in the state file, statuses are not kept",
		},
		"in memory": {
			fates: map[string]publish.Fate{"a#1": publish.Confirmed, "b#1": publish.Refused, "c/1": publish.Confirmed},
			takes: time.Minute,
			want: "too late, not delivered: 1 event that the broker does not take (nack), 2 events that the broker has not confirmed; " +
				"they are not kept",
		},
		"status with a nack": {
			inFile: true,
			fates:  map[string]publish.Fate{"a#1": publish.Unroutable, "b#1": publish.Confirmed, "c/1": publish.Refused},
			takes:  time.Minute,
			want: "too late, not delivered: 3 events that no queue is bound for, 1 status message that the broker does not take (nack); " +
				"events stay in the state file, statuses are not kept",
		},
		"in flight": {
			inFile: true,
			fates:  map[string]publish.Fate{"a#1": publish.Unroutable, "b#1": publish.Confirmed},
			takes:  time.Minute,
			want: "too late, not delivered: 3 events that no queue is bound for, 1 status message that the broker has not confirmed; " +
				"events stay in the state file, statuses are not kept",
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := outbox.Config{UnroutableFor: time.Hour}
				if tc.inFile {
					config = onDisk(t)
				}
				o := open(t, config)
				commit(t, o, "a", "1", 3)
				commit(t, o, "b", "1", 1)
				put(o, "c/1")
				for m, ok := o.Take(); ok; m, ok = o.Take() {
					if f := tc.fates[name(m)]; f != 0 {
						o.Settle(m, f)
					}
				}
				late := errors.New("too late")
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, late)
				defer cancel()
				began := time.Now()
				err := o.Drain(ctx)
				if err == nil {
					t.Fatal("no error")
				}
				if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
					t.Error("-want +got:\n" + diff)
				}
				if took := time.Since(began); took != tc.takes || errors.Is(err, late) != (took > 0) {
					t.Errorf("%v after %v, want %v", err, took, tc.takes)
				}
			})
		})
	}
}

// The last answer comes while it waits.
func TestDrainLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := inMemory(t)
		commit(t, o, "a", "1", 1)
		m, _ := o.Take()
		ctx, cancel := context.WithCancel(t.Context())
		var broker sync.WaitGroup
		defer broker.Wait()
		defer cancel()
		broker.Go(func() {
			time.Sleep(3 * time.Second)
			for o.Settle(m, publish.Unroutable); ctx.Err() == nil; { // Whenever it is tried again, which may be at once.
				select {
				case <-o.Ready():
					if m, ok := o.Take(); ok {
						o.Settle(m, publish.Unroutable)
					}
				case <-ctx.Done():
				}
			}
		})
		began := time.Now()
		if err := o.Drain(t.Context()); err == nil || time.Since(began) > 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

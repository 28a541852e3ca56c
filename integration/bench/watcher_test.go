package bench

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

// status is a message as the program sends it when it has polled a host.
func polled(host, outcome string) publish.Delivery {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	return publish.Delivery{Body: fmt.Appendf(nil, `{"type": "status", "outcome": %q, "time": %q, "host": {"name": %q}, "poll": {"duration_ms": 1.5}}`,
		outcome, now, host)}
}

// Ages are those of what a consumer has: each host's grows until its next status comes, and only what is to be expected counts.
func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatcher(3)
		w.hear(polled("a", "ok"))
		w.hear(polled("b", "ok"))
		w.hear(polled("c", "timeout"))
		select {
		case <-w.all:
			t.Error("all hosts were read, though c was not")
		default:
		}
		time.Sleep(time.Second)
		w.hear(polled("c", "ok"))
		<-w.all
		w.forget([]string{"c"})
		done, seen := make(chan struct{}), make(chan ages)
		go func() { seen <- w.watch(done, time.Second) }()
		for second := range 100 {
			time.Sleep(999 * time.Millisecond)
			w.hear(polled("a", "ok"))
			if second == 89 {
				w.hear(polled("b", "ok")) // 91 s after the first.
			}
			w.hear(polled("c", "unreachable"))
			time.Sleep(time.Millisecond)
		}
		close(done)
		got := <-seen
		if got.p50 > 1 || got.p99 < 85 || got.oldest < 90.9 || got.oldest > 91.1 {
			t.Errorf("ages %+v, want those of a to be 1 ms, and of b up to 91 s", got)
		}
		w.hear(publish.Delivery{Body: []byte(`{"type": "event"}`)})
		w.hear(publish.Delivery{Body: []byte(`{"type": "status", "outcome": "timeout", "host": {"name": "a"}}`)}) // No poll: it says again what is known.
		counted, err := w.counts()
		if diff := cmp.Diff(tally{polls: 205, failed: 2, events: 1}, counted, cmp.AllowUnexported(tally{})); diff != "" || err != nil {
			t.Errorf("%v, counted (-want +got):\n%s", err, diff)
		}
		w.hear(publish.Delivery{Body: []byte("{")})
		if _, err := w.counts(); err == nil {
			t.Error("no error of a message that is broken")
		}
	})
}

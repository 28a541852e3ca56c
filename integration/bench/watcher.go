package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/publish"
)

// subscribe hands over what the program publishes to an exchange, until stop is called; stop fails where something may be missing. It
// returns when there is a queue.
func (r Run) subscribe(ctx context.Context, exchange string, handle func(publish.Delivery)) (stop func() error, err error) {
	ctx, end := context.WithCancelCause(ctx)
	bound, dropped := make(chan struct{}), 0
	s, err := publish.NewSubscriber(publish.SubscriberConfig{
		Broker:   publish.Config{URLs: []string{r.Broker}, Exchange: exchange, ConnectionName: "bench"},
		Patterns: []string{"status.#", "event.#"},
		Bound:    func(string, time.Time) { close(bound) },
		Lost:     func(err error, _ time.Time) { end(err) },
		Dropped:  func(n int) { dropped += n },
	})
	if err != nil {
		end(nil)
		return nil, err
	}
	var receiving conc.WaitGroup
	receiving.Go(func() { end(s.Run(ctx, handle)) })
	stop = func() error {
		end(nil)
		receiving.Wait()
		err := context.Cause(ctx)
		if errors.Is(err, context.Canceled) { // By end, or as the caller was told to end.
			err = nil
		}
		if dropped > 0 {
			err = errors.Join(err, fmt.Errorf("%d messages came too fast to be looked at", dropped))
		}
		return err
	}
	if err := wait(ctx, bound); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// A heard is what matters here of a message.
type heard struct {
	Type    string    `json:"type"`
	Outcome string    `json:"outcome"`
	Time    time.Time `json:"time"`
	Host    struct {
		Name string `json:"name"`
	} `json:"host"`
	Poll struct {
		DurationMS float64 `json:"duration_ms"`
	} `json:"poll"`
	ObservedAt time.Time `json:"observed_at"`
	After      struct {
		InvocationID string `json:"invocation_id"`
	} `json:"after"`
}

// A watcher is a consumer: what it knows of the hosts is what the messages say that have reached it.
type watcher struct {
	hosts int
	all   chan struct{} // Closed when every host was read.

	mu     sync.Mutex
	allAt  time.Time            // When that was.
	read   map[string]time.Time // When each host was last read.
	sick   map[string]bool      // Of whom nothing is expected.
	tally  tally
	oldest time.Duration // The greatest age that a healthy host's data has had since oldest was last set.
	err    error
}

// A tally is how many messages of a kind have come.
type tally struct {
	polls  int // Statuses that came of a poll.
	failed int // Those of them of healthy hosts that were not read.
	events int
}

func newWatcher(hosts int) *watcher {
	return &watcher{hosts: hosts, all: make(chan struct{}), read: make(map[string]time.Time, hosts), sick: map[string]bool{}}
}

// hear takes in a message.
func (w *watcher) hear(d publish.Delivery) {
	var m heard
	err := json.Unmarshal(d.Body, &m)
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.err = fmt.Errorf("reading a message: %w", err)
	case m.Type == publish.KindEvent:
		w.tally.events++
	default:
		w.status(&m, now)
	}
}

func (w *watcher) status(m *heard, now time.Time) {
	if m.Poll.DurationMS > 0 {
		w.tally.polls++
	}
	before, known := w.read[m.Host.Name]
	well := !w.sick[m.Host.Name]
	if m.Outcome != "ok" {
		if well {
			w.tally.failed++
		}
		return
	}
	if known && well {
		w.oldest = max(w.oldest, now.Sub(before))
	}
	w.read[m.Host.Name] = m.Time
	if !known && len(w.read) == w.hosts {
		w.allAt = now
		close(w.all)
	}
}

// counts returns how many messages have come so far.
func (w *watcher) counts() (tally, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tally, w.err
}

// forget says that nothing is expected of some hosts.
func (w *watcher) forget(hosts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range hosts {
		w.sick[h] = true
	}
}

// ages are how old the data of the healthy hosts was, in seconds, at many moments.
type ages struct {
	p50, p99, oldest float64
}

// watch looks at how old the data is, again and again until done is closed.
func (w *watcher) watch(done <-chan struct{}, every time.Duration) ages {
	var seen []float64
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	w.mu.Lock()
	w.oldest = 0
	w.mu.Unlock()
	for {
		select {
		case <-done:
			slices.Sort(seen)
			w.mu.Lock()
			defer w.mu.Unlock()
			return ages{quantile(seen, 0.5), quantile(seen, 0.99), w.oldest.Seconds()}
		case <-ticker.C:
			seen = w.look(seen)
		}
	}
}

// look appends how old the data of each healthy host is now.
func (w *watcher) look(seen []float64) []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for host, read := range w.read {
		if !w.sick[host] {
			age := now.Sub(read)
			w.oldest = max(w.oldest, age)
			seen = append(seen, age.Seconds())
		}
	}
	return seen
}

// quantile is that of sorted values, 0 of none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

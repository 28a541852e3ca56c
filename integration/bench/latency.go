package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"service_manager/integration/fleet"
	"service_manager/publish"
)

// latency measures how long it takes from a change on a host until a consumer has its event, at Sizes.Intervals.
func (r Run) latency(ctx context.Context) (t Table, err error) {
	programs, remove, err := r.build(ctx)
	if err != nil {
		return Table{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	t = Table{Title: fmt.Sprintf("From the start of a service on one of %d simulated hosts, at a random moment, to its event at a consumer", r.Changing)}
	for _, interval := range r.Intervals {
		rows, err := r.latencyAt(ctx, programs, interval)
		if err != nil {
			return Table{}, fmt.Errorf("at an interval of %v: %w", interval, err)
		}
		t.Rows = append(t.Rows, rows...)
	}
	return t, nil
}

// latencyAt measures rounds of changes at one interval.
func (r Run) latencyAt(ctx context.Context, programs string, interval time.Duration) (rows []Row, err error) {
	dir, err := os.MkdirTemp(r.Dir, "latency-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	x, err := newExchange(r.Broker)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.delete()) }()
	f, err := fleet.Start(fleet.Config{Hosts: r.Changing, Seed: seed, Dir: dir, Steady: true}) //nolint:contextcheck // It lasts until it is closed.
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a := &awaited{watcher: newWatcher(r.Changing), invocations: map[string]time.Time{}, none: make(chan struct{}, 1)}
	unsubscribe, err := r.subscribe(ctx, x.name, a.hear)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unsubscribe()) }()
	s, alive, err := r.serve(ctx, programs, []string{f.InventoryPath()}, x.name, interval, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := wait(alive, a.watcher.all); err != nil {
		return nil, fmt.Errorf("waiting for all hosts to be read: %w", err)
	}
	rows = latencyRows(interval)
	for range r.Rounds {
		took, err := a.round(alive, f, interval)
		if err != nil {
			return nil, err
		}
		for i, q := range []float64{0.5, 0.99} {
			whole, observed, rest := quantile(took.whole, q), quantile(took.observed, q), quantile(took.rest, q)
			rows[3*i] = rows[3*i].with(whole, q*interval.Seconds())
			rows[3*i+1] = rows[3*i+1].with(whole, observed)
			rows[3*i+2] = rows[3*i+2].alone(1000 * rest)
		}
	}
	return rows, nil
}

func latencyRows(interval time.Duration) []Row {
	name := fmt.Sprintf("every %v", interval)
	var rows []Row
	for _, q := range []string{"50", "99"} {
		rows = append(rows,
			Row{Case: name, Unit: "s, p" + q, Floor: q + "% of the interval"},
			Row{Case: name, Unit: "s, p" + q, Floor: "until observed"},
			Row{Case: name, Unit: "ms from observed to received, p" + q},
		)
	}
	return rows
}

// took is how many seconds the changes of a round took, each part sorted: from the change until it was observed, the rest until a consumer
// had the event, and both together.
type took struct{ whole, observed, rest []float64 }

// awaited are the changes whose events have not come.
type awaited struct {
	watcher *watcher

	mu          sync.Mutex
	invocations map[string]time.Time // When each began.
	took        took
	none        chan struct{} // Holds a value when the last one has come.
}

// hear takes in a message.
func (a *awaited) hear(d publish.Delivery) {
	now := time.Now()
	a.watcher.hear(d)
	var m heard
	if err := json.Unmarshal(d.Body, &m); err != nil || m.Type != publish.KindEvent {
		return // The watcher tells of what is broken.
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	began, ok := a.invocations[m.After.InvocationID]
	if !ok {
		return
	}
	delete(a.invocations, m.After.InvocationID)
	a.took.whole = append(a.took.whole, now.Sub(began).Seconds())
	a.took.observed = append(a.took.observed, m.ObservedAt.Sub(began).Seconds())
	a.took.rest = append(a.took.rest, now.Sub(m.ObservedAt).Seconds())
	if len(a.invocations) == 0 {
		a.none <- struct{}{}
	}
}

// round starts a service on each host, at a random moment within an interval, and waits for all the events. Before that it waits for an
// interval, in which the program looks more often where something has just changed.
func (a *awaited) round(ctx context.Context, f *fleet.Fleet, interval time.Duration) (took, error) {
	if err := sleep(ctx, interval); err != nil {
		return took{}, err
	}
	hosts := f.States()
	moments := make([]time.Duration, len(hosts))
	for i := range moments {
		moments[i] = rand.N(interval) //nolint:gosec // G404: not a secret.
	}
	slices.Sort(moments)
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] }) //nolint:gosec // G404: as above.
	a.mu.Lock()
	a.took = took{}
	a.invocations["the last"] = time.Time{} // So that they do not run out before.
	a.mu.Unlock()
	start := time.Now()
	for i, h := range hosts {
		if err := sleep(ctx, time.Until(start.Add(moments[i]))); err != nil {
			return took{}, err
		}
		if err := a.start(f, h.Name); err != nil {
			return took{}, err
		}
	}
	return a.rest(ctx, 2*interval+10*time.Second)
}

// start changes one host.
func (a *awaited) start(f *fleet.Fleet, host string) error {
	a.mu.Lock() // An event must not be looked for before it is expected.
	defer a.mu.Unlock()
	now := time.Now()
	state, err := f.StartUnit(host, changedUnit)
	if err != nil {
		return err
	}
	for _, u := range state.Units {
		if u.Name == changedUnit {
			a.invocations[u.InvocationID] = now
		}
	}
	return nil
}

// rest waits for the events that have not come.
func (a *awaited) rest(ctx context.Context, most time.Duration) (took, error) {
	a.mu.Lock()
	delete(a.invocations, "the last")
	missing := len(a.invocations)
	a.mu.Unlock()
	if missing > 0 {
		late, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("an event has not come within %v", most))
		defer cancel()
		if err := wait(late, a.none); err != nil {
			return took{}, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, part := range [][]float64{a.took.whole, a.took.observed, a.took.rest} {
		slices.Sort(part)
	}
	return a.took, nil
}

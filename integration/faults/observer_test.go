//go:build integration && linux

package faults_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// An observer runs a collector with a pool of its own, and keeps the last status of each host.
type observer struct {
	hosts map[string]inventory.Host
	pool  *hosts.Pool
	stop  context.CancelFunc
	ended sync.WaitGroup
	heard chan struct{} // holds a value when there is a new status

	mu   sync.Mutex
	last map[string]publish.Status
}

// observe runs a collector until the test ends.
func observe(t *testing.T, all ...inventory.Host) *observer {
	t.Helper()
	o := &observer{
		hosts: make(map[string]inventory.Host), pool: hosts.New(hosts.Config{}),
		heard: make(chan struct{}, 1), last: make(map[string]publish.Status),
	}
	for _, h := range all {
		o.hosts[h.Name] = h
	}
	c, err := collector.New(collector.Config{Name: "faults", Hosts: all, Pool: o.pool, Observe: o.hear})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, o.stop = context.WithCancel(t.Context())
	o.ended.Go(func() { c.Run(ctx) })
	t.Cleanup(o.close)
	return o
}

// close ends the collector and closes the pool. It may be called twice.
func (o *observer) close() {
	o.stop()
	o.ended.Wait()
	o.pool.Close()
}

func (o *observer) hear(s publish.Status) {
	o.mu.Lock()
	o.last[s.Host.Name] = s
	o.mu.Unlock()
	select {
	case o.heard <- struct{}{}:
	default: // There is a value.
	}
}

// next waits until every host has a status of a poll that began after the call, and returns them by host. It wants the neighbours to be
// well, and every poll to end in time.
func (o *observer) next(t *testing.T) map[string]publish.Status {
	t.Helper()
	since := time.Now()
	patient := time.NewTimer(4 * patience)
	defer patient.Stop()
	for {
		if all := o.since(since); len(all) == len(o.hosts) {
			o.check(t, all)
			return all
		}
		select {
		case <-o.heard:
		case <-patient.C:
			t.Fatalf("of %d hosts only these have a status: %v", len(o.hosts), slices.Sorted(maps.Keys(o.since(since))))
		}
	}
}

// since returns the statuses of polls that began after a moment.
func (o *observer) since(moment time.Time) map[string]publish.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	recent := make(map[string]publish.Status)
	for name, s := range o.last {
		if s.Time.Add(-took(s)).After(moment) {
			recent[name] = s
		}
	}
	return recent
}

func took(s publish.Status) time.Duration {
	return time.Duration(s.Poll.DurationMS * float64(time.Millisecond))
}

func (o *observer) check(t *testing.T, all map[string]publish.Status) {
	t.Helper()
	for name, s := range all {
		h := o.hosts[name]
		if strings.HasPrefix(name, "neighbour") && (s.Outcome != string(hosts.OK) || len(s.Units) != len(h.Units)) {
			t.Errorf("%s, which is well: outcome %q, %d units, error %v", name, s.Outcome, len(s.Units), message(s))
		}
		// The slack is for a machine that is busy with other tests.
		if limit := h.Timeout + h.ConnectTimeout + 3*time.Second; took(s) > limit {
			t.Errorf("%s: the poll took %v, more than timeout and connect_timeout, %v and %v", name, took(s), h.Timeout, h.ConnectTimeout)
		}
	}
}

// sick is the next status of the host that is named so.
func (o *observer) sick(t *testing.T) publish.Status {
	t.Helper()
	return o.next(t)["sick"]
}

// await waits until the host named "sick" has that outcome. A collector may leave a host alone for a while that was not well.
func (o *observer) await(t *testing.T, outcome hosts.Outcome) publish.Status {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); ; {
		s := o.sick(t)
		if s.Outcome == string(outcome) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("outcome %q, want %q: %s", s.Outcome, outcome, message(s))
		}
	}
}

// An expectation is what a poll of a sick host must come to: one of some outcomes, and an error that says some text.
type expectation struct {
	outcomes []hosts.Outcome
	text     string
}

func want(text string, outcomes ...hosts.Outcome) expectation { return expectation{outcomes, text} }

func (e expectation) check(t *testing.T, s publish.Status) {
	t.Helper()
	text := message(s)
	met := false
	for _, outcome := range e.outcomes {
		met = met || s.Outcome == string(outcome)
	}
	switch {
	case !met:
		t.Errorf("outcome %q, want one of %q: %s", s.Outcome, e.outcomes, text)
	case s.Outcome != string(hosts.OK) && !strings.Contains(text, e.text):
		t.Errorf("outcome %q: error %q, want it to say %q", s.Outcome, text, e.text)
	case s.Outcome != string(hosts.OK) && len(text) > 1000:
		t.Errorf("an error of %d bytes: %s", len(text), text)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			t.Fatalf("%q in error %q", r, text)
		}
	}
}

func message(s publish.Status) string {
	if s.Error == nil {
		return ""
	}
	return *s.Error
}

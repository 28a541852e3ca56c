//go:build integration && linux

package faults_test

import (
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

// An observer polls hosts with a collector and a pool of its own.
type observer struct {
	collector *collector.Collector
	hosts     map[string]inventory.Host

	mu   sync.Mutex
	last map[string]publish.Status
}

func observe(t *testing.T, all ...inventory.Host) *observer {
	t.Helper()
	o := &observer{hosts: make(map[string]inventory.Host)}
	for _, h := range all {
		o.hosts[h.Name] = h
	}
	pool := hosts.New(hosts.Config{})
	t.Cleanup(pool.Close)
	var err error
	o.collector, err = collector.New(collector.Config{Name: "faults", Hosts: all, Pool: pool, Observe: func(s publish.Status) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.last[s.Host.Name] = s
	}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sweep polls every host once, and returns the statuses by host. It wants the neighbours to be well, and every poll to end in time.
func (o *observer) sweep(t *testing.T) map[string]publish.Status {
	t.Helper()
	o.mu.Lock()
	o.last = make(map[string]publish.Status)
	o.mu.Unlock()
	if err := o.collector.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, h := range o.hosts {
		status, ok := o.last[name]
		if !ok {
			t.Fatalf("%s: no status", name)
		}
		if strings.HasPrefix(name, "neighbour") && (status.Outcome != string(hosts.OK) || len(status.Units) != len(h.Units)) {
			t.Errorf("%s, which is well: outcome %q, %d units, error %v", name, status.Outcome, len(status.Units), message(status))
		}
		// The slack is for a machine that is busy with other tests.
		took := time.Duration(status.Poll.DurationMS * float64(time.Millisecond))
		if limit := h.Timeout + h.ConnectTimeout + 3*time.Second; took > limit {
			t.Errorf("%s: the poll took %v, more than timeout and connect_timeout, %v and %v", name, took, h.Timeout, h.ConnectTimeout)
		}
	}
	return o.last
}

// sick polls every host once, and returns the status of the one named so.
func (o *observer) sick(t *testing.T) publish.Status {
	t.Helper()
	return o.sweep(t)["sick"]
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

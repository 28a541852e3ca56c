package collector_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
	"service_manager/publish"
)

// A fakePool is a fleet without SSH. Its hosts behave as poll and connect say; it keeps what a pool would keep.
type fakePool struct {
	connect func(ctx context.Context, host string) error
	poll    func(ctx context.Context, host string) (hosts.Snapshot, error)

	mu        sync.Mutex
	connected map[string]bool
	changed   map[string]bool
	dials     map[string]int
	polls     map[string]int
	order     []string // Hosts as they were dialled.
	dialled   []time.Time
	asked     []inventory.Host // As they were polled.
	begun     []time.Time      // When they were.
	dropped   []string
	inDial    gauge
	inPoll    gauge
}

func (p *fakePool) Connected(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connected[host]
}

func (p *fakePool) Connect(ctx context.Context, h inventory.Host) error {
	p.mu.Lock()
	if p.connected == nil {
		p.connected, p.dials = make(map[string]bool), make(map[string]int)
	}
	p.dials[h.Name]++
	p.order = append(p.order, h.Name)
	p.dialled = append(p.dialled, time.Now())
	leave := p.inDial.enter()
	p.mu.Unlock()
	var err error
	if p.connect != nil {
		err = p.connect(ctx, h.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	leave()
	p.connected[h.Name] = err == nil
	return err
}

func (p *fakePool) Poll(ctx context.Context, h inventory.Host) (hosts.Snapshot, error) {
	p.mu.Lock()
	if p.polls == nil {
		p.polls = make(map[string]int)
	}
	p.polls[h.Name]++
	p.asked = append(p.asked, h)
	p.begun = append(p.begun, time.Now())
	leave := p.inPoll.enter()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		leave()
	}()
	if p.poll == nil {
		return snapshot(), nil
	}
	return p.poll(ctx, h.Name)
}

func (p *fakePool) Changed(h inventory.Host) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed[h.Name]
}

// polled is how often the host has been polled.
func (p *fakePool) polled(host string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.polls[host]
}

func (p *fakePool) Drop(host string) {
	p.disconnect(host)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped = append(p.dropped, host)
}

func (p *fakePool) hasDropped(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.dropped, host)
}

func (p *fakePool) disconnect(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.connected, host)
}

// A gauge counts the calls in flight, and those of them that are young, which must have one of the quick places.
type gauge struct {
	peak, youngPeak int

	now, young int
	calls      []*call // The oldest first; one that has ended stays until it is the oldest.
}

type call struct {
	begun time.Time
	young bool // Less than 250 ms old, and not ended.
}

// enter begins a call. What it returns ends it.
func (g *gauge) enter() (leave func()) {
	for len(g.calls) > 0 {
		first := g.calls[0]
		if first.young && time.Since(first.begun) < 250*time.Millisecond {
			break
		}
		g.age(first)
		g.calls = g.calls[1:]
	}
	c := &call{begun: time.Now(), young: true}
	g.calls = append(g.calls, c)
	g.now++
	g.young++
	g.peak, g.youngPeak = max(g.peak, g.now), max(g.youngPeak, g.young)
	return func() {
		g.now--
		g.age(c)
	}
}

func (g *gauge) age(c *call) {
	if c.young {
		c.young = false
		g.young--
	}
}

func snapshot() hosts.Snapshot {
	return hosts.Snapshot{
		Manager: systemctl.Manager{Version: "252", State: "running", FailedUnits: new(0)},
		BootID:  "b",
		Units:   []systemctl.Unit{{Name: "nginx.service", LoadState: "loaded", ActiveState: "active", SubState: "running"}},
	}
}

func failure(outcome hosts.Outcome) error {
	return &hosts.Error{Outcome: outcome, Target: "monitor@web-01:22", Err: fmt.Errorf("it is %s", outcome)}
}

func fleet(n int, interval time.Duration) []inventory.Host {
	fleet := make([]inventory.Host, n)
	for i := range fleet {
		fleet[i] = inventory.Host{Name: fmt.Sprintf("web-%02d", i+1), Group: "web", Interval: interval}
	}
	return fleet
}

// A record keeps the statuses of each host in the order they came.
type record struct {
	mu       sync.Mutex
	statuses map[string][]publish.Status
}

func (r *record) observe(s publish.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statuses == nil {
		r.statuses = make(map[string][]publish.Status)
	}
	r.statuses[s.Host.Name] = append(r.statuses[s.Host.Name], s)
}

func (r *record) of(host string) []publish.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statuses[host]
}

// run runs a collector for the given time, and returns what it observed.
func run(t *testing.T, config collector.Config, d time.Duration) *record {
	t.Helper()
	seen := &record{}
	config.Name, config.Observe = "fleet-a", seen.observe
	c, err := collector.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	c.Run(ctx)
	return seen
}

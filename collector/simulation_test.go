package collector_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// A condition is how a simulated host is.
type condition int

const (
	healthy   condition = iota
	refusing            // No sshd: connections break, and new ones are refused at once.
	vanished            // Nothing answers: dials and polls take all the time they have.
	frozen              // TCP stands, sshd does not answer: likewise.
	hungPID1            // One can log in, but a poll takes all the time it has.
	noAccount           // Logged out, and the key is not accepted any more.
)

// A simulation is a [collector.Pool] of hosts whose condition changes over time. It watches over what the collector may do.
type simulation struct {
	t         *testing.T
	start     time.Time
	condition func(host string, at time.Duration) condition
	lost      func(host string, made time.Duration) bool // Whether the host's connection made then has broken. Nil: none has.

	mu       sync.Mutex
	random   *rand.Rand
	linked   map[string]time.Duration // When the host's connection was made.
	busy     map[string]bool
	dials    gauge
	perJump  map[string]*gauge
	polls    gauge
	perHost  map[string]int // Dials.
	begun    []time.Duration
	statuses map[string][]publish.Status
}

func newSimulation(t *testing.T, condition func(host string, at time.Duration) condition) *simulation {
	t.Helper()
	return &simulation{
		t: t, start: time.Now(), condition: condition,
		random: rand.New(rand.NewPCG(1, 2)), linked: map[string]time.Duration{}, busy: map[string]bool{},
		perJump: map[string]*gauge{}, perHost: map[string]int{}, statuses: map[string][]publish.Status{},
	}
}

func (s *simulation) at() time.Duration { return time.Since(s.start) }

func (s *simulation) Connected(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.linked[host]
	return ok && !s.broken(host)
}

// broken reports whether the host's connection is known to be gone: sshd said so.
func (s *simulation) broken(host string) bool {
	if now := s.condition(host, s.at()); now == refusing || now == noAccount {
		return true
	}
	return s.lost != nil && s.lost(host, s.linked[host])
}

func (s *simulation) Drop(string) {}

func (s *simulation) Changed(inventory.Host) bool { return false }

func (s *simulation) Connect(ctx context.Context, h inventory.Host) error {
	jump := "none"
	if h.Via != nil {
		jump = h.Via.Name
	}
	s.mu.Lock()
	if s.perJump[jump] == nil {
		s.perJump[jump] = &gauge{}
	}
	way := s.perJump[jump]
	leave, leaveWay := s.dials.enter(), way.enter()
	s.perHost[h.Name]++
	s.begun = append(s.begun, s.at())
	delay := 20*time.Millisecond + rand.N(40*time.Millisecond)
	s.mu.Unlock()
	err := s.enter(h.Name, func() error {
		switch s.condition(h.Name, s.at()) {
		case refusing:
			return s.fail(ctx, time.Millisecond, hosts.Unreachable)
		case vanished:
			return s.fail(ctx, h.ConnectTimeout, hosts.Unreachable)
		case frozen:
			return s.fail(ctx, h.ConnectTimeout, hosts.Timeout)
		case noAccount:
			return s.fail(ctx, delay, hosts.AuthFailed)
		default:
			return sleep(ctx, delay)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	leave()
	leaveWay()
	if err == nil {
		s.linked[h.Name] = s.at()
	}
	return err
}

func (s *simulation) Poll(ctx context.Context, h inventory.Host) (hosts.Snapshot, error) {
	s.mu.Lock()
	leave := s.polls.enter()
	delay := 5*time.Millisecond + rand.N(45*time.Millisecond)
	gone := s.broken(h.Name)
	s.mu.Unlock()
	err := s.enter(h.Name, func() error {
		if gone {
			return &hosts.Error{Outcome: hosts.ProtocolError, Err: hosts.ErrNotConnected}
		}
		switch s.condition(h.Name, s.at()) {
		case vanished, frozen, hungPID1:
			return s.fail(ctx, h.Timeout, hosts.Timeout)
		default:
			return sleep(ctx, delay)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	leave()
	if err != nil {
		delete(s.linked, h.Name)
		return hosts.Snapshot{}, err
	}
	return snapshot(), nil
}

// enter does one thing for a host, of which there may be no other at the same time.
func (s *simulation) enter(host string, do func() error) error {
	s.mu.Lock()
	if s.busy[host] {
		s.t.Errorf("%s: two things at once", host)
	}
	s.busy[host] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.busy, host)
		s.mu.Unlock()
	}()
	return do()
}

func (s *simulation) fail(ctx context.Context, after time.Duration, outcome hosts.Outcome) error {
	if err := sleep(ctx, after); err != nil {
		return err
	}
	return failure(outcome)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (s *simulation) observe(status publish.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := status.Outcome == "ok"
	if status.Outcome == "" || ok != (status.Error == nil) || !ok && status.System != nil && status.StaleSince == nil {
		s.t.Errorf("status %+v", status)
	}
	s.statuses[status.Host.Name] = append(s.statuses[status.Host.Name], status)
}

// run lets a collector work for the given time.
func (s *simulation) run(config collector.Config, d time.Duration) {
	config.Name, config.Pool, config.Observe = "fleet-a", s, s.observe
	c, err := collector.New(config)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	c.Run(ctx)
}

// ages are how old the data of the given hosts was from one moment to another, sampled twice a second, in order.
func (s *simulation) ages(of []inventory.Host, from, to time.Duration) []time.Duration {
	var ages []time.Duration
	for _, h := range of {
		read := time.Duration(0)
		next := from
		for _, status := range append(s.statuses[h.Name], publish.Status{Time: publish.Time{Time: s.start.Add(to)}}) {
			at := status.Time.Sub(s.start)
			for ; next < at && next < to; next += 500 * time.Millisecond {
				ages = append(ages, next-read)
			}
			if status.Outcome == "ok" && status.StaleSince == nil {
				read = at
			}
		}
	}
	slices.Sort(ages)
	return ages
}

// firstRead is when the last of the given hosts was read for the first time.
func (s *simulation) firstRead(of []inventory.Host) time.Duration {
	var latest time.Duration
	for _, h := range of {
		i := slices.IndexFunc(s.statuses[h.Name], func(status publish.Status) bool { return status.Outcome == "ok" })
		if i < 0 {
			s.t.Errorf("%s was never read", h.Name)
			continue
		}
		latest = max(latest, s.statuses[h.Name][i].Time.Sub(s.start))
	}
	return latest
}

// silence is the longest that one of the given hosts was without a status, from its first one or the given moment on.
func (s *simulation) silence(of []inventory.Host, from, to time.Duration) time.Duration {
	var longest time.Duration
	for _, h := range of {
		last := to
		for _, status := range append(s.statuses[h.Name], publish.Status{Time: publish.Time{Time: s.start.Add(to)}}) {
			at := status.Time.Sub(s.start)
			if at >= from {
				longest = max(longest, at-last)
			}
			last = at
		}
	}
	return longest
}

// dialRate is the most dials begun within a second.
func (s *simulation) dialRate() int {
	most, first := 0, 0
	for i, at := range s.begun {
		for s.begun[first] <= at-time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// simulated is n hosts as the inventory has them. Every second one is named sick.
func simulated(n int) (all, well, sick []inventory.Host) {
	for i := range n {
		h := inventory.Host{
			Name: fmt.Sprintf("well-%05d", i), Group: "web",
			Interval: 10 * time.Second, Timeout: 8 * time.Second, ConnectTimeout: 5 * time.Second,
		}
		if i%2 == 1 {
			h.Name = fmt.Sprintf("sick-%05d", i)
			sick = append(sick, h)
		} else {
			well = append(well, h)
		}
		all = append(all, h)
	}
	return all, well, sick
}

func isSick(host string) bool { return host[:4] == "sick" }

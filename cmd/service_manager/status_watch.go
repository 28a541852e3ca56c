package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/sourcegraph/conc"

	"service_manager/collector"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// watchAuto is --watch without a value: the intervals of the inventory.
const watchAuto = "auto"

// watchInterval reads the value of --watch. 0 stands for the inventory's intervals.
func watchInterval(value string) (time.Duration, error) {
	if value == watchAuto {
		return 0, nil
	}
	const least, most = time.Second, 24 * time.Hour // as in the inventory
	interval, err := time.ParseDuration(value)
	if err != nil || interval < least || interval > most {
		return 0, failed(exitUsage, fmt.Errorf("--watch=%s: write how often to read the hosts, from %v to %v, such as --watch=5s", value, least, most))
	}
	return interval, nil
}

// canWatch refuses what cannot be redrawn.
func (a *app) canWatch(format string) error {
	switch {
	case format == "json" || format == "jsonl":
		return failed(exitUsage, fmt.Errorf("--watch redraws a table, not %s: leave one out; tail and run --dry-run print messages as they come", format))
	case !canRedraw(a.stdout):
		return failed(exitUsage, errors.New("--watch redraws a terminal, which stdout is not, or a dumb one: leave --watch out"))
	}
	return nil
}

// watchStatus shows the hosts until a person, or ctx, ends it. The exit code is that of what was known last.
func (a *app) watchStatus(ctx context.Context, inv *inventory.Inventory, selected []inventory.Host, units *unitChoice, flags statusFlags) error {
	interval, err := watchInterval(flags.watch)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := newSightings()
	var input io.Reader // Without one, Ctrl-C is a signal.
	if isTerminal(a.stdin) {
		input = a.stdin
	}
	screen := tea.NewProgram(
		&watchModel{view: watchView{
			seen: seen, units: units, names: hostNames(selected), onlyFailed: flags.onlyFailed,
			table: table{hosts: len(selected), wide: flags.format == "wide", coloured: colours(a.stdout)},
		}},
		tea.WithInput(input), tea.WithOutput(a.stdout), tea.WithoutSignalHandler(),
	)
	defer context.AfterFunc(ctx, screen.Quit)()

	log := slog.New(slog.DiscardHandler) // On the screen a line would be drawn over; a file keeps it.
	if !isTerminal(a.stderr) {
		log = a.logger(slog.LevelError)
	}
	p := pipeline{inventory: inv, hosts: every(selected, interval), observe: seen.observe, trust: a.howToTrust(), log: log}
	var (
		beside conc.WaitGroup
		reader error
	)
	beside.Go(func() {
		defer cancel() // Also when it panics: Wait does so again, on a terminal that is as it was.
		_, reader = p.work(ctx, func(ctx context.Context, c *collector.Collector) error {
			c.Run(ctx)
			return nil
		})
	})
	beside.Go(func() { redrawEvery(ctx, screen) })
	_, drawer := screen.Run()
	cancel()
	beside.Wait()
	if reader != nil {
		return reader
	}
	if drawer != nil {
		return failed(exitOwn, fmt.Errorf("drawing on the terminal: %w", drawer))
	}
	statuses := units.of(seen.latest.statuses())
	fmt.Fprintln(a.stderr, fleetOf(statuses))
	if len(statuses) < len(selected) {
		return failed(exitHost, errors.New("ended before every host was read"))
	}
	return units.exit(statuses)
}

// every returns the hosts with another interval, 0 for their own.
func every(selected []inventory.Host, interval time.Duration) []inventory.Host {
	if interval == 0 {
		return selected
	}
	selected = slices.Clone(selected)
	for i := range selected {
		selected[i].Interval = interval
		selected[i].Timeout = min(selected[i].Timeout, interval) // A poll that hangs would take the next ones' turns.
	}
	return selected
}

// sightings are the newest statuses, and what has changed in them. They are safe for concurrent use.
type sightings struct {
	latest tally

	mu      sync.Mutex
	changes map[sighted]time.Time // when they were seen
}

// sighted names a unit of a host or, where it is empty, the host itself.
type sighted struct{ host, unit string }

func newSightings() *sightings {
	return &sightings{changes: make(map[sighted]time.Time)}
}

// observe takes in a status.
func (s *sightings) observe(status publish.Status) {
	before, known := s.latest.replace(status)
	if !known {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if before.Outcome != status.Outcome {
		s.changes[sighted{host: status.Host.Name}] = now
	}
	if status.Outcome != string(hosts.OK) || before.System == nil { // Nothing is known of its units, or nothing was.
		return
	}
	was := make(map[string]publish.Unit, len(before.Units))
	for _, u := range before.Units {
		was[u.Name] = u
	}
	for _, u := range status.Units {
		if old, known := was[u.Name]; !known || differs(old, u) {
			s.changes[sighted{status.Host.Name, u.Name}] = now
		}
	}
}

// differs reports whether a person should see that something has happened to the unit.
func differs(a, b publish.Unit) bool {
	return unitState(a) != unitState(b) || deref(a.InvocationID) != deref(b.InvocationID) ||
		a.Restarts != nil && b.Restarts != nil && *a.Restarts != *b.Restarts
}

// changedSince returns what has changed since then, and forgets what has before.
func (s *sightings) changedSince(then time.Time) func(host, unit string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	recent := make(map[sighted]bool)
	for what, at := range s.changes {
		if at.Before(then) {
			delete(s.changes, what)
			continue
		}
		recent[what] = true
	}
	return func(host, unit string) bool { return recent[sighted{host, unit}] }
}

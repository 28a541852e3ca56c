package collector

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// Pool reads hosts. [hosts.Pool] is one.
type Pool interface {
	// Connected reports whether the host has a standing connection.
	Connected(host string) bool
	// Connect gives the host one.
	Connect(ctx context.Context, h inventory.Host) error
	// Poll reads the host over it. An error that wraps [hosts.ErrNotConnected] asks for Connect.
	Poll(ctx context.Context, h inventory.Host) (hosts.Snapshot, error)
}

// Outbox takes the messages, from many goroutines at once. It must not block.
type Outbox interface {
	// PutStatus takes the newest status of a host, in place of one that still waits.
	PutStatus(host string, m publish.Message)
}

// Config configures a [Collector].
type Config struct {
	Name   string           // The collector's name in messages. Required.
	Hosts  []inventory.Host // The hosts to poll.
	Pool   Pool             // Required.
	Outbox Outbox           // Nil discards the messages, for a caller that only observes.
	// Epoch is the epoch in messages, see [NewEpoch]. Empty means a new one.
	Epoch string
	// Parallel is how many polls may be in flight on standing connections. 0 means 512.
	Parallel int
	// Dials is how many hosts may be connected to at once. 0 means 64.
	Dials int
	// Observe, where set, is called with each status, by many goroutines at once.
	Observe func(publish.Status)
	// Log is told when a host's outcome changes, not of each poll. Nil discards.
	Log *slog.Logger
}

// A Collector polls hosts.
type Collector struct {
	config  Config
	watches []*watch
}

// New returns a collector that has not polled yet.
func New(config Config) (*Collector, error) {
	switch {
	case config.Name == "":
		return nil, errors.New("collector: no name")
	case config.Pool == nil:
		return nil, errors.New("collector: no pool")
	}
	config.Epoch = cmp.Or(config.Epoch, NewEpoch(time.Now()))
	config.Parallel = cmp.Or(config.Parallel, 512)
	config.Dials = cmp.Or(config.Dials, 64)
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	c := &Collector{config: config}
	for _, h := range config.Hosts {
		c.watches = append(c.watches, &watch{
			host:  h,
			phase: phase(config.Name, h.Name, h.Interval),
			log:   config.Log.With(slog.String("host", h.Name)),
		})
	}
	return c, nil
}

// Run polls every host at once and then each at its interval, until ctx ends. It returns when the last poll has ended.
func (c *Collector) Run(ctx context.Context) {
	c.serve(ctx, func(ctx context.Context, l *lanes) { c.schedule(ctx, l) })
}

// Sweep polls every host once, and returns when the last poll has ended. The error is ctx's, where that ended first.
func (c *Collector) Sweep(ctx context.Context) error {
	var err error
	c.serve(ctx, func(ctx context.Context, l *lanes) {
		now := time.Now()
		for _, w := range c.watches {
			w.due = now
			c.enqueue(w, l)
		}
		for range c.watches {
			select {
			case <-l.done:
			case <-ctx.Done():
				err = context.Cause(ctx)
				return
			}
		}
	})
	return err
}

// Lanes carry hosts to the workers and back. Each holds all hosts, and a host is in one of them or on the agenda: no send blocks.
type lanes struct {
	polls  chan *watch // to be polled on their connections
	dials  chan *watch // to be connected to
	redial chan *watch // likewise, of hosts that could not be read last time: they wait for those that could
	done   chan *watch // polled
}

// dial puts w in the lane for its next connection.
func (l *lanes) dial(w *watch) {
	if w.err != nil {
		l.redial <- w
		return
	}
	l.dials <- w
}

// serve runs the workers as long as direct runs.
func (c *Collector) serve(ctx context.Context, direct func(context.Context, *lanes)) {
	ctx, cancel := context.WithCancel(ctx)
	n := len(c.watches)
	l := &lanes{polls: make(chan *watch, n), dials: make(chan *watch, n), redial: make(chan *watch, n), done: make(chan *watch, n)}
	var workers conc.WaitGroup
	for range min(c.config.Parallel, n) {
		workers.Go(func() { c.work(ctx, l.polls, nil, l, c.pollStanding) })
	}
	for range min(c.config.Dials, n) {
		workers.Go(func() { c.work(ctx, l.dials, l.redial, l, c.connect) })
	}
	direct(ctx, l)
	cancel()
	workers.Wait()
}

// schedule hands out hosts as they become due, and puts them back on the agenda when they have been polled.
func (c *Collector) schedule(ctx context.Context, l *lanes) {
	now := time.Now()
	todo := make(agenda, 0, len(c.watches))
	for _, w := range c.watches {
		w.due = now
		todo.add(w)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-l.done:
			w.due = next(time.Now(), w.phase, w.host.Interval)
			todo.add(w)
		case <-timer.C:
		}
		for w, ok := todo.due(time.Now()); ok; w, ok = todo.due(time.Now()) {
			c.enqueue(w, l)
		}
		if wait, ok := todo.wait(time.Now()); ok {
			timer.Reset(wait)
		}
	}
}

// enqueue puts a due host in its lane.
func (c *Collector) enqueue(w *watch, l *lanes) {
	if w.paused(time.Now()) || c.config.Pool.Connected(w.host.Name) {
		l.polls <- w
		return
	}
	l.dial(w)
}

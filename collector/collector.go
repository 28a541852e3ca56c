package collector

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"service_manager/collector/change"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// Pool reads hosts. [hosts.Pool] is one. No two calls for the same host are made at once, but for Connected.
type Pool interface {
	// Connected reports whether the host has a standing connection. It must not block.
	Connected(host string) bool
	// Connect gives the host one, or fails within h.ConnectTimeout.
	Connect(ctx context.Context, h inventory.Host) error
	// Poll reads the host over it, or fails within h.Timeout, which is less than the host's own where part of it is used up. An
	// error that wraps [hosts.ErrNotConnected] asks for Connect.
	Poll(ctx context.Context, h inventory.Host) (hosts.Snapshot, error)
	// Changed reports whether one of our own files (keys, known hosts) that decide whether the host is let in, or lets us in, has
	// changed since the last Connect, so that another one is worth while.
	Changed(h inventory.Host) bool
	// Drop ends the connection of a host that is polled no more, and forgets the host. No call for it is under way.
	Drop(host string)
}

// Outbox takes the messages, from many goroutines at once. But for Commit, its methods must not block.
type Outbox interface {
	// PutStatus takes the newest status of a host, in place of one that still waits.
	PutStatus(s publish.Status)
	// PutNotice takes a message about the collector itself, in place of one of the same event that still waits.
	PutNotice(n publish.Notice)
	// Commit keeps what was observed of a host, and the events that led there, both or none, and returns when they are safe. A nil
	// state forgets the host. No two calls for the same host are made at once. When it refuses it has logged why.
	Commit(host string, state []byte, events []publish.Event) error
	// Backlog says what waits.
	Backlog() publish.Backlog
}

// Config configures a [Collector].
type Config struct {
	Name   string           // The collector's name in messages. Required.
	Hosts  []inventory.Host // The hosts to poll.
	Pool   Pool             // Required.
	Outbox Outbox           // Nil discards the messages, for a caller that only observes.
	// Epoch is that of the outbox. Empty means a new one.
	Epoch string
	// States are the last ones that were committed, by host: what has changed since then, is told. The collector takes the map over.
	States map[string][]byte
	// Known reports whether a host of States is still in the inventory, though perhaps not in Hosts. The others are told to be removed.
	// Nil means that all are.
	Known func(host string) bool
	// Flapping bounds how many events a unit makes.
	Flapping change.Flapping
	// Parallel is how many polls may be in flight on standing connections, those not counted that take longer than a moment: 8 times
	// as many of them may be in flight besides. 0 means 512, which is enough for 10,000 hosts at 10 s when half of them hang.
	Parallel int
	// Dials is how many hosts may be connected to at once, those not counted that take longer than a moment: 16 times as many of
	// them may be under way besides. 0 means 64.
	Dials int
	// DialsPerJump is the same for the hosts behind one jump host. 0 means 16.
	DialsPerJump int
	// DialRate is how many hosts may be connected to per second. 0 means 200.
	DialRate int
	// Heartbeat is how often Run puts a message about the collector itself into the outbox, beside those that it starts and stops. 0
	// means no message of either kind.
	Heartbeat time.Duration
	// Version is the program's, for these messages.
	Version string
	// Observe, where set, is called with each status, by many goroutines at once. It must not block.
	Observe func(publish.Status)
	// Log is told when a host's outcome changes, not of each poll; of many changes at once it gets a sum. Nil discards.
	Log *slog.Logger
}

// A Collector polls hosts.
type Collector struct {
	config  Config
	changes changelog
	stats   stats
	orders  chan order

	reloading sync.Mutex // Held by the one who reloads; config.Hosts and what is said of them is theirs.
}

// New returns a collector that has not polled yet.
func New(config Config) (*Collector, error) {
	switch {
	case config.Name == "":
		return nil, errors.New("collector: no name")
	case config.Pool == nil:
		return nil, errors.New("collector: no pool")
	}
	config.Epoch = cmp.Or(config.Epoch, publish.NewEpoch(time.Now()))
	config.limits()
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Collector{config: config, changes: changelog{log: config.Log}, orders: make(chan order)}, nil
}

// limits gives those that are not set their defaults.
func (c *Config) limits() {
	c.Parallel = cmp.Or(c.Parallel, 512)
	c.Dials = cmp.Or(c.Dials, 64)
	c.DialsPerJump = cmp.Or(c.DialsPerJump, 16)
	c.DialRate = cmp.Or(c.DialRate, 200)
}

// Run polls every host at once, as fast as [Config] allows, and then each at its interval, until ctx ends. It returns when the last
// poll has ended.
func (c *Collector) Run(ctx context.Context) {
	c.forget(ctx)
	c.schedule(false).run(ctx)
}

// Sweep polls every host once, and returns when the last poll has ended. It is bound to the same limits as Run: it takes at least as
// long as the dial rate asks for, and a host that hangs adds no more to it than its one poll. The error is ctx's, where that ended
// first.
func (c *Collector) Sweep(ctx context.Context) error {
	c.forget(ctx)
	s := c.schedule(true)
	s.run(ctx)
	if s.left > 0 {
		return context.Cause(ctx)
	}
	return nil
}

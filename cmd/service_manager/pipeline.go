package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/cmd/service_manager/web"
	"service_manager/collector"
	"service_manager/collector/change"
	"service_manager/collector/outbox"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// How long the end may take. What a signal allows stays, with the pool's end, below the 10 s in which SIGTERM ends the process.
const (
	drainOnSignal = 3 * time.Second  // longer than a broker takes that is well
	drainOnce     = 45 * time.Second // longer than a confirm may take
	senderEnds    = 3 * time.Second  // longer than a publisher takes to close
	endsWithin    = 9 * time.Second  // after the signal, whatever hangs
)

// errStuck says that the end came without what hangs in the kernel, as a write to a disk that has gone does: that cannot be interrupted,
// only left to end with the process.
var errStuck = errors.New("it does not end: the disk with the state file hangs, or what reads stdout has stopped reading")

// A sender takes messages out of an outbox and away. [publish.Publisher] and [publish.Writer] are senders.
type sender interface {
	Run(ctx context.Context, source publish.Source) error
}

// A pipeline is the data's whole way: pool, collector, outbox, sender.
type pipeline struct {
	inventory *inventory.Inventory
	hosts     []inventory.Host
	sender    sender        // nil: the messages go nowhere
	state     string        // path of the state file; empty: what was told is known while the program runs
	heartbeat time.Duration // of the collector's messages about itself; 0: none
	observe   func(publish.Status)
	latest    *web.Latest // what HTTP tells of the hosts; nil: no HTTP
	pprof     bool        // with profiles
	trust     string      // see hosts.Config
	reloading reloading
	systemd   notifier
	log       *slog.Logger
}

// run polls until ctx ends. Then it gives the sender a moment to see the last messages off.
func (p pipeline) run(ctx context.Context) error {
	left, err := p.do(ctx, func(ctx context.Context, c *collector.Collector) error {
		c.Run(ctx)
		return nil
	})
	if err == nil && left != nil {
		p.log.Warn("ended with messages left", slog.Any("err", left))
	}
	return err
}

// sweep polls every host once. It returns when the sender has seen all messages off that the broker takes.
func (p pipeline) sweep(ctx context.Context) error {
	left, err := p.do(ctx, func(ctx context.Context, c *collector.Collector) error {
		if c.Sweep(ctx) != nil {
			return failed(exitHost, errors.New("interrupted before every host was read"))
		}
		if refused := c.Stats().Refused; refused > 0 {
			return failed(exitOwn, fmt.Errorf("the changes of %s could not be kept in the state file", count(int(refused), "host"))) //nolint:gosec // at most one per host
		}
		return nil
	})
	if left != nil && exitOf(err) < exitBroker {
		return failed(exitBroker, left)
	}
	return err
}

// do is work, but ends soon after ctx in any case.
func (p pipeline) do(ctx context.Context, poll func(context.Context, *collector.Collector) error) (left, err error) {
	type end struct{ left, err error }
	ended := make(chan end, 1)
	go func() {
		left, err := p.work(ctx, poll)
		ended <- end{left, err}
	}()
	late := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(endsWithin, func() { close(late) }) })()
	select {
	case e := <-ended:
		return e.left, e.err
	case <-late:
		return nil, failed(exitOwn, errStuck)
	}
}

// work runs the collector and the sender side by side. It ends when poll does, which is early when the sender fails. Left says which
// messages remained; the error is the sender's, else poll's.
func (p pipeline) work(ctx context.Context, poll func(context.Context, *collector.Collector) error) (left, err error) {
	box, err := p.open()
	if err != nil {
		return nil, err
	}
	defer func() {
		if closing := box.Close(); closing != nil && exitOf(err) < exitOwn {
			err = failed(exitOwn, closing)
		}
	}()
	pool := hosts.New(hosts.Config{Trust: p.trust})
	defer pool.Close()
	c, err := collector.New(p.collector(box, pool))
	if err != nil {
		return nil, failed(exitOwn, err)
	}
	r := &running{pipeline: p, first: p.inventory, box: box, pool: pool, collector: c, relay: newRelay(p.sender)}
	r.readings.tick(false)
	r.health = health{collector: c, relay: r.relay, heartbeat: p.heartbeat}
	if p.latest != nil {
		server, err := r.serve(ctx)
		if err != nil {
			return nil, err
		}
		defer server.Close()
	}
	if p.sender == nil {
		return nil, poll(ctx, c)
	}
	return r.send(ctx, poll)
}

// running is a pipeline that runs.
type running struct {
	pipeline  // its inventory, hosts and heartbeat are those of the last reload
	first     *inventory.Inventory
	box       *outbox.Outbox
	pool      *hosts.Pool
	collector *collector.Collector
	relay     *relay
	health    health
	readings  readings
}

// send runs poll and the sender side by side, as work does.
func (r *running) send(ctx context.Context, poll func(context.Context, *collector.Collector) error) (left, err error) {
	// The sender outlives ctx, so that it can see off what is in the outbox; polling and draining end with the sender.
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	polling, stopPolling := context.WithCancel(ctx)
	defer stopPolling()
	sent := make(chan error, 1)
	go func() {
		err := r.relay.Run(sending, r.box)
		stopPolling()
		stop()
		sent <- err
	}()
	var beside conc.WaitGroup
	beside.Go(func() { r.attend(polling) })
	beside.Go(func() { r.obeyHangups(polling) })
	err = poll(polling, r.collector)
	stopPolling()
	beside.Wait()
	left = drain(ctx, sending, r.box, r.relay)
	stop()
	select {
	case failure := <-sent:
		if failure != nil {
			return nil, failed(exitOf(failure), failure)
		}
		return left, err
	case <-time.After(senderEnds):
		return nil, failed(exitOwn, errStuck)
	}
}

// tellNotices logs what of the inventory is no mistake but may surprise.
func (p pipeline) tellNotices() {
	for _, notice := range p.inventory.Notices {
		p.log.Warn("inventory", slog.String("notice", notice))
	}
}

// collector says what to collect, and what was told before.
func (p pipeline) collector(box *outbox.Outbox, pool *hosts.Pool) collector.Config {
	config := collector.Config{
		Name:         p.inventory.Collector.Name,
		Hosts:        p.hosts,
		Pool:         pool,
		Parallel:     p.inventory.Collector.Parallel,
		Dials:        p.inventory.Collector.Dials,
		DialsPerJump: p.inventory.Collector.DialsPerJump,
		DialRate:     p.inventory.Collector.DialRate,
		Flapping:     change.Flapping{Burst: p.inventory.Collector.FlapBurst, Refill: p.inventory.Collector.FlapRefill},
		Epoch:        box.Epoch(),
		Heartbeat:    p.heartbeat,
		Version:      buildVersion(),
		Observe:      p.observe,
		Log:          p.log,
	}
	if p.sender != nil {
		config.Outbox, config.States, config.Known = box, box.States(), p.known()
	}
	return config
}

// open opens the outbox.
func (p pipeline) open() (*outbox.Outbox, error) {
	broker := p.inventory.Broker
	box, err := outbox.Open(outbox.Config{
		Path:          p.state,
		Collector:     p.inventory.Collector.Name,
		MaxMessages:   broker.Outbox.MaxMessages,
		MaxBytes:      broker.Outbox.MaxBytes,
		UnroutableFor: broker.UnroutableFor,
		StatusTTL:     broker.StatusTTL,
		MaxBody:       maxBody,
		Log:           p.log,
	})
	if err != nil {
		return nil, failed(exitOwn, err)
	}
	return box, nil
}

// known tells the hosts of the inventory, whether they are selected or not.
func (p pipeline) known() func(host string) bool {
	names := make(map[string]bool, len(p.inventory.Hosts))
	for _, h := range p.inventory.Hosts {
		names[h.Name] = true
	}
	return func(host string) bool { return names[host] }
}

// drain waits until the outbox is empty, or has only what the broker does not take: for a while, and no longer than a moment after ctx
// has ended.
func drain(ctx, sending context.Context, box *outbox.Outbox, relay *relay) error {
	patient, cancel := within(sending, drainOnce, relay)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if left := box.Drain(patient); left == nil || ctx.Err() == nil {
		return left
	}
	hurried, cancel := within(sending, drainOnSignal, relay)
	defer cancel()
	return box.Drain(hurried)
}

// within returns a context that ends after d, because of what the sender lacks by then.
func within(parent context.Context, d time.Duration, relay *relay) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	timer := time.AfterFunc(d, func() {
		lacks := "confirm"
		if s := relay.stats(); s != nil && s.Broker == "" {
			lacks = "connection to a broker"
		}
		cancel(fmt.Errorf("no %s within %v", lacks, d))
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

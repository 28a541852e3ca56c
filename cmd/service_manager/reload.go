package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"
	"time"

	"service_manager/collector"
	"service_manager/inventory"
)

// A reloading is how the inventory can be read again while the program runs.
type reloading struct {
	requests <-chan os.Signal
	// load reads the inventory, and makes the sender that goes with it: nil where the one before can go on.
	load func(before *inventory.Inventory) (*inventory.Inventory, []inventory.Host, sender, error)
}

// hangups are the SIGHUPs, as of "systemctl reload". Where they were ignored when the program was started, as by nohup(1), there are none.
// Stop gives them back their default, which is to kill.
func hangups() (requests <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	return signals, func() { signal.Stop(signals) }
}

// An inventoryClock says how the readings of the inventory went. It is safe for concurrent use.
type inventoryClock struct {
	mu      sync.Mutex
	good    time.Time // when it was last read that is in use
	refused bool      // the last reading
}

func (c *inventoryClock) tick(refused bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = refused
	if !refused {
		c.good = time.Now()
	}
}

// A reloader has the parts of a running pipeline go by another inventory.
type reloader struct {
	pipeline  pipeline // its inventory and hosts are those in use
	collector *collector.Collector
	config    func(pipeline) collector.Config
	relay     *relay
	health    *health
}

// run reloads whenever it is asked to, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.pipeline.reloading.requests:
			r.pipeline.systemd.reloading()
			r.reload(ctx)
			r.pipeline.systemd.ready()
		}
	}
}

// reload reads the inventory, and puts it into effect if there is no mistake in it.
func (r *reloader) reload(ctx context.Context) {
	p := &r.pipeline
	inv, selected, next, err := p.reloading.load(p.inventory)
	p.clock.tick(err != nil)
	if err != nil {
		p.log.Error("the inventory was read again and is refused; the one before goes on to count", slog.Any("err", err))
		_ = r.collector.RefuseReload(ctx, err) // Else the end has come.
		return
	}
	before := p.inventory
	p.inventory, p.hosts, p.heartbeat = inv, selected, inv.Collector.Interval
	changes, err := r.collector.Reload(ctx, r.config(*p))
	if err != nil {
		return // The end has come.
	}
	r.health.expect(p.heartbeat)
	if next != nil {
		r.relay.exchange(next)
	}
	p.tellNotices()
	p.log.Info("the inventory was read again", slog.Int("hosts", len(selected)), slog.Int("added", changes.Added),
		slog.Int("changed", changes.Changed), slog.Int("removed", changes.Removed), slog.Bool("broker_changed", next != nil))
	for _, key := range fixed(before, inv) {
		p.log.Warn("a key of the inventory has changed that takes effect when the program is started again", slog.String("key", key))
	}
}

// fixed are the keys that differ and that a reload does not put into effect.
func fixed(before, after *inventory.Inventory) []string {
	var keys []string
	differs := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			keys = append(keys, key)
		}
	}
	b, a := before.Collector, after.Collector
	differs("collector.name", b.Name, a.Name)
	differs("collector.state", b.State, a.State)
	differs("collector.listen", b.Listen, a.Listen)
	differs("collector.flap_burst", b.FlapBurst, a.FlapBurst)
	differs("collector.flap_refill", b.FlapRefill, a.FlapRefill)
	differs("broker.outbox_max_messages", before.Broker.Outbox.MaxMessages, after.Broker.Outbox.MaxMessages)
	differs("broker.outbox_max_bytes", before.Broker.Outbox.MaxBytes, after.Broker.Outbox.MaxBytes)
	differs("broker.unroutable_for", before.Broker.UnroutableFor, after.Broker.UnroutableFor)
	differs("broker.status_ttl", before.Broker.StatusTTL, after.Broker.StatusTTL)
	return keys
}

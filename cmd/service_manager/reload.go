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

	"service_manager/cmd/service_manager/web"
	"service_manager/inventory"
)

// A reloading is how the inventory can be read again while the program runs.
type reloading struct {
	requests <-chan os.Signal
	// load reads the inventory, and makes the sender that goes with it: nil where the one before can go on.
	load func(before *inventory.Inventory) (*inventory.Inventory, []inventory.Host, sender, error)
}

// loaded is what load returns.
type loaded struct {
	inventory *inventory.Inventory
	hosts     []inventory.Host
	sender    sender
	err       error
}

// within is load, for as long as ctx lasts: a network file system that hangs cannot be interrupted, only left to end with the process.
func (r reloading) within(ctx context.Context, before *inventory.Inventory) (loaded, bool) {
	ended := make(chan loaded, 1)
	go func() {
		var l loaded
		l.inventory, l.hosts, l.sender, l.err = r.load(before)
		ended <- l
	}()
	select {
	case l := <-ended:
		return l, true
	case <-ctx.Done():
		return loaded{}, false
	}
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

// readings say how reading the inventory went. They are safe for concurrent use.
type readings struct {
	mu     sync.Mutex
	reload web.Reload
}

// tick says that the inventory has been read, and whether it was refused.
func (c *readings) tick(refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reload.OK = !refused
	if !refused {
		c.reload.At = time.Now()
	}
}

func (c *readings) last() web.Reload {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reload
}

// obeyHangups reloads whenever it is asked to, until ctx ends.
func (r *running) obeyHangups(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.reloading.requests:
			r.systemd.reloading()
			r.reload(ctx)
			r.systemd.ready()
		}
	}
}

// reload reads the inventory, and puts it into effect if there is no mistake in it.
func (r *running) reload(ctx context.Context) {
	l, ok := r.reloading.within(ctx, r.inventory)
	if !ok {
		return // The end has come.
	}
	r.readings.tick(l.err != nil)
	if l.err != nil {
		r.log.Error("the inventory was read again and is refused; the one before goes on to count", slog.Any("err", l.err))
		_ = r.collector.RefuseReload(ctx, l.err) // Else the end has come.
		return
	}
	r.inventory, r.hosts, r.heartbeat = l.inventory, l.hosts, l.inventory.Collector.Interval
	if r.latest != nil {
		r.latest.SetHosts(r.hosts)
	}
	changes, err := r.collector.Reload(ctx, r.pipeline.collector(r.box, r.pool))
	if err != nil {
		return // The end has come.
	}
	r.health.expect(r.heartbeat)
	if l.sender != nil {
		r.relay.exchange(l.sender)
	}
	r.tellNotices()
	r.log.Info("the inventory was read again", slog.Int("hosts", len(r.hosts)), slog.Int("added", changes.Added),
		slog.Int("changed", changes.Changed), slog.Int("removed", changes.Removed), slog.Bool("broker_changed", l.sender != nil))
	for _, key := range fixed(r.first, r.inventory) {
		r.log.Warn("a key of the inventory is another than at the start; that takes effect when the program is started again", slog.String("key", key))
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
	differs("collector.unit_metrics", b.UnitMetrics, a.UnitMetrics)
	differs("collector.flap_burst", b.FlapBurst, a.FlapBurst)
	differs("collector.flap_refill", b.FlapRefill, a.FlapRefill)
	differs("broker.outbox_max_messages", before.Broker.Outbox.MaxMessages, after.Broker.Outbox.MaxMessages)
	differs("broker.outbox_max_bytes", before.Broker.Outbox.MaxBytes, after.Broker.Outbox.MaxBytes)
	differs("broker.unroutable_for", before.Broker.UnroutableFor, after.Broker.UnroutableFor)
	differs("broker.status_ttl", before.Broker.StatusTTL, after.Broker.StatusTTL)
	return keys
}

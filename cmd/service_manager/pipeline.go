package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/collector"
	"service_manager/collector/outbox"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// How long the end may take. Together they stay below the 10 s in which SIGTERM ends the process.
const (
	drainOnSignal = 5 * time.Second
	drainOnce     = 45 * time.Second // longer than a confirm may take
)

// A sender takes messages out of an outbox and away. [publish.Publisher] and [publish.Writer] are senders.
type sender interface {
	Run(ctx context.Context, source publish.Source) error
}

// A pipeline is the data's whole way: pool, collector, outbox, sender.
type pipeline struct {
	inventory *inventory.Inventory
	hosts     []inventory.Host
	sender    sender // nil: the messages go nowhere
	observe   func(publish.Status)
	log       *slog.Logger
}

// run polls until ctx ends. Then it gives the sender a moment to see the last messages off.
func (p pipeline) run(ctx context.Context) error {
	left, err := p.do(ctx, drainOnSignal, (*collector.Collector).Run)
	if err == nil && left != nil {
		p.log.Warn("ended with messages that the broker had not confirmed", slog.Any("err", left))
	}
	return err
}

// sweep polls every host once. It returns when the sender has seen all messages off.
func (p pipeline) sweep(ctx context.Context) error {
	left, err := p.do(ctx, drainOnce, (*collector.Collector).Sweep)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return failed(exitHost, errors.New("interrupted before every host was read"))
	case left != nil:
		return failed(exitBroker, left)
	}
	return nil
}

// do runs the collector and the sender side by side. It ends when poll returns, which it does early when the sender fails. Left says
// which messages remained.
func (p pipeline) do(ctx context.Context, patience time.Duration, poll func(*collector.Collector, context.Context)) (left, err error) {
	pool := hosts.New(hosts.Config{})
	defer pool.Close()
	box := outbox.New()
	config := collector.Config{
		Name:     p.inventory.Collector.Name,
		Hosts:    p.hosts,
		Pool:     pool,
		Parallel: p.inventory.Collector.Parallel,
		Dials:    p.inventory.Collector.Dials,
		Observe:  p.observe,
		Log:      p.log,
	}
	if p.sender != nil {
		config.Outbox = box
	}
	c, err := collector.New(config)
	if err != nil {
		return nil, failed(exitOwn, err)
	}
	if p.sender == nil {
		poll(c, ctx)
		return nil, nil
	}
	// The sender outlives ctx, so that it can see off what is in the outbox; sending ends with the sender.
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	polling, stopPolling := context.WithCancel(ctx)
	defer stopPolling()
	var running conc.WaitGroup
	var sent error
	running.Go(func() {
		defer stopPolling()
		defer stop()
		sent = p.sender.Run(sending, box)
	})
	poll(c, polling)
	draining, cancel := context.WithTimeout(sending, patience)
	defer cancel()
	left = box.Drain(draining)
	stop()
	running.Wait()
	if sent != nil {
		return nil, failed(exitBroker, sent)
	}
	return left, nil
}

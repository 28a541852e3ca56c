package main

import (
	"context"
	"time"

	"service_manager/cmd/service_manager/web"
	"service_manager/publish"
)

// serve starts the HTTP server.
func (r *running) serve(ctx context.Context) (*web.Server, error) {
	config := web.Config{
		Listen:      r.inventory.Collector.Listen,
		Name:        r.inventory.Collector.Name,
		Version:     buildVersion(),
		Pprof:       r.pprof,
		UnitMetrics: r.inventory.Collector.UnitMetrics,
		Latest:      r.latest,
		Collector:   r.collector.Stats,
		Pool:        r.pool.Stats,
		Outbox:      r.box.Stats,
		Confirmed:   r.box.Confirmed,
		Reload:      r.readings.last,
		Alive:       func() error { return r.health.alive(time.Now()) },
		Log:         r.log,
	}
	if r.relay.stats() != nil {
		config.Publisher = func() publish.Stats { return *r.relay.stats() }
	}
	server, err := web.New(ctx, config)
	if err != nil {
		return nil, failed(exitOwn, err)
	}
	return server, nil
}

package web

import (
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MaxConnections is how many there may be at once.
const MaxConnections = maxConnections

// NewHandler is what a server of that configuration serves, for tests in which there are no sockets.
func NewHandler(config Config) (http.Handler, error) {
	s, err := newServer(config)
	if err != nil {
		return nil, err
	}
	return s.server.Handler, nil
}

// Serve serves what comes from the listener, for tests whose connections know the bubble's time.
func Serve(config Config, listener net.Listener) (*Server, error) {
	s, err := newServer(config)
	if err != nil {
		return nil, err
	}
	s.listener = listener
	go s.serve()
	return s, nil
}

// FewUnits serves the metrics of hosts and units, with so many series of units at most.
func FewUnits(latest *Latest, units int) http.Handler {
	metrics := newFleetMetrics(latest, true)
	metrics.maxSeries = units
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

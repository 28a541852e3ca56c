package web

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes there may be at once: each makes all series of the fleet.
const maxScrapes = 3

// metrics serves what [Server.registry] has.
func (s *Server) metrics() (http.Handler, error) {
	registry, err := s.registry()
	if err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{s.config.Log},
		ErrorHandling:       promhttp.ContinueOnError, // All metrics but the broken one.
		MaxRequestsInFlight: maxScrapes,
	}), nil
}

// registry has all metrics.
func (s *Server) registry() (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		s.config.Latest.polls,
		s.config.Latest.seconds,
		newFleetMetrics(s.config.Latest, s.config.UnitMetrics),
		snapshot(s.config.Collector, collectorFigures()),
		snapshot(s.config.Pool, poolFigures()),
		snapshot(s.config.Outbox, outboxFigures()),
		snapshot(s.config.Publisher, publisherFigures()),
		snapshot(s.config.Reload, reloadFigures()),
		snapshot(func() float64 { return 1 }, []figure[float64]{{
			prometheus.NewDesc("service_manager_build_info", "Always 1. The labels say what is running.", nil,
				prometheus.Labels{"version": s.config.Version, "goversion": runtime.Version(), "collector": s.config.Name}),
			prometheus.GaugeValue, func(one float64) float64 { return one },
		}}),
	} {
		if err := r.Register(guarded{c}); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return r, nil
}

// guarded keeps a panic to its metrics: the registry collects in goroutines of its own, where it would end the program.
type guarded struct{ prometheus.Collector }

func (g guarded) Collect(ch chan<- prometheus.Metric) {
	defer func() {
		if v := recover(); v != nil {
			err := fmt.Errorf("collecting: panic: %v", v)
			ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		}
	}()
	g.Collector.Collect(ch)
}

// scrapeLog is where a scrape that lacks something says so.
type scrapeLog struct{ log *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.log.Error("metrics are missing", slog.String("err", fmt.Sprint(v...)))
}

// A figure is one series, read out of a T. What is NaN does not exist at the moment.
type figure[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) float64
}

func gauge[T any](name, help string, value func(T) float64) figure[T] {
	return figure[T]{prometheus.NewDesc("service_manager_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

func counter[T any](name, help string, value func(T) float64) figure[T] {
	return figure[T]{prometheus.NewDesc("service_manager_"+name, help, nil, nil), prometheus.CounterValue, value}
}

// figures are read together, so that they are of one moment.
type figures[T any] struct {
	read func() T
	all  []figure[T]
}

// snapshot has the figures of what read returns; none where read is nil.
func snapshot[T any](read func() T, all []figure[T]) prometheus.Collector {
	if read == nil {
		all = nil
	}
	return figures[T]{read, all}
}

func (f figures[T]) Describe(ch chan<- *prometheus.Desc) {
	for _, figure := range f.all {
		ch <- figure.desc
	}
}

func (f figures[T]) Collect(ch chan<- prometheus.Metric) {
	if len(f.all) == 0 {
		return
	}
	now := f.read()
	for _, figure := range f.all {
		if value := figure.value(now); !math.IsNaN(value) {
			ch <- prometheus.MustNewConstMetric(figure.desc, figure.kind, value)
		}
	}
}

// yes is 1 for true.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// timestamp is NaN for the zero time.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return math.NaN()
	}
	return float64(t.UnixMilli()) / 1000
}

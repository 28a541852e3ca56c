package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"service_manager/cmd/service_manager/web"
	"service_manager/collector"
	"service_manager/collector/outbox"
	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// at is when the hosts of these tests were polled.
var at = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // A constant, but for its type.

// config is that of a collector that is well, with the given hosts.
func config(names ...string) web.Config {
	latest := web.NewLatest()
	latest.SetHosts(inventoryOf(names...))
	return web.Config{
		Listen: "127.0.0.1:0", Name: "fleet-a", Version: "v1.2.3", Latest: latest,
		Collector: func() collector.Stats { return collector.Stats{PollsInFlight: 1, Overruns: 2} },
		Pool:      func() hosts.Stats { return hosts.Stats{Connections: 3, Dials: 4} },
		Outbox:    func() outbox.Stats { return outbox.Stats{Events: 5, Oldest: at, Dropped: 6} },
		Publisher: func() publish.Stats { return publish.Stats{Broker: "rabbit:5672", Confirmed: 7, Nacked: 8} },
	}
}

// inventoryOf has hosts of those names, in the group that is a name's first word.
func inventoryOf(names ...string) []inventory.Host {
	var all []inventory.Host
	for _, name := range names {
		group, _, _ := strings.Cut(name, "-")
		all = append(all, inventory.Host{Name: name, Group: group, Interval: 10 * time.Second, Timeout: 8 * time.Second, ConnectTimeout: 5 * time.Second})
	}
	return all
}

// status is that of a host that was read.
func status(name string, units ...publish.Unit) publish.Status {
	group, _, _ := strings.Cut(name, "-")
	return publish.Status{
		ID: "id-" + name, Collector: "fleet-a", Epoch: "e", Host: publish.HostRef{Name: name, Group: group, Address: "10.0.0.1"},
		Time: publish.Time{Time: at}, IntervalSeconds: 10, Outcome: "ok", Units: units,
		System: &publish.System{FailedUnits: new(1)}, Poll: publish.Poll{DurationMS: 250, DialMS: 200, QueuedMS: 10},
	}
}

// trouble is the status of a host that was read before, and cannot be now.
func trouble(name, outcome string, units ...publish.Unit) publish.Status {
	s := status(name, units...)
	s.Outcome, s.Error, s.StaleSince = outcome, new("it is down"), &publish.Time{Time: at.Add(-time.Hour)}
	return s
}

func unit(name, active string) publish.Unit {
	return publish.Unit{Name: name, LoadState: "loaded", ActiveState: active}
}

// handler serves config, without a socket.
func handler(t *testing.T, config web.Config) http.Handler {
	t.Helper()
	h, err := web.NewHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// get asks h, and returns the code and the body.
func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return w.Code, w.Body.String()
}

// scrape asks h for its metrics. A sample is there under its name and labels, as the text format has it.
func scrape(t *testing.T, h http.Handler) map[string]float64 {
	t.Helper()
	code, body := get(t, h, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("code %d: %s", code, body)
	}
	samples := map[string]float64{}
	for name, family := range families(t, strings.NewReader(body)) {
		for _, m := range family.GetMetric() {
			samples[name+labels(m)] = value(m)
		}
	}
	return samples
}

func families(t *testing.T, body io.Reader) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(body)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// labels are as the text format has them.
func labels(m *dto.Metric) string {
	var pairs []string
	for _, l := range m.GetLabel() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// value is what a sample says, of a histogram how many observations it has.
func value(m *dto.Metric) float64 {
	switch {
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetHistogram() != nil:
		return float64(m.GetHistogram().GetSampleCount())
	}
	return m.GetUntyped().GetValue()
}

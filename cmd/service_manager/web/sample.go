package web

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A sample is a gauge whose labels are made before: of a large fleet there are many at each scrape, and those that
// [prometheus.NewConstMetric] makes take three times as many allocations.
type sample struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair // By name. Shared, so never written to.
	value  float64
}

func (s *sample) Desc() *prometheus.Desc { return s.desc }

func (s *sample) Write(m *dto.Metric) error {
	m.Label, m.Gauge = s.labels, &dto.Gauge{Value: &s.value}
	return nil
}

// send makes one series. The labels are sorted by name.
func send(ch chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels []*dto.LabelPair) {
	ch <- &sample{desc, labels, value}
}

func label(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// with are the labels of a host, and more of them behind.
func with(labels []*dto.LabelPair, more ...*dto.LabelPair) []*dto.LabelPair {
	all := make([]*dto.LabelPair, 0, len(labels)+len(more))
	return append(append(all, labels...), more...)
}

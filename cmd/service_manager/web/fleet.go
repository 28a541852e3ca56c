package web

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"service_manager/hosts"
	"service_manager/publish"
)

// maxUnitSeries is for how many units there may be a series of their own. Globs may match 2,000 units on each host.
const maxUnitSeries = 100_000

// fleetMetrics are those of hosts and units, made of the newest statuses when they are asked for.
type fleetMetrics struct {
	latest    *Latest
	perUnit   bool
	maxSeries int // Of units.

	hosts, units                                 *prometheus.Desc
	up, outcome, read, interval, failed, seconds *prometheus.Desc
	unit, omitted                                *prometheus.Desc
}

func newFleetMetrics(latest *Latest, perUnit bool) *fleetMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("service_manager_"+name, help, labels, nil)
	}
	return &fleetMetrics{
		latest:    latest,
		perUnit:   perUnit,
		maxSeries: maxUnitSeries,
		hosts:     desc("hosts", "Hosts of the inventory by outcome of their last poll; pending are those not polled yet.", "outcome"),
		units:     desc("units", "Watched units by state, on hosts that could be read: the active state or, if not loaded, the load state.", "state"),
		up:        desc("host_up", "1 if the last poll read the host, else 0.", "host", "group"),
		outcome:   desc("host_outcome", "Always 1. The label says how the last poll ended; there is no series of another outcome.", "host", "group", "outcome"),
		read:      desc("host_last_read_timestamp_seconds", "When the host was last read. Absent for a host never read.", "host", "group"),
		interval:  desc("host_interval_seconds", "Time from one poll of the host to its next.", "host", "group"),
		failed:    desc("host_failed_units", "Failed units of the host, also those not watched. Absent if unknown.", "host", "group"),
		seconds:   desc("host_poll_seconds", "Time of the host's last poll by phase: queue, dial, remote.", "host", "group", "phase"),
		unit:      desc("unit_state", "Always 1. The label says the unit's state; there is no series of another one, or of a host that could not be read.", "host", "group", "unit", "state"),
		omitted:   desc("unit_series_omitted", "Units without a series in unit_state because there are too many."),
	}
}

func (f *fleetMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{f.hosts, f.units, f.up, f.outcome, f.read, f.interval, f.failed, f.seconds} {
		ch <- d
	}
	if f.perUnit {
		ch <- f.unit
		ch <- f.omitted
	}
}

func (f *fleetMetrics) Collect(ch chan<- prometheus.Metric) {
	counts := newCounts(append(outcomes(), pending, other))
	states := newCounts(append(unitStates(), other))
	series, omitted := 0, 0
	for _, r := range f.latest.fleet.Load().records {
		seen := r.seen.Load()
		if seen == nil {
			counts.add(pending)
			send(ch, f.up, 0, r.labels)
			send(ch, f.outcome, 1, with(r.labels, counts[pending].label("outcome")))
			continue
		}
		outcome := outcomeLabel(seen.status.Outcome)
		counts.add(outcome)
		send(ch, f.outcome, 1, with(r.labels, counts[outcome].label("outcome")))
		f.host(ch, r, seen)
		if seen.status.Outcome != string(hosts.OK) { // What is known of its units is old.
			continue
		}
		for _, u := range distinct(seen.status.Units) {
			state := unitState(u)
			states.add(state)
			switch {
			case !f.perUnit:
			case series == f.maxSeries:
				omitted++
			default:
				series++
				send(ch, f.unit, 1, with(r.labels, states[state].label("state"), label("unit", strings.ToValidUTF8(u.Name, "\uFFFD"))))
			}
		}
	}
	for outcome, c := range counts {
		send(ch, f.hosts, float64(c.n), []*dto.LabelPair{label("outcome", outcome)})
	}
	for state, c := range states {
		send(ch, f.units, float64(c.n), []*dto.LabelPair{label("state", state)})
	}
	if f.perUnit {
		send(ch, f.omitted, float64(omitted), nil)
	}
}

// host makes the series of one host. Their number depends on nothing but what is not known of it.
func (f *fleetMetrics) host(ch chan<- prometheus.Metric, r *record, seen *seen) {
	s := &seen.status
	ok := s.Outcome == string(hosts.OK)
	send(ch, f.up, yes(ok), r.labels)
	send(ch, f.interval, s.IntervalSeconds, r.labels)
	switch {
	case ok:
		send(ch, f.read, timestamp(s.Time.Time), r.labels)
	case s.StaleSince != nil:
		send(ch, f.read, timestamp(s.StaleSince.Time), r.labels)
	}
	if ok && s.System != nil && s.System.FailedUnits != nil {
		send(ch, f.failed, float64(*s.System.FailedUnits), r.labels)
	}
	for phase, seconds := range phaseSeconds(seen.poll) {
		send(ch, f.seconds, seconds, r.ofPhase[phase])
	}
}

// counts has an entry for each word that there may be.
type counts map[string]*wordCount

type wordCount struct {
	word string
	n    int
	pair *dto.LabelPair // Made once for all series that have it.
}

func newCounts(words []string) counts {
	c := make(counts, len(words))
	for _, word := range words {
		c[word] = &wordCount{word: word}
	}
	return c
}

func (c counts) add(word string) { c[word].n++ }

func (w *wordCount) label(name string) *dto.LabelPair {
	if w.pair == nil {
		w.pair = label(name, w.word)
	}
	return w.pair
}

// distinct are the units of different names: the inventory may watch one under several.
func distinct(units []publish.Unit) []*publish.Unit {
	all := make([]*publish.Unit, 0, len(units))
	known := make(map[string]bool, len(units))
	for i := range units {
		if u := &units[i]; !known[u.Name] {
			known[u.Name] = true
			all = append(all, u)
		}
	}
	return all
}

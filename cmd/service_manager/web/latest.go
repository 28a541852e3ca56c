package web

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"service_manager/inventory"
	"service_manager/publish"
)

// stalledAfter is how long it takes, at least, until no news of any host means that polling has stalled.
const stalledAfter = time.Minute

// Latest keeps the newest status of each host, and counts polls. It is safe for concurrent use, and no one waits in it for anyone.
type Latest struct {
	fleet    atomic.Pointer[fleet]
	made     time.Time
	observed atomic.Int64 // When a status last came, as a [time.Duration] since made.
	polls    *prometheus.CounterVec
	phases   [phases]prometheus.Observer
	seconds  *prometheus.HistogramVec
}

// A fleet is the hosts of one inventory. It does not change.
type fleet struct {
	records  []*record // By name.
	byName   map[string]*record
	patience time.Duration // After that much silence polling has stalled.
}

// A record is what is kept of one host.
type record struct {
	name, group string
	labels      []*dto.LabelPair         // Of its series.
	ofPhase     [phases][]*dto.LabelPair // Of those of its last poll.
	seen        atomic.Pointer[seen]     // Nil before the first status.
}

func newRecord(h inventory.Host) *record {
	r := &record{name: h.Name, group: h.Group, labels: []*dto.LabelPair{label("group", h.Group), label("host", h.Name)}}
	for phase := range r.ofPhase {
		r.ofPhase[phase] = append(slices.Clone(r.labels), label("phase", phaseName(phase)))
	}
	return r
}

// seen does not change.
type seen struct {
	status publish.Status
	poll   publish.Poll // Of the last status that came of a poll, and did not only say again what is known.
}

// The phases of a poll: the wait for its turn, the connecting where that was needed, and the host's answer.
const (
	phaseQueue = iota
	phaseDial
	phaseRemote
	phases
)

// phaseName is the label of a phase.
func phaseName(phase int) string { return [phases]string{"queue", "dial", "remote"}[phase] }

// phaseSeconds is how long each phase of p took.
func phaseSeconds(p publish.Poll) [phases]float64 {
	return [phases]float64{phaseQueue: p.QueuedMS / 1000, phaseDial: p.DialMS / 1000, phaseRemote: max(p.DurationMS-p.DialMS, 0) / 1000}
}

// NewLatest returns one that has no host yet: see SetHosts.
func NewLatest() *Latest {
	l := &Latest{
		made: time.Now(),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "service_manager_polls_total",
			Help: "Polls that have ended, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "service_manager_poll_duration_seconds",
			Help:    "Time of a poll by phase: queue (waiting for its turn after it was due), dial (connecting, where needed), remote (the host's answer).",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"phase"}),
	}
	for _, outcome := range outcomes() {
		l.polls.WithLabelValues(outcome)
	}
	for phase := range l.phases {
		l.phases[phase] = l.seconds.WithLabelValues(phaseName(phase))
	}
	l.fleet.Store(&fleet{})
	return l
}

// SetHosts says which hosts there are: what is kept of others is forgotten, and statuses of others are passed over. It is called before
// the first of them is polled, and again when a reload has changed them.
func (l *Latest) SetHosts(hosts []inventory.Host) {
	before := l.fleet.Load()
	f := &fleet{byName: make(map[string]*record, len(hosts))}
	for _, h := range hosts {
		r := before.byName[h.Name]
		if r == nil || r.group != h.Group {
			moved := r
			r = newRecord(h)
			if moved != nil {
				r.seen.Store(moved.seen.Load())
			}
		}
		f.byName[h.Name] = r
		f.records = append(f.records, r)
		// A status comes each interval, or when the poll has ended that missed its turns.
		if patience := 2*h.Interval + h.Timeout + h.ConnectTimeout; f.patience == 0 || patience < f.patience {
			f.patience = patience
		}
	}
	f.patience = max(f.patience, stalledAfter)
	slices.SortFunc(f.records, func(a, b *record) int { return cmp.Compare(a.name, b.name) })
	if f.patience < before.patience { // No more was due so far, so it begins anew.
		l.observed.Store(int64(time.Since(l.made)))
	}
	l.fleet.Store(f)
}

// Observe takes in a status, which must not be changed afterwards. Those of one host come one after the other.
func (l *Latest) Observe(s publish.Status) {
	l.observed.Store(int64(time.Since(l.made)))
	r := l.fleet.Load().byName[s.Host.Name]
	if r == nil {
		return
	}
	now := &seen{status: s, poll: s.Poll}
	if polled := s.Poll.DurationMS > 0; polled {
		l.polls.WithLabelValues(outcomeLabel(s.Outcome)).Inc()
		for phase, seconds := range phaseSeconds(s.Poll) {
			if phase == phaseQueue || seconds > 0 { // Most polls need no dial, and one that gets no connection no answer.
				l.phases[phase].Observe(seconds)
			}
		}
	} else if before := r.seen.Load(); before != nil {
		now.poll = before.poll
	}
	r.seen.Store(now)
}

// stalled says that no status has come for too long, nil if one has.
func (l *Latest) stalled() error {
	f := l.fleet.Load()
	silence := time.Since(l.made) - time.Duration(l.observed.Load())
	if len(f.records) == 0 || silence <= f.patience {
		return nil
	}
	return fmt.Errorf("polling has stalled: there is no news of any host since %v, and should be within %v",
		silence.Round(time.Second), f.patience.Round(time.Second))
}

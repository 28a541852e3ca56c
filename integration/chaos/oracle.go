package chaos

import (
	"encoding/json"
	"hash/fnv"
	"sync"
	"time"

	"service_manager/integration/fleet"
	"service_manager/publish"
)

const (
	// livesOn is how long a collector has to live after it got an answer, so that it must tell of it.
	livesOn = 2 * time.Second
	// comesUp is less than a collector takes from its start to its first answer. What is served earlier is for the one before.
	comesUp = 150 * time.Millisecond
	// failedPoll is more than passes from an answer to the moment at which the poll that it is for is given up as late.
	failedPoll = 2500 * time.Millisecond
	// noticed is within what time a host that is away must be noticed to be.
	noticed = 4 * time.Second
)

// An oracle knows what was true on the hosts, what of that a collector has read, and what a consumer was told. It is safe for concurrent
// use.
type oracle struct {
	mu    sync.Mutex
	hosts map[string]*host
	lives []span            // of the collectors; the last has no end while it lives
	full  []span            // while a queue beside the consumer's was full
	ids   map[string]uint64 // of the events, and a sum of each
	epoch string

	statuses   int
	duplicates []time.Time // when events came that had come before
	findings   findings    // what was wrong in itself, whatever was true
}

// A span is a time from its begin to its end. It has none while that is zero.
type span struct{ from, to time.Time }

func (s span) contains(t time.Time) bool {
	return !t.Before(s.from) && (s.to.IsZero() || !t.After(s.to))
}

// A host is one of those that the collector reads.
type host struct {
	subjects map[string]*subject // by unit, and the boots under ""
	answers  []answer            // in the order of time
	away     []span              // when it really could not be reached
	outcomes []outcome           // what was told of whether it can be
	seq      uint64              // the last that was told
}

// An answer is one that a host has given to a poll.
type answer struct {
	version   int
	asked, at time.Time // when the poll came, and when the answer had been written
}

// An outcome is an event that says whether a host can be read.
type outcome struct {
	seq           uint64
	observed      time.Time
	before, after string // outcomes
}

// A subject is what has one state at a time: a unit, or a host with its boots.
type subject struct {
	truths []truth // the first is the baseline
	told   []event // in the order in which they were delivered for the first time
	settle time.Duration
}

// A truth is a state that a subject really had.
type truth struct {
	version int // of the host, from which on it was so
	at      time.Time
	state   state
	started bool // a new invocation began with it
}

// An event is what was told of a subject.
type event struct {
	seq           uint64
	delivered     time.Time
	before, after state
	restarts      int
}

func newOracle() *oracle {
	return &oracle{hosts: make(map[string]*host), ids: make(map[string]uint64), findings: make(findings)}
}

// flaps says that a unit changes faster than each of its states can be told: only what it stays for that time must be.
func (o *oracle) flaps(hostName, unit string, settle time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.host(hostName).subject(unit).settle = settle
}

// changed records what a host is from a moment on. The first call for a host records the baseline.
func (o *oracle) changed(at time.Time, s fleet.HostState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.host(s.Name)
	h.subject("").become(truth{version: s.Version, at: at, state: bootState(s.BootID)})
	for _, u := range s.Units {
		h.subject(u.Name).become(truth{version: s.Version, at: at, state: trueState(u)})
	}
}

// left records that a host cannot be reached any more, and returned that it can.
func (o *oracle) left(at time.Time, hostName string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.host(hostName)
	h.away = append(h.away, span{from: at})
}

func (o *oracle) returned(at time.Time, hostName string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.host(hostName)
	h.away[len(h.away)-1].to = at
}

// served records that a host has answered a poll.
func (o *oracle) served(hostName string, version int, asked, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.host(hostName)
	h.answers = append(h.answers, answer{version, asked, at})
}

// born records that a collector was started, and died that it is going to be ended.
func (o *oracle) born(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lives = append(o.lives, span{from: at})
}

func (o *oracle) died(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lives[len(o.lives)-1].to = at
}

// besideFull records a time in which a queue beside the consumer's was full, so that what came to the consumer came again.
func (o *oracle) besideFull(s span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = append(o.full, s)
}

// event records an event that a consumer got. One that the broker has delivered again, since the consumer had not acknowledged it, is
// no duplicate of the publisher's.
func (o *oracle) event(at time.Time, e publish.Event, redelivered bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum := sum(e)
	if before, again := o.ids[e.ID]; again {
		if !redelivered {
			o.duplicates = append(o.duplicates, at)
		}
		if sum != before {
			o.findings.add(wrongEvent, "%s: event %d, %s, came again with another content", e.Host.Name, e.Seq, e.Event)
		}
		return
	}
	o.ids[e.ID] = sum
	h := o.host(e.Host.Name)
	o.checkEnvelope(e)
	if e.Seq != h.seq+1 {
		o.findings.add(outOfOrder, "%s: seq %d came after %d", e.Host.Name, e.Seq, h.seq)
	}
	h.seq = e.Seq
	o.take(h, at, e)
}

// checkEnvelope looks at what is the same in all events.
func (o *oracle) checkEnvelope(e publish.Event) {
	if o.epoch == "" {
		o.epoch = e.Epoch
	}
	if e.Epoch != o.epoch {
		o.findings.add(otherEpoch, "%s: event %d has epoch %s, not %s", e.Host.Name, e.Seq, e.Epoch, o.epoch)
	}
	if want := publish.EventID(e.Collector, e.Epoch, e.Host.Name, e.Seq); e.ID != want {
		o.findings.add(wrongEvent, "%s: event %d has id %s, not %s", e.Host.Name, e.Seq, e.ID, want)
	}
}

// take files an event that has not come before under what it is about.
func (o *oracle) take(h *host, at time.Time, e publish.Event) {
	told := event{seq: e.Seq, delivered: at, restarts: e.Restarts}
	switch {
	case e.Event == publish.Gap:
		o.findings.add(wrongEvent, "%s: event %d is a gap: %+v", e.Host.Name, e.Seq, e.Gap)
	case e.Before == nil || e.After == nil:
		o.findings.add(wrongEvent, "%s: event %d, %s, has no before or no after", e.Host.Name, e.Seq, e.Event)
	case e.Unit != nil && e.Before.Unit != nil && e.After.Unit != nil:
		told.before, told.after = toldState(*e.Before.Unit), toldState(*e.After.Unit)
		h.subject(*e.Unit).told = append(h.subject(*e.Unit).told, told)
	case e.Unit == nil && e.Before.Host != nil && e.After.Host != nil:
		if e.Event == publish.HostRebooted { // One that comes with host.recovered says the same of the outcome once more.
			told.before, told.after = bootState(bootID(e.Before.Host)), bootState(bootID(e.After.Host))
			h.subject("").told = append(h.subject("").told, told)
			return
		}
		h.outcomes = append(h.outcomes, outcome{e.Seq, e.ObservedAt.Time, e.Before.Host.Outcome, e.After.Host.Outcome})
	default:
		o.findings.add(wrongEvent, "%s: event %d, %s, is neither of a unit nor of the host", e.Host.Name, e.Seq, e.Event)
	}
}

// status records a status that a consumer got from the queue that also has the events.
func (o *oracle) status(s publish.Status, redelivered bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statuses++
	h := o.host(s.Host.Name)
	if s.EventSeq > h.seq && !redelivered {
		o.findings.add(aheadOfEvents, "%s: a status says that event %d was confirmed, and %d was the last that came",
			s.Host.Name, s.EventSeq, h.seq)
	}
}

func (o *oracle) host(name string) *host {
	h := o.hosts[name]
	if h == nil {
		h = &host{subjects: make(map[string]*subject)}
		o.hosts[name] = h
	}
	return h
}

func (h *host) subject(name string) *subject {
	s := h.subjects[name]
	if s == nil {
		s = &subject{}
		h.subjects[name] = s
	}
	return s
}

// become appends a truth that differs from the one before.
func (s *subject) become(t truth) {
	if n := len(s.truths); n > 0 {
		if s.truths[n-1].state == t.state {
			return
		}
		t.started = s.truths[n-1].state.invocation != t.state.invocation
	}
	s.truths = append(s.truths, t)
}

// sum is the same of two events that say the same.
func sum(e publish.Event) uint64 {
	h := fnv.New64a()
	_ = json.NewEncoder(h).Encode(e) // A hash takes everything, and what came as JSON can be JSON again.
	return h.Sum64()
}

func bootID(s *publish.HostState) string {
	if s.System == nil {
		return ""
	}
	return or(s.System.BootID, "")
}

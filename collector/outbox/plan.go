package outbox

import (
	"log/slog"
	"slices"
	"time"

	"service_manager/publish"
)

// maxQuarantined bounds how many events are kept aside; the oldest make room.
const maxQuarantined = 1000

// A plan is what a batch comes to: computed before the transaction that writes it, and made known after it.
type plan struct {
	o       *Outbox
	batch   *todo
	now     time.Time
	clock   time.Duration
	last    uint64 // The greatest id of an event so far.
	usage   usage
	hosts   map[string]*hostPlan
	events  []planned // To be added, in the order of their ids.
	aside   []planned // To be added to the quarantine.
	unfit   []unfit   // Some of those.
	deletes []uint64

	refused   int // Jobs that have no room.
	overflows map[*host]*overflow
	told      []*host // The gap that tells of their overflow is among events.
}

// A hostPlan is what becomes of a host's record.
type hostPlan struct {
	seq       uint64
	state     []byte
	keepState bool // As it is in the file.
	changed   bool
	told      bool // The gap that tells of its overflow is planned.
}

// planned is an event to be added.
type planned struct {
	host  string
	entry entry
	value []byte // As encodeEvent has it.
}

// unfit is an event that can never be sent.
type unfit struct {
	event publish.Event
	err   error
}

// plan works out a batch. Jobs that cannot be done get their error.
func (o *Outbox) plan(batch *todo) *plan {
	o.mu.Lock()
	p := &plan{
		o: o, batch: batch, now: time.Now(), clock: o.clock, last: o.lastID, usage: o.usage,
		hosts: map[string]*hostPlan{}, overflows: map[*host]*overflow{},
	}
	o.mu.Unlock()
	p.deletes = append(p.deletes, batch.deletes...)
	p.drops()
	for _, h := range batch.overflows {
		if h.overflow != nil {
			hp, _ := p.host(h.name)
			p.tell(hp, h, h.overflow.host)
		}
	}
	for _, j := range batch.jobs {
		p.job(j)
	}
	return p
}

// host returns the plan of a host, and the host itself.
func (p *plan) host(name string) (*hostPlan, *host) {
	p.o.mu.Lock()
	defer p.o.mu.Unlock()
	h := p.o.host(name)
	hp := p.hosts[name]
	if hp == nil {
		hp = &hostPlan{seq: h.seq, keepState: true}
		p.hosts[name] = hp
	}
	return hp, h
}

// job plans all of a job or, where there is no room for it, nothing. An empty outbox has room for any job.
func (p *plan) job(j *job) {
	hp, h := p.host(j.host)
	before, host := *p, *hp
	if len(j.events) > 0 {
		p.tell(hp, h, j.events[0].Host)
	}
	for _, e := range j.events {
		p.event(hp, e)
	}
	full := p.usage.events > p.o.config.MaxMessages || p.usage.bytes > p.o.config.MaxBytes
	if full && before.usage.events > 0 && len(j.events) > 0 {
		*p, *hp = before, host
		p.overflow(hp, h, j.events[0].Host)
		j.err = ErrFull
		return
	}
	hp.state, hp.keepState, hp.changed = j.state, false, true
}

// event plans an event. One that can never be sent is set aside, and a gap planned in its place.
func (p *plan) event(hp *hostPlan, e publish.Event) {
	hp.seq++
	hp.changed = true
	e.Collector, e.Epoch, e.Seq = p.o.config.Collector, p.o.epoch, hp.seq
	if e.Event == publish.Gap {
		e.ObservedAt = publish.Time{Time: p.now}
	}
	m, err := e.Message()
	if err == nil {
		err = m.Validate(p.o.config.MaxBody)
	}
	if err == nil {
		p.add(&p.events, e.Host.Name, m)
		p.usage.add(p.events[len(p.events)-1].entry)
		return
	}
	p.unfit = append(p.unfit, unfit{event: e, err: err})
	p.add(&p.aside, e.Host.Name, m)
	if e.Event != publish.Gap {
		seq := e.Seq
		info := &publish.GapInfo{Reason: publish.GapRefused, Since: e.ObservedAt, FirstSeq: &seq, LastSeq: &seq}
		p.event(hp, publish.Event{Event: publish.Gap, Host: e.Host, Gap: info})
	}
}

func (p *plan) add(to *[]planned, host string, m publish.Message) {
	p.last++
	value := encodeEvent(m)
	e, _, err := entryOf(p.last, value)
	if err != nil {
		panic(err) // What was just encoded.
	}
	*to = append(*to, planned{host: host, entry: e, value: value})
}

// drops plans the drops of the batch. Where what is to be told of one cannot be read its host is left alone.
func (p *plan) drops() {
	p.batch.drops = slices.DeleteFunc(p.batch.drops, func(d drop) bool {
		if d.host.stage == stuck { // With what was before it.
			return true
		}
		err := p.drop(d)
		if err != nil {
			p.o.mu.Lock()
			defer p.o.mu.Unlock()
			p.o.unreadable(d.host, d.entries[0], err)
		}
		return err != nil
	})
}

// drop plans the end of events, and the gap that tells of it; or with an error, nothing. Of many events few are read.
func (p *plan) drop(d drop) error {
	newest, err := p.read(d.newest)
	if err != nil {
		return err
	}
	gap, err := gapOf(d, newest)
	if err != nil {
		return err
	}
	var aside []planned
	for _, e := range d.entries {
		if !e.gap && !d.quarantine {
			continue
		}
		m, err := p.read(e)
		if err != nil {
			return err
		}
		if e.gap {
			if err := include(gap.Gap, m); err != nil {
				return err
			}
		}
		if d.quarantine {
			aside = append(aside, planned{host: d.host.name, entry: e, value: encodeEvent(m)})
		}
	}
	p.aside = append(p.aside, aside...)
	for _, e := range d.entries {
		p.deletes = append(p.deletes, e.id)
		p.usage.remove(e)
	}
	hp, _ := p.host(d.host.name)
	p.event(hp, gap)
	return nil
}

// read returns an event that waits.
func (p *plan) read(e entry) (publish.Message, error) { return p.o.event(e.id, p.body(e.id)) }

// body returns an event that is not in the file, or also in memory; else nil.
func (p *plan) body(id uint64) []byte {
	p.o.mu.Lock()
	defer p.o.mu.Unlock()
	return p.o.bodies.byID[id]
}

// write is the transaction.
func (p *plan) write(t *transaction) error {
	for name, hp := range p.hosts {
		if !hp.changed {
			continue
		}
		if err := hp.write(t, []byte(name)); err != nil {
			return err
		}
	}
	for _, e := range p.events {
		if err := t.put(eventsBucket, eventKey(e.entry.id), e.value); err != nil {
			return err
		}
	}
	for _, id := range p.deletes {
		if err := t.remove(eventsBucket, eventKey(id)); err != nil {
			return err
		}
	}
	for name, n := range p.batch.notes {
		if err := n.write(t, []byte(name)); err != nil {
			return err
		}
	}
	if err := p.writeOverflows(t); err != nil {
		return err
	}
	if p.clock != p.o.kept {
		if err := t.putClock(p.clock); err != nil {
			return err
		}
	}
	return p.writeAside(t)
}

func (hp *hostPlan) write(t *transaction, name []byte) error {
	state := hp.state
	if hp.keepState {
		before, err := t.value(hostsBucket, name)
		if err != nil {
			return err
		}
		if before != nil {
			if _, state, err = decodeHost(before); err != nil {
				return err
			}
		}
	}
	return t.put(hostsBucket, name, encodeHost(hp.seq, state))
}

func (n returnNote) write(t *transaction, host []byte) error {
	if n.id == 0 {
		return t.remove(returnsBucket, host)
	}
	return t.put(returnsBucket, host, encodeReturn(n))
}

func (p *plan) writeAside(t *transaction) error {
	for _, e := range p.aside {
		if err := t.put(quarantineBucket, eventKey(e.entry.id), e.value); err != nil {
			return err
		}
	}
	for len(p.aside) > 0 && t.count(quarantineBucket) > maxQuarantined {
		if err := t.remove(quarantineBucket, t.first(quarantineBucket)); err != nil {
			return err
		}
	}
	return nil
}

// apply makes known what was written.
func (o *Outbox) apply(p *plan) {
	o.lastID, o.kept = p.last, p.clock
	o.stats.Commits++
	o.stats.Committed += uint64(len(p.events))
	o.stats.Quarantined = min(o.stats.Quarantined+len(p.aside), maxQuarantined)
	for name, hp := range p.hosts {
		o.hosts[name].seq = hp.seq
	}
	o.applyOverflows(p)
	for _, u := range p.unfit {
		o.log.Error("an event can never be sent; it is set aside", slog.String("host", u.event.Host.Name),
			slog.String("event", u.event.Event), slog.Uint64("seq", u.event.Seq), slog.Any("err", u.err))
	}
	for _, e := range p.events {
		h := o.hosts[e.host]
		h.events.push(e.entry)
		o.usage.add(e.entry)
		o.bodies.add(e.entry.id, e.value)
		o.open++
		o.offer(h)
	}
	for _, d := range p.batch.drops {
		o.dropped(d)
	}
	for _, j := range p.batch.jobs {
		if j.state == nil && j.err == nil {
			o.withdraw(j.host)
		}
	}
}

// markFull remembers whether there is no room for changes, and logs when that begins and ends.
func (o *Outbox) markFull(p *plan) {
	switch {
	case p.refused > 0 && !o.stats.Full:
		o.stats.Full = true
		o.log.Error("the outbox is full; changes are told when the broker has taken some of its events", slog.Int("events", o.usage.events),
			slog.Int64("bytes", o.usage.bytes))
	case p.refused == 0 && o.stats.Full && o.roomy():
		o.stats.Full = false
		o.log.Info("the outbox has room again", slog.Int("events", o.usage.events))
	}
}

package outbox

import (
	"time"

	"service_manager/publish"
)

// An overflow says that changes of a host were refused for want of room. It is kept in the file, where it needs no room of an event,
// until a gap that tells of it is committed: with the host's next events, or as soon as there is room. For the host may be as it was by
// then, and have no events to come.
type overflow struct {
	since time.Time
	host  publish.HostRef
}

// roomy reports whether a tenth of the room for events is free: then the outbox is no longer full.
func (o *Outbox) roomy() bool {
	return o.usage.events <= o.config.MaxMessages/10*9 && o.usage.bytes <= o.config.MaxBytes/10*9
}

// takeOverflows takes out hosts whose overflow there is room to tell of.
func (o *Outbox) takeOverflows() []*host {
	if !o.roomy() {
		return nil
	}
	n := min(len(o.todo.overflows), maxEvents, max(1, o.config.MaxMessages/10))
	var hosts []*host
	hosts, o.todo.overflows = split(o.todo.overflows, n)
	return hosts
}

// tell plans the gap that tells of a host's overflow, if there is one that was not told.
func (p *plan) tell(hp *hostPlan, h *host, ref publish.HostRef) {
	if h.overflow == nil || hp.told {
		return
	}
	info := &publish.GapInfo{Reason: publish.GapOutboxFull, Since: publish.Time{Time: h.overflow.since}}
	p.event(hp, publish.Event{Event: publish.Gap, Host: ref, Gap: info})
	hp.told = true
	p.told = append(p.told, h)
}

// overflow plans to remember that a host's changes are refused, if that is not known.
func (p *plan) overflow(hp *hostPlan, h *host, ref publish.HostRef) {
	p.refused++
	if h.overflow == nil || hp.told {
		p.overflows[h] = &overflow{since: p.now, host: ref}
	}
}

func (p *plan) writeOverflows(t *transaction) error {
	for _, h := range p.told {
		if err := t.remove(overflowsBucket, []byte(h.name)); err != nil {
			return err
		}
	}
	for h, v := range p.overflows {
		value, err := encodeOverflow(v)
		if err != nil {
			return err
		}
		if err := t.put(overflowsBucket, []byte(h.name), value); err != nil {
			return err
		}
	}
	return nil
}

// applyOverflows makes known what was written of them.
func (o *Outbox) applyOverflows(p *plan) {
	for _, h := range p.told {
		h.overflow = nil
	}
	for h, v := range p.overflows {
		h.overflow = v
		o.todo.overflows = append(o.todo.overflows, h)
	}
}

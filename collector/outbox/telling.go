package outbox

import (
	"log/slog"
	"time"

	"service_manager/publish"
)

// tellEach is how often the log repeats what lasts: no line is of one message, for there may be thousands of the same cause.
const tellEach = time.Minute

// told is what the log says of lots. It outlives them, who may come and go many times a minute.
type told struct {
	last time.Time // When it was said.
	open bool      // It was not said since that it is over.
}

// told is the key that a lot is told of by: those of rejected messages are two lots, which is no one's business.
func (k lotKey) told() lotKey {
	if k.fate == publish.Invalid {
		k.fate = publish.Rejected
	}
	return k
}

// due reports whether to tell of lots now, once a minute at most.
func (o *Outbox) due(key lotKey) bool {
	t := o.told[key]
	return t == nil || time.Since(t.last) >= tellEach
}

// tellLot logs that a lot waits, if that is due. None of its members is on trial.
func (o *Outbox) tellLot(l *lot) {
	key := l.key.told()
	if l.waiting.len() == 0 || !o.due(key) {
		return
	}
	hosts, events := 0, 0
	for k, l := range o.lots {
		if k.told() != key {
			continue
		}
		hosts += l.waiting.len()
		for _, m := range l.waiting.items {
			events += m.waitingEvents()
		}
	}
	o.tell(key, hosts, events)
}

// tell logs that messages of so many hosts wait, if that is due.
func (o *Outbox) tell(key lotKey, hosts, events int) {
	if !o.due(key) {
		return
	}
	o.told[key] = &told{last: time.Now(), open: true}
	attrs := append(key.attrs(), slog.Int("hosts", hosts))
	if !key.newest {
		attrs = append(attrs, slog.Int("events", events))
	}
	if key.fate == publish.Unroutable {
		attrs = append(attrs, slog.Duration("dropped_after", o.config.UnroutableFor))
	}
	o.log.Warn("the broker does not take messages, they wait", append(attrs, slog.String("why", key.why()))...)
}

// tellOver logs that the messages of a lot, which has ended, are taken again, if it was told that they are not.
func (o *Outbox) tellOver(key lotKey) {
	key = key.told()
	for k := range o.lots {
		if k.told() == key {
			return
		}
	}
	if t := o.told[key]; t != nil && t.open {
		t.open = false
		o.log.Info("the broker takes again what waited", key.attrs()...)
	}
}

// why says why the messages of a lot wait, and what to do about it.
func (k lotKey) why() string {
	switch k.fate {
	case publish.Unroutable:
		return "no queue is bound for them: bind one to the exchange, or have [[broker.queues]] do it"
	case publish.Refused:
		return "nack: a queue is full and rejects, or has lost its node"
	default:
		return "the broker ends the connection for them: mend the account's topic permissions, or the broker's max_message_size"
	}
}

// attrs say which messages those of a lot are.
func (k lotKey) attrs() []any {
	of := "events"
	switch {
	case k.newest:
		of = "statuses"
	case k.group != "":
		of = publish.RoutingKey(publish.KindEvent, k.group, "*")
	}
	return []any{slog.String("of", of)}
}

// losses are events that were dropped, to be told once a minute.
type losses struct {
	events int
	hosts  map[string]struct{}
	timer  *time.Timer // Tells the next ones; nil while there are none.
	last   time.Time
}

// gatherLosses is how long the first of them wait for company.
const gatherLosses = 5 * time.Second

// lose counts dropped events.
func (o *Outbox) lose(host string, events int) {
	l := &o.losses
	if l.hosts == nil {
		l.hosts = map[string]struct{}{}
	}
	l.events += events
	l.hosts[host] = struct{}{}
	if l.timer == nil {
		l.timer = time.AfterFunc(max(gatherLosses, tellEach-time.Since(l.last)), o.tellLosses)
	}
}

// tellLosses logs what was dropped since it last did.
func (o *Outbox) tellLosses() {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := &o.losses
	if l.timer == nil {
		return
	}
	l.timer.Stop()
	o.log.Error("events were dropped that no queue was bound for during unroutable_for; gaps tell of them: bind a queue to the exchange,"+
		" or have [[broker.queues]] do it", slog.Int("events", l.events), slog.Int("hosts", len(l.hosts)),
		slog.Uint64("since_start", o.stats.Dropped))
	*l = losses{last: time.Now()}
}

package collector

import (
	"container/heap"
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/sourcegraph/conc/panics"

	"service_manager/inventory"
	"service_manager/publish"
)

// removeAgain is when a removal is tried again that the outbox has refused.
const removeAgain = 10 * time.Second

// An order is something that another goroutine wants of the running schedule. It is carried out between two turns.
type order func(context.Context, *schedule)

// order has the running schedule carry o out, and returns when that is done. It waits for Run to begin, or for ctx to end.
func (c *Collector) order(ctx context.Context, o order) error {
	done := make(chan struct{})
	select {
	case c.orders <- func(ctx context.Context, s *schedule) {
		defer close(done)
		o(ctx, s)
	}:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Changes says how many hosts a reload has to do with.
type Changes struct{ Added, Changed, Removed int }

// Reload has a running collector go by another inventory. Of config, Hosts, Known, the limits and Heartbeat count; all else stays as it
// is. Only the hosts that are new, changed or gone are touched:
//
//   - A new host is polled at once.
//   - One that differs in more than its group, labels, interval and timeouts is polled at once as well, whatever its back-off, and one
//     in trouble also with other timeouts. It keeps its connection if that leads to the same account at the same place.
//   - One that is gone is told to be removed, and forgotten, unless Known still knows it: then it is just not polled.
//
// A poll under way ends first. Reload returns when the schedule has taken the inventory over, which is before all this has happened.
// It waits for Run to begin, or for ctx to end: the error is then ctx's, and nothing has changed.
func (c *Collector) Reload(ctx context.Context, config Config) (Changes, error) {
	c.reloading.Lock()
	defer c.reloading.Unlock()
	config.limits()
	d := compare(c.config.Hosts, config.Hosts)
	changes := Changes{Added: len(d.added), Changed: len(d.changed), Removed: len(d.removed)}
	err := c.order(ctx, func(ctx context.Context, s *schedule) {
		s.reload(ctx, config, d)
		s.notice(publish.CollectorReloaded, &publish.Reload{Added: changes.Added, Changed: changes.Changed, Removed: changes.Removed})
	})
	if err != nil {
		return Changes{}, err
	}
	c.config.Hosts = config.Hosts
	return changes, nil
}

// RefuseReload tells the consumers that an inventory was refused, and why. It waits as Reload does.
func (c *Collector) RefuseReload(ctx context.Context, why error) error {
	return c.order(ctx, func(_ context.Context, s *schedule) {
		s.notice(publish.CollectorReloadRefused, &publish.Reload{Error: new(why.Error())})
	})
}

// A difference is that between two lists of hosts.
type difference struct {
	added, changed []inventory.Host
	removed        []string
}

// compare does not bother the schedule: it takes some time with many hosts.
func compare(before, after []inventory.Host) difference {
	var d difference
	old := make(map[string]*inventory.Host, len(before))
	for i := range before {
		old[before[i].Name] = &before[i]
	}
	for _, h := range after {
		switch b := old[h.Name]; {
		case b == nil:
			d.added = append(d.added, h)
		case !reflect.DeepEqual(onTheWay(*b), onTheWay(h)):
			d.changed = append(d.changed, h)
		}
		delete(old, h.Name)
	}
	for name := range old {
		d.removed = append(d.removed, name)
	}
	return d
}

// onTheWay returns h without what its jump hosts are besides: how often they are polled themselves, and for what, is nothing to h.
func onTheWay(h inventory.Host) inventory.Host {
	if h.Via != nil {
		via := onTheWay(*h.Via)
		h.Via = &inventory.Host{Name: via.Name, Address: via.Address, ConnectTimeout: via.ConnectTimeout, SSH: via.SSH, Via: via.Via}
	}
	return h
}

// answersAs reports whether polls of a tell nothing else than those of b: they differ in nothing but what they are called, and when and for
// how long they are polled.
func answersAs(a, b inventory.Host) bool {
	a.Group, a.Labels, a.Interval, a.Timeout, a.ConnectTimeout = b.Group, b.Labels, b.Interval, b.Timeout, b.ConnectTimeout
	return reflect.DeepEqual(onTheWay(a), onTheWay(b))
}

// reload takes over what counts of config, and puts d into effect.
func (s *schedule) reload(ctx context.Context, config Config, d difference) {
	now := time.Now()
	s.config.Known = config.Known
	s.polls.resize(config.Parallel)
	s.dials.resize(config.Dials, config.DialsPerJump, config.DialRate)
	if s.config.Heartbeat != config.Heartbeat {
		s.config.Heartbeat = config.Heartbeat
		s.firstBeat(now)
	}
	s.stats.expect(config.Hosts)
	for _, name := range d.removed {
		s.watches[name].leaves = true
		s.touch(ctx, s.watches[name])
	}
	for _, h := range d.changed {
		s.watches[h.Name].anew = &h
		s.touch(ctx, s.watches[h.Name])
	}
	for _, h := range d.added {
		w := s.watches[h.Name]
		if w == nil {
			s.enter(h, now)
			continue
		}
		w.leaves, w.anew = false, &h // It has not left yet.
		s.touch(ctx, w)
	}
	s.removeAbsent(ctx)
}

// removeAbsent has the hosts leave that were not polled, but known to the inventory, and are not even that any more.
func (s *schedule) removeAbsent(ctx context.Context) {
	var names []string
	for name := range s.absent {
		names = append(names, name)
	}
	for name := range s.config.States {
		names = append(names, name)
	}
	for _, name := range names {
		if s.knows(name) {
			continue
		}
		s.enter(inventory.Host{Name: name}, time.Now())
		s.watches[name].leaves = true
		s.touch(ctx, s.watches[name])
	}
}

// knows reports whether a host is in the inventory, polled or not.
func (s *schedule) knows(host string) bool { return s.config.Known == nil || s.config.Known(host) }

// touch lets the reload have its way with w now, if nothing is under way for it.
func (s *schedule) touch(ctx context.Context, w *watch) {
	if w.stage == idle {
		s.obey(ctx, w)
		w.rearm()
		s.agenda.rearrange(w)
	}
}

// overtaken reports whether a reload has made the work on w of no use.
func (w *watch) overtaken() bool { return w.leaves || w.anew != nil && !answersAs(w.host, *w.anew) }

// obey gives w, which is idle, what a reload wants for it.
func (s *schedule) obey(ctx context.Context, w *watch) {
	switch {
	case w.leaves:
		s.leave(ctx, w)
	case w.anew != nil:
		s.adopt(w, *w.anew, time.Now())
	}
}

// adopt makes h the host to poll: at once, if it will answer otherwise than before; else in its phase, but for a turn that has come by now.
func (s *schedule) adopt(w *watch, h inventory.Host, now time.Time) {
	before := w.host
	w.host, w.anew = h, nil
	same := answersAs(before, h)
	if !same || before.Interval != h.Interval { // How long it takes may be another matter now.
		s.unstretch(w)
	}
	w.phase = phase(s.config.Name, h.Name, w.interval())
	otherTimeouts := before.Timeout != h.Timeout || before.ConnectTimeout != h.ConnectTimeout
	switch {
	case !same, w.err != nil && otherTimeouts:
		w.due, w.resume, w.failures = now, time.Time{}, 0
	case w.due.After(now):
		w.due = s.next(now, w)
	}
}

// leave has a goroutine commit that w is removed, unless the inventory still has it.
func (s *schedule) leave(ctx context.Context, w *watch) {
	w.stage, w.resume, w.soon = leaving, time.Time{}, time.Time{}
	s.telling++
	remove := !s.knows(w.host.Name)
	s.work.Do(func() {
		r := result{watch: w, removed: remove}
		panicked := panics.Try(func() {
			s.config.Pool.Drop(w.host.Name)
			if remove {
				r.err = s.commitRemoval(w)
			}
		})
		if panicked != nil {
			r.err = panicked.AsError()
			s.config.Log.Error("the removal of a host cannot be told", slog.String("host", w.host.Name), slog.Any("err", r.err))
		}
		s.handBack(ctx, r)
	})
}

// commitRemoval forgets w, and tells so if anything was ever told of it. When it is refused the outbox has logged why.
func (s *schedule) commitRemoval(w *watch) error {
	state := w.baseline.State()
	if s.config.Outbox == nil || state.Outcome == "" {
		return nil
	}
	return s.config.Outbox.Commit(w.host.Name, nil, []publish.Event{state.Removed(time.Now())})
}

// parted takes w, which was to leave, off the agenda; or lets it begin anew, if it is wanted again.
func (s *schedule) parted(ctx context.Context, w *watch, r result) {
	now := time.Now()
	name, again := w.host.Name, w.anew
	if r.err != nil {
		s.stats.refused()
		w.due = now.Add(removeAgain)
		if !w.leaves {
			s.adopt(w, *again, now)
		}
		w.rearm()
		s.agenda.rearrange(w)
		return
	}
	if !r.removed {
		if w.leaves && !s.knows(name) { // It has left the inventory too, meanwhile.
			s.leave(ctx, w)
			return
		}
		s.absent[name] = w.baseline
	}
	s.unstretch(w)
	heap.Remove(&s.agenda, w.index)
	delete(s.watches, name)
	if !w.leaves {
		s.enter(*again, now)
	}
}

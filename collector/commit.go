package collector

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"

	"service_manager/collector/change"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
	"service_manager/publish"
)

// baseline is where the schedule takes up a host again: where it left it, else the state that the outbox has of it.
func (s *schedule) baseline(host string) *change.Baseline {
	if b := s.absent[host]; b != nil {
		delete(s.absent, host)
		return b
	}
	var state change.State
	if stored, ok := s.config.States[host]; ok {
		var err error
		if state, err = change.Decode(stored); err != nil {
			s.config.Log.Error("the stored state of a host is of no use; what it is now is taken without an event",
				slog.String("host", host), slog.Any("err", err))
		}
		delete(s.config.States, host) // The baseline has what it needs of it, which is less.
	}
	return change.NewBaseline(state, s.config.Flapping)
}

// commit puts the events of w's last poll into the outbox, together with the state that they lead to, and returns when they are safe.
// It reports whether there were any. Where that fails nothing is lost: the next poll is compared with the same state as this one.
func (s *schedule) commit(w *watch, a account) (told bool) {
	if s.config.Outbox == nil {
		return false
	}
	complain := func(err error) {
		s.config.Log.Error("the changes of a host cannot be told", slog.String("host", w.host.Name), slog.Any("err", err))
	}
	panicked := panics.Try(func() {
		step := w.baseline.Compare(s.observation(w, a))
		refused := false // Of which the outbox has logged why.
		err := step.Commit(func(state []byte, events []publish.Event) error {
			err := s.config.Outbox.Commit(w.host.Name, state, events)
			refused, told = err != nil, err == nil && len(events) > 0
			return err
		})
		switch {
		case refused:
			s.stats.refused()
		case err != nil:
			complain(err)
		}
	})
	if panicked != nil {
		complain(panicked.AsError())
	}
	return told
}

// observation is what the last poll of w said.
func (s *schedule) observation(w *watch, a account) change.Poll {
	p := change.Poll{Host: hostRef(w.host), Observed: a.ended, Outcome: w.outcome}
	if w.err != nil {
		p.Error = new(w.trouble(a.next))
		return p
	}
	p.System, p.Snapshot = w.system, w.last
	p.Asked = func(name string) bool {
		return slices.Contains(w.host.Units, name) ||
			slices.ContainsFunc(w.host.Globs, func(glob string) bool { return systemctl.MatchGlob(glob, name) })
	}
	return p
}

// forget tells of the hosts that the state file knows and the inventory does not have any more.
func (c *Collector) forget(ctx context.Context) {
	if c.config.Outbox == nil || c.config.Known == nil {
		return
	}
	removals := pool.New().WithMaxGoroutines(256) // They wait for the disk together.
	for host, stored := range c.config.States {
		if c.config.Known(host) || ctx.Err() != nil {
			continue
		}
		removals.Go(func() {
			var events []publish.Event
			if state, err := change.Decode(stored); err == nil {
				events = append(events, state.Removed(time.Now()))
			}
			_ = c.config.Outbox.Commit(host, nil, events) // It has logged why it refuses; the next start tries again.
		})
	}
	removals.Wait()
	maps.DeleteFunc(c.config.States, func(host string, _ []byte) bool { return !c.config.Known(host) })
}

// hostRef names a host in messages.
func hostRef(h inventory.Host) publish.HostRef {
	return publish.HostRef{Name: h.Name, Group: h.Group, Address: h.Address, Labels: h.Labels}
}

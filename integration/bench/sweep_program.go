package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	polling "service_manager/collector"
	"service_manager/collector/outbox"
	"service_manager/hosts"
	"service_manager/integration/farm"
	"service_manager/inventory"
	"service_manager/publish"
)

// inventoryOf is an inventory of the farm's hosts. They have more time than by default, since all of them share this machine's cores; the
// peers of a sweep have no limit at all.
func inventoryOf(f *farm.Farm, units []string) ([]inventory.Host, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "[collector]\nname = %q\ninterval = \"1m\"\nconnect_timeout = \"1m\"\ntimeout = %q\n[ssh]\nuser = %q\nidentity_file = %q\nknown_hosts = [%q]\n[groups.default]\nunits = [",
		collector, askLimit, farm.User, f.IdentityFile(), f.KnownHosts())
	for _, unit := range units {
		fmt.Fprintf(&text, "%q, ", unit)
	}
	fmt.Fprintln(&text, "]")
	for _, h := range f.Hosts {
		fmt.Fprintf(&text, "[[hosts]]\nname = %q\naddress = %q\n", h.Name, h.Address)
	}
	inv, err := inventory.Parse("inventory.toml", []byte(text.String()), inventory.Config{})
	if err != nil {
		return nil, err
	}
	return inv.Hosts, nil
}

// A program is service_manager as run has it: pool, collector, outbox with a state file, publisher, and a queue on the broker.
type program struct {
	name     string
	hosts    []inventory.Host
	pool     *hosts.Pool // nil until the next sweep
	outbox   *outbox.Outbox
	exchange *exchange
	queue    string
	alive    context.Context //nolint:containedctx // It ends with the publisher.
	undo     []func() error

	mu     sync.Mutex
	states map[string][]byte // As committed, by host.
	last   []publish.Status  // Of the last sweep.
	told   int               // Statuses in all sweeps.
}

// newProgram has the hosts asked in a mode of the inventory.
func (r Run) newProgram(ctx context.Context, f *farm.Farm, mode string) (*program, error) {
	p := &program{name: "service_manager", states: map[string][]byte{}}
	if mode == inventory.ModeStream {
		p.name = streams
	}
	if err := p.start(ctx, r, f); err != nil {
		return nil, errors.Join(err, p.close())
	}
	for i := range p.hosts {
		p.hosts[i].SSH.Mode = mode
	}
	return p, nil
}

// streams is the program with the other mode.
const streams = "mode = \"stream\""

func (p *program) start(ctx context.Context, r Run, f *farm.Farm) (err error) {
	if p.hosts, err = inventoryOf(f, watchedUnits()); err != nil {
		return err
	}
	path, remove, err := r.stateFile()
	if err != nil {
		return err
	}
	p.undo = append(p.undo, remove)
	if p.outbox, err = openOutbox(path); err != nil {
		return err
	}
	p.undo = append(p.undo, p.outbox.Close)
	if p.exchange, err = newExchange(r.Broker); err != nil {
		return err
	}
	p.undo = append(p.undo, p.exchange.delete)
	queue, drop, err := p.exchange.bind(quorum)
	if err != nil {
		return err
	}
	p.queue, p.undo = queue, append(p.undo, drop)
	alive, stop, err := r.start(ctx, p.exchange.name, p.outbox)
	if err != nil {
		return err
	}
	p.alive, p.undo = alive, append(p.undo, func() error { stop(); return nil })
	return nil
}

// close undoes what was done, in the reverse order.
func (p *program) close() error {
	var err error
	for _, undo := range slices.Backward(p.undo) {
		err = errors.Join(err, undo())
	}
	return err
}

func (p *program) sweeper() sweeper {
	return sweeper{
		name: p.name, sweep: p.sweep, check: p.check,
		cpu: func() (time.Duration, error) { return cpuTime(), nil },
		end: func(context.Context) error {
			p.pool.Close()
			p.pool = nil
			return nil
		},
	}
}

// sweep polls every host, and waits for the broker's confirm of every status.
func (p *program) sweep(ctx context.Context) (answered time.Duration, err error) {
	began := time.Now()
	if p.pool == nil {
		p.pool = hosts.New(hosts.Config{})
	}
	p.last = nil
	c, err := polling.New(polling.Config{
		Name: collector, Hosts: p.hosts, Pool: p.pool, Outbox: memory{p.outbox, p}, Epoch: p.outbox.Epoch(), States: maps.Clone(p.states),
		Observe: p.observe,
	})
	if err != nil {
		return 0, err
	}
	if err := c.Sweep(ctx); err != nil {
		return 0, err
	}
	answered = time.Since(began)
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(p.alive, func() { cancel(context.Cause(p.alive)) })() //nolint:contextcheck // It is the publisher's life.
	defer cancel(nil)
	return answered, p.outbox.Drain(ctx)
}

func (p *program) observe(s publish.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = append(p.last, s)
	p.told++
}

// check wants all hosts read, and all that was told in the broker's queue.
func (p *program) check() error {
	if len(p.last) != len(p.hosts) {
		return fmt.Errorf("%d hosts were polled, want %d", len(p.last), len(p.hosts))
	}
	for _, s := range p.last {
		if s.Outcome != string(hosts.OK) || len(s.Units) != len(watchedUnits()) {
			why := ""
			if s.Error != nil {
				why = *s.Error
			}
			return fmt.Errorf("%s: %d units, outcome %s: %s", s.Host.Name, len(s.Units), s.Outcome, why)
		}
	}
	return p.exchange.holds(p.queue, p.told+int(p.outbox.Stats().Committed)) //nolint:gosec // G115: they are few.
}

// memory is the outbox, and remembers what was committed: a collector that was always running would know.
type memory struct {
	*outbox.Outbox

	p *program
}

// Commit implements [collector.Outbox].
func (m memory) Commit(host string, state []byte, events []publish.Event) error {
	err := m.Outbox.Commit(host, state, events)
	if err == nil {
		m.p.mu.Lock()
		defer m.p.mu.Unlock()
		m.p.states[host] = state
	}
	return err
}

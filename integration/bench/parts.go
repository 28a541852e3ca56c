package bench

import (
	"context"
	"fmt"
)

// A Part is one benchmark, which gives one table.
type Part struct {
	Name        string
	NeedsBroker bool
	NeedsHosts  bool // Run.Hosting
	measure     func(Run, context.Context) (Table, error)
}

// Parts are all benchmarks, in the order in which they are to be run.
func Parts() []Part {
	return []Part{
		{Name: "publishes", NeedsBroker: true, measure: Run.publishes},
		{Name: "events", NeedsBroker: true, measure: Run.events},
		{Name: "commits", measure: Run.commits},
		{Name: "opens", measure: Run.opens},
		{Name: "fleet", NeedsBroker: true, measure: Run.fleet},
		{Name: "latency", NeedsBroker: true, measure: Run.latency},
		{Name: "sweep", NeedsBroker: true, NeedsHosts: true, measure: Run.sweep},
		{Name: "hostcost", NeedsHosts: true, measure: Run.hostcost},
	}
}

// Measure runs the benchmark. It ends soon, and leaves nothing behind, when ctx does.
func (p Part) Measure(ctx context.Context, r Run) (Table, error) {
	before := loadAverage()
	t, err := p.measure(r, ctx)
	if err != nil {
		return Table{}, fmt.Errorf("measuring %s: %w", p.Name, err)
	}
	t.Name, t.Load = p.Name, Load{Before: before, After: loadAverage()}
	return t, nil
}

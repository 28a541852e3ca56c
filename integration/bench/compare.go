package bench

import (
	"context"
	"fmt"
)

// A contest is a piece of work that we do, and the floors under it.
type contest struct {
	name   string // Of the case.
	each   string // What is counted, in the singular.
	ours   func() (pace, error)
	floors []floor
}

// A floor is the same work by a library alone.
type floor struct {
	name string
	work func() (pace, error)
}

// compare measures ours and each floor in turn, and returns for each floor a row of how fast that is and one of what it costs.
func (r Run) compare(ctx context.Context, c contest) ([]Row, error) {
	speed, cost := make([]Row, len(c.floors)), make([]Row, len(c.floors))
	for i, f := range c.floors {
		speed[i] = Row{Case: c.name, Unit: c.each + "s/s", Floor: f.name}
		cost[i] = Row{Case: c.name, Unit: "CPU µs/" + c.each, Floor: f.name}
	}
	for range r.Rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ours, err := c.ours()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		for i, f := range c.floors {
			p, err := f.work()
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", c.name, f.name, err)
			}
			speed[i] = speed[i].with(ours.perSecond, p.perSecond)
			cost[i] = cost[i].with(ours.cpu, p.cpu)
		}
	}
	return append(speed, cost...), nil
}

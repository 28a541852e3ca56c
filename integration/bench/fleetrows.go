package bench

import (
	"fmt"
	"time"
)

// measured is all that was measured of a scene.
type measured struct {
	cold  time.Duration // From the program's start until every host was read, and the consumer had that.
	live  float64       // Bytes of the heap that are no garbage, at the end.
	spans []span
}

// A fleetFigure is one of a span.
type fleetFigure struct {
	unit   string
	atMost *float64
	of     func(span) float64
	floor  string // As in Row.
	below  func(span) float64
}

// rows are those of a scene. Where there is trouble they leave out what is no matter then.
func (m measured) rows(s scene, interval time.Duration) []Row {
	figures := costs(s, interval)
	if s.isPlain() {
		figures = append(append(figures, partCosts()...), sizes(s)...)
	}
	figures = append(figures, delays(interval)...)
	var rows []Row
	for _, f := range figures {
		row := Row{Case: s.String(), Unit: f.unit, AtMost: f.atMost, Floor: f.floor}
		for _, w := range m.spans {
			if f.below == nil {
				row = row.alone(f.of(w))
			} else {
				row = row.with(f.of(w), f.below(w))
			}
		}
		rows = append(rows, row)
	}
	if s.isPlain() {
		live := Row{Case: s.String(), Unit: "KiB of heap in use/host"}
		cold := Row{Case: s.String(), Unit: "s until all are read", Floor: fmt.Sprintf("%d dials/s", dialsPerSecond)}
		rows = append(rows, live.alone(m.live/1024/float64(s.hosts)), cold.with(m.cold.Seconds(), float64(s.hosts)/dialsPerSecond))
	}
	return rows
}

func (w span) perPoll(d time.Duration) float64 {
	return float64(d.Microseconds()) / float64(w.tally.polls)
}

func (w span) perSecond(n int) float64 { return float64(n) / w.took.Seconds() }

// grown is how much a counter has grown.
func (w span) grown(metric string) float64 { return w.after[metric] - w.before[metric] }

// costs are of the processor, beside what the simulated hosts use.
func costs(s scene, interval time.Duration) []fleetFigure {
	cpu := fleetFigure{
		unit: "CPU µs/poll", of: func(w span) float64 { return w.perPoll(w.cpu) },
		floor: "simulated hosts", below: func(w span) float64 { return w.perPoll(w.crowdCPU) },
	}
	if s.isPlain() {
		cpu.atMost = new(float64(targetCPU))
	}
	return []fleetFigure{
		cpu,
		{
			unit: "polls/s", of: func(w span) float64 { return w.perSecond(w.tally.polls) },
			floor: "turns", below: func(span) float64 { return float64(s.hosts) / interval.Seconds() },
		},
		{unit: "events/s", of: func(w span) float64 { return w.perSecond(w.tally.events) }},
	}
}

// partCosts split the first of the costs.
func partCosts() []fleetFigure {
	var all []fleetFigure
	for _, s := range shares() {
		all = append(all, fleetFigure{unit: "… " + s.name, of: func(w span) float64 { return w.parts[s.name] * w.perPoll(w.cpu) }})
	}
	return all
}

// sizes are of the memory.
func sizes(s scene) []fleetFigure {
	hosts := float64(s.hosts)
	cores := fleetFigure{unit: "cores", of: func(w span) float64 { return w.cpu.Seconds() / w.took.Seconds() }}
	resident := fleetFigure{unit: "KiB resident/host", of: func(w span) float64 { return w.resident / 1024 / hosts }}
	if s.hosts >= targetCrowd {
		cores.atMost, resident.atMost = new(float64(targetCores)), new(float64(targetMemory))
	}
	return []fleetFigure{
		cores, resident,
		{unit: "KiB allocated/poll", of: func(w span) float64 { return w.allocated.bytes / 1024 / float64(w.tally.polls) }},
		{unit: "allocations/poll", of: func(w span) float64 { return w.allocated.mallocs / float64(w.tally.polls) }},
		{unit: "turns missed", atMost: new(0.0), of: func(w span) float64 { return w.grown("service_manager_overruns_total") }},
		{unit: "goroutines/host", of: func(w span) float64 { return w.after["go_goroutines"] / hosts }},
	}
}

// delays say whether the program keeps up.
func delays(interval time.Duration) []fleetFigure {
	none := new(0.0)
	return []fleetFigure{
		{unit: "late polls", atMost: none, of: func(w span) float64 { return w.grown("service_manager_late_polls_total") }},
		{unit: "healthy hosts not read", atMost: none, of: func(w span) float64 { return float64(w.tally.failed) }},
		{unit: "s of data age, p50", of: func(w span) float64 { return w.ages.p50 }},
		{unit: "s of data age, p99", atMost: new(targetAge * interval.Seconds()), of: func(w span) float64 { return w.ages.p99 }},
		{unit: "s of data age, greatest", of: func(w span) float64 { return w.ages.oldest }},
	}
}

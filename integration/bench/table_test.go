package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	speed := Row{Case: "quorum queue", Unit: "messages/s", Floor: "amqp091-go", AtLeast: 5000}
	cost := Row{Case: "quorum queue", Unit: "CPU µs/message", Floor: "amqp091-go"}
	for _, round := range [][4]float64{{6100, 12200, 30, 20}, {4900, 4900, 12.34, 9.876}, {5000, 10_000, 40, 0.1234}} {
		speed = speed.with(round[0], round[1])
		cost = cost.with(round[2], round[3])
	}
	slow := Row{Case: "no queue bound", Unit: "messages/s", Floor: "amqp091-go", AtLeast: 5000}.with(4999, 9998).with(4000, 8000)
	age := Row{Case: "no floor", Unit: "s", AtMost: new(1.5)}.alone(1.25).alone(1.75)
	late := Row{Case: "no floor", Unit: "late", AtMost: new(0.0)}.alone(1).alone(0).alone(2)
	bare := Row{Case: "no floor", Unit: "goroutines"}.alone(0)
	beside := Row{Case: "a sweep", Unit: "s", Floor: "no SSH", RatioAtMost: 1.3}.with(1.2, 1).with(1.4, 1)
	without := Row{Case: "a sweep", Unit: "connections", Floor: "no SSH"}.with(0, 0)
	table := Table{
		Title: "Statuses", Load: Load{Before: "0.10", After: "2.00"},
		Rows: []Row{speed, cost, slow, age, late, bare, beside, without},
	}
	want := `Statuses
load average 0.10 before, 2.00 after

case            unit            ours              floor       its figure          ratio                target
quorum queue    messages/s      5000 (4900–6100)  amqp091-go  10000 (4900–12200)  0.500 (0.500–1.00)   ≥ 5000: met
                CPU µs/message  30.0 (12.3–40.0)  amqp091-go  9.88 (0.123–20.0)   1.50 (1.25–324)
no queue bound  messages/s      4500 (4000–4999)  amqp091-go  8999 (8000–9998)    0.500 (0.500–0.500)  ≥ 5000: not met
no floor        s               1.50 (1.25–1.75)                                                       ≤ 1.5: met
                late            1.00 (0–2.00)                                                          ≤ 0: not met
                goroutines      0
a sweep         s               1.30 (1.20–1.40)  no SSH      1.00 (1.00–1.00)    1.30 (1.20–1.40)     ratio ≤ 1.3: met
                connections     0                 no SSH      0
`
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Error("the table (-want +got):\n" + diff)
	}
}

package chaos

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	// duplicatesBound is the share of events that may come twice, as long as no queue beside is full. Each fault costs what is under way
	// at its moment: as a rule some few, and one of each host where a collector is killed while the broker is frozen. In the short form,
	// where faults come every few seconds, the share tells of their number alone: there each may cost duplicatesEach, and one of them one
	// of each host.
	duplicatesBound = 0.01
	duplicatesEach  = 3
	// wholeBound is how long after a fault the stream may take to be whole again. The program promises 10 s; a machine may be busy.
	wholeBound = 30 * time.Second
)

// never is longer than any run.
const never = 1000 * time.Hour

// A blow is one fault that befell the world.
type blow struct {
	fault string
	span
}

// A result is what a run has come to.
type result struct {
	seed    uint64
	short   bool // it was the short form
	lasted  time.Duration
	hosts   int
	verdict verdict
	blows   []blow
}

// breaches are the bounds that were broken, in words.
func (r result) breaches() []string {
	var broken []string
	for _, rule := range rules() {
		if n := len(r.verdict.findings[rule]); n > 0 {
			broken = append(broken, fmt.Sprintf("%s: %d, want 0", rule, n))
		}
	}
	if r.verdict.duplicates > r.allowedDuplicates() {
		broken = append(broken, fmt.Sprintf("duplicates: %d, want at most %d", r.verdict.duplicates, r.allowedDuplicates()))
	}
	for _, b := range r.blows {
		if whole, is := r.verdict.whole(b.to); !is {
			broken = append(broken, fmt.Sprintf("%s, which ended at %s: the stream was never whole again", b.fault, clock(b.to)))
		} else if took := whole.Sub(b.to); took > wholeBound {
			broken = append(broken, fmt.Sprintf("%s, which ended at %s: the stream was whole again after %v, want %v at most",
				b.fault, clock(b.to), took, wholeBound))
		}
	}
	return broken
}

func (r result) allowedDuplicates() int {
	if r.short {
		return duplicatesEach*len(r.blows) + r.hosts
	}
	return int(duplicatesBound * float64(r.verdict.events))
}

// String is the result as a table.
func (r result) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	v := r.verdict
	fmt.Fprintf(w, "%d hosts, %v, seed %d\n", r.hosts, r.lasted.Round(time.Second), r.seed)
	row("changes made", v.changes)
	row("of these, read by the collector", v.mustBeTold)
	row("read only in polls that it told to have failed", v.excused)
	row("events delivered", v.events)
	row("statuses delivered", v.statuses)
	for _, rule := range rules() {
		row(rule, len(v.findings[rule]), "(0)")
	}
	row("duplicates", v.duplicates, fmt.Sprintf("(%d)", r.allowedDuplicates()))
	row("duplicates beside a full queue", v.besideFull)
	fmt.Fprintln(w)
	row("fault", "times", "longest", "duplicates", "stream whole again after: median", "longest")
	r.eachFault(row)
	_ = w.Flush() // A strings.Builder takes everything.
	return text.String()
}

// A tally is what has become of all faults of one kind.
type tally struct {
	lasted     time.Duration // the longest
	duplicates int           // until the next fault
	whole      []time.Duration
}

// eachFault prints a row for each kind of fault, in the order in which they came.
func (r result) eachFault(row func(...any)) {
	var names []string
	tallies := make(map[string]*tally)
	for i, b := range r.blows {
		t := tallies[b.fault]
		if t == nil {
			t = &tally{}
			tallies[b.fault] = t
			names = append(names, b.fault)
		}
		t.lasted = max(t.lasted, b.to.Sub(b.from))
		until := span{from: b.from}
		if i+1 < len(r.blows) {
			until.to = r.blows[i+1].from
		}
		for _, at := range r.verdict.repeated {
			if until.contains(at) {
				t.duplicates++
			}
		}
		at, is := r.verdict.whole(b.to)
		if !is {
			at = b.to.Add(never)
		}
		t.whole = append(t.whole, at.Sub(b.to))
	}
	for _, name := range names {
		t := tallies[name]
		slices.Sort(t.whole)
		row(name, len(t.whole), short(t.lasted), t.duplicates, short(t.whole[len(t.whole)/2]), short(t.whole[len(t.whole)-1]))
	}
}

func short(d time.Duration) string {
	if d >= never {
		return "never"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

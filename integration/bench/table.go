package bench

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// A Table is a piece of work beside its floors, in several cases.
type Table struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Load  Load   `json:"load_average"`
	Rows  []Row  `json:"rows"`
}

// Load is the machine's load average over one minute, before and after. A measurement itself makes about 2.
type Load struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// A Row is one quantity.
type Row struct {
	Case    string `json:"case"`
	Unit    string `json:"unit"`
	Ours    Sample `json:"ours"`
	Floor   string `json:"floor"` // Whose FloorIs is; empty where there is none to compare with.
	FloorIs Sample `json:"floor_is"`
	Ratio   Sample `json:"ratio"` // Of Ours to FloorIs, round by round; none where FloorIs is 0.

	// The design's targets for Ours and for Ratio; 0 is none.
	AtLeast     float64  `json:"at_least,omitempty"`
	RatioAtMost float64  `json:"ratio_at_most,omitempty"`
	AtMost      *float64 `json:"at_most,omitempty"` // For Ours; nil is none.
}

// A Sample is what was measured in each round.
type Sample struct {
	Median float64   `json:"median"`
	Rounds []float64 `json:"rounds"`
}

// with is the row with one more round.
func (r Row) with(ours, floor float64) Row {
	r.Ours, r.FloorIs = r.Ours.with(ours), r.FloorIs.with(floor)
	if floor != 0 {
		r.Ratio = r.Ratio.with(ours / floor)
	}
	return r
}

// alone is the row with one more round of a quantity that is compared with nothing.
func (r Row) alone(ours float64) Row {
	r.Ours = r.Ours.with(ours)
	return r
}

func (s Sample) with(v float64) Sample {
	s.Rounds = append(slices.Clone(s.Rounds), v)
	sorted := slices.Sorted(slices.Values(s.Rounds))
	n := len(sorted)
	s.Median = (sorted[(n-1)/2] + sorted[n/2]) / 2
	return s
}

// String is the median and, in parentheses, the least and the greatest.
func (s Sample) String() string {
	switch len(s.Rounds) {
	case 0:
		return ""
	case 1:
		return figure(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", figure(s.Median), figure(slices.Min(s.Rounds)), figure(slices.Max(s.Rounds)))
}

// figure has three digits or more.
func figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// target says whether the median reaches it.
func (r Row) target() string {
	switch {
	case r.AtLeast != 0:
		return fmt.Sprintf("≥ %.0f: %s", r.AtLeast, met(r.Ours.Median >= r.AtLeast))
	case r.AtMost != nil:
		return fmt.Sprintf("≤ %g: %s", *r.AtMost, met(r.Ours.Median <= *r.AtMost))
	case r.RatioAtMost != 0:
		return fmt.Sprintf("ratio ≤ %.3g: %s", r.RatioAtMost, met(r.Ratio.Median <= r.RatioAtMost))
	}
	return ""
}

func met(is bool) string {
	if is {
		return "met"
	}
	return "not met"
}

// String is the table for people. Of each figure it has the median and, in parentheses, the least and the greatest of the rounds.
func (t Table) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\nload average %s before, %s after\n\n", t.Title, t.Load.Before, t.Load.After)
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tunit\tours\tfloor\tits figure\tratio\ttarget")
	for i, r := range t.Rows {
		name := r.Case
		if i > 0 && name == t.Rows[i-1].Case {
			name = ""
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%v\t%v\t%s\n", name, r.Unit, r.Ours, r.Floor, r.FloorIs, r.Ratio, r.target())
	}
	_ = w.Flush() // A strings.Builder takes everything.
	return trimLines(text.String())
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

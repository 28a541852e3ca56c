//go:build integration

package integration

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/integration/bench"
)

// The benchmarks work. What they measure in so short a time, beside other tests, is no matter.
func TestBenchmarks(t *testing.T) {
	r := bench.Run{
		Rounds: 1, For: 20 * time.Millisecond, Broker: brokerURL(t), Dir: t.TempDir(),
		Sizes: bench.Sizes{
			Hosts: []int{50}, Committers: []int{1, 20}, States: 100, Waiting: 2000,
			Fleets: []int{50}, Interval: time.Second, Changing: 20, Intervals: []time.Duration{time.Second},
		},
	}
	machine, err := r.Describe(t.Context(), "go test", "v1")
	if err != nil {
		t.Fatal(err)
	}
	report := bench.Report{Machine: machine}
	rows := map[string]int{}
	for _, p := range bench.Parts() {
		if p.NeedsHosts {
			continue // See TestBenchmarksOfHosts.
		}
		table, err := p.Measure(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(table)
		rows[p.Name] = len(table.Rows)
		for _, row := range table.Rows {
			checkRow(t, p.Name, row, r.Rounds)
		}
		report.Tables = append(report.Tables, table)
	}
	if diff := cmp.Diff(map[string]int{"publishes": 6, "events": 4, "commits": 8, "opens": 2, "fleet": 186, "latency": 6}, rows); diff != "" {
		t.Error("rows (-want +got):\n" + diff)
	}
	if left, err := os.ReadDir(r.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	checkSaved(t, report)
}

// checkRow checks that there is a figure of each round. Some of a fleet may be 0: what happens seldom, and what a profile of a moment has
// no sample of.
func checkRow(t *testing.T, part string, row bench.Row, rounds int) {
	t.Helper()
	samples, least := []bench.Sample{row.Ours}, math.SmallestNonzeroFloat64
	if row.Floor != "" {
		samples = append(samples, row.FloorIs, row.Ratio)
	} else if part == "fleet" {
		least = 0
	}
	for _, s := range samples {
		if len(s.Rounds) != rounds || !(slices.Min(s.Rounds) >= least) {
			t.Errorf("%s: %s: a row has no figures: %+v", part, row.Case, row)
		}
	}
}

// checkSaved checks that the report is the same when it was written and read.
func checkSaved(t *testing.T, want bench.Report) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new", "report.json")
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got bench.Report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("the saved report (-want +got):\n" + diff)
	}
}

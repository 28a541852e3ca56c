//go:build integration

package integration

import (
	"encoding/json"
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
		Sizes: bench.Sizes{Hosts: []int{50}, Committers: []int{1, 20}, States: 100, Waiting: 2000},
	}
	machine, err := r.Describe(t.Context(), "go test", "v1")
	if err != nil {
		t.Fatal(err)
	}
	report := bench.Report{Machine: machine}
	rows := map[string]int{}
	for _, p := range bench.Parts() {
		table, err := p.Measure(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(table)
		rows[p.Name] = len(table.Rows)
		for _, row := range table.Rows {
			for _, s := range []bench.Sample{row.Ours, row.FloorIs, row.Ratio} {
				if len(s.Rounds) != r.Rounds || slices.Min(s.Rounds) <= 0 {
					t.Errorf("%s: %s: a row has no figures: %+v", p.Name, row.Case, row)
				}
			}
		}
		report.Tables = append(report.Tables, table)
	}
	if diff := cmp.Diff(map[string]int{"publishes": 6, "events": 4, "commits": 8, "opens": 2}, rows); diff != "" {
		t.Error("rows (-want +got):\n" + diff)
	}
	if left, err := os.ReadDir(r.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	checkSaved(t, report)
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

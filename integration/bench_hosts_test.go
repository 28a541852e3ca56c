//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"service_manager/integration/bench"
)

// The benchmarks with real hosts work, and every host has answered everyone. What they measure in so short a time, beside other tests, is no
// matter.
func TestBenchmarksOfHosts(t *testing.T) {
	r := bench.Run{
		Rounds: 1, For: time.Millisecond, Broker: brokerURL(t), Dir: t.TempDir(),
		Hosting: bench.Hosting{Stack: "stack", Project: stack.project, Peers: installedPeers(t)},
		Sizes:   bench.Sizes{Swept: 2, Watched: []int{22}},
	}
	tables := map[string]bench.Table{}
	for _, p := range bench.Parts() {
		if !p.NeedsHosts {
			continue
		}
		table, err := p.Measure(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(table)
		tables[p.Name] = table
	}
	checkSwept(t, r, tables["sweep"].Rows)
	checkCosts(t, r, tables["hostcost"].Rows)
	if left, err := os.ReadDir(r.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left, err := stack.run(t.Context(), "docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+stack.project,
		"--filter", "label=com.docker.compose.service=host-01"); err != nil || left != "" {
		t.Errorf("left behind: the containers %s, %v", left, err)
	}
	if left, err := filepath.Glob("/sys/fs/cgroup/unified/bench-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: the cgroups %v, %v", left, err)
	}
}

// installedPeers are those of a sweep that are on this machine. What is missing integration/setup tells, too.
func installedPeers(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(bench.AllPeers(), func(program string) bool {
		_, err := exec.LookPath(program)
		if err != nil {
			t.Logf("left out: %v", err)
		}
		return err != nil
	})
}

// checkSwept wants figures in all rows, and a connection per host in a cold sweep, but none in a warm one.
func checkSwept(t *testing.T, r bench.Run, rows []bench.Row) {
	t.Helper()
	if want := 2 * (6 + 3*len(r.Peers)); len(rows) != want { // Warm and cold.
		t.Errorf("sweep: %d rows, want %d", len(rows), want)
	}
	for _, row := range rows {
		dialled := 0.0
		if row.Case == "cold" {
			dialled = float64(r.Swept)
		}
		switch {
		case row.Unit == "connections" && (row.Ours.Median != dialled || row.FloorIs.Median != dialled):
			t.Errorf("sweep: %s: %v and, by %s, %v connections; want %v", row.Case, row.Ours, row.Floor, row.FloorIs, dialled)
		case row.Unit != "connections" && (row.Ours.Median <= 0 || row.FloorIs.Median <= 0 || row.Ratio.Median <= 0):
			t.Errorf("sweep: %s: a row has no figures: %+v", row.Case, row)
		}
	}
}

// checkCosts wants rows of each Debian and number of units. A part that is a difference may be anything in so short a time.
func checkCosts(t *testing.T, r bench.Run, rows []bench.Row) {
	t.Helper()
	polls := map[string]bool{}
	for _, row := range rows {
		if row.Unit == "ms/poll" {
			polls[row.Case] = true
		}
		if !strings.HasPrefix(row.Unit, "of it s") && (row.Ours.Median <= 0 || row.FloorIs.Median <= 0) {
			t.Errorf("hostcost: %s: a row has no figures: %+v", row.Case, row)
		}
	}
	if want := 3 * len(r.Watched); len(polls) != want {
		t.Errorf("hostcost: %d cases, want %d: %v", len(polls), want, polls)
	}
}

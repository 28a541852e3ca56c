package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

// golden compares got with a file in testdata/status. GOLDEN=write in the environment writes the file, to be looked at before it is kept.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "status", name)
	if os.Getenv("GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not as in %s (-want +got):\n%s", path, diff)
	}
}

// noon is now in the tests of the table.
func noon() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

// A testUnit is one that runs, but for what options say.
func testUnit(name string, since time.Duration, options ...func(*publish.Unit)) publish.Unit {
	u := publish.Unit{
		Name: name, LoadState: "loaded", ActiveState: "active", SubState: "running", Result: new("success"),
		Since: &publish.HostTime{Time: noon().Add(-since)}, Restarts: new(0), MainPID: new(812), MemoryBytes: new(uint64(25_270_000)),
	}
	for _, option := range options {
		option(&u)
	}
	return u
}

func inState(active, sub string) func(*publish.Unit) {
	return func(u *publish.Unit) { u.ActiveState, u.SubState = active, sub }
}

func saying(text string) func(*publish.Unit) { return func(u *publish.Unit) { u.StatusText = &text } }

func restarted(times int) func(*publish.Unit) { return func(u *publish.Unit) { u.Restarts = &times } }

func exited(status int) func(*publish.Unit) {
	return func(u *publish.Unit) {
		u.ActiveState, u.SubState, u.Result, u.ExitCode, u.ExitStatus = "failed", "failed", new("exit-code"), new("exited"), &status
		u.MainPID, u.MemoryBytes = nil, nil
	}
}

func missing(name string) publish.Unit {
	return publish.Unit{Name: name, LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}
}

func testStatus(group, name string, units ...publish.Unit) publish.Status {
	return publish.Status{Outcome: "ok", Host: publish.HostRef{Name: name, Group: group}, Units: units}
}

func unreachable(group, name string) publish.Status {
	s := testStatus(group, name, testUnit("nginx.service", time.Hour))
	s.Outcome = "unreachable"
	s.Error = new("no answer to the TCP connection: 10.0.0.7:22: i/o timeout; is the host up, and does a firewall drop the port?")
	return s
}

// testFleet has trouble of each kind, and text that a table could trip over.
func testFleet() []publish.Status {
	const day = 24 * time.Hour
	statuses := []publish.Status{
		testStatus("db", "db-01", testUnit("postgresql.service", 18*day, func(u *publish.Unit) { u.RequestedAs = new("postgres.service") }),
			testUnit("backup.service", 25*time.Second, inState("inactive", "dead")),
			publish.Unit{Name: "exim4.service", LoadState: "masked", ActiveState: "inactive", SubState: "dead"}),
		testStatus("db", "db-02", testUnit("postgresql.service", 3*time.Second, inState("activating", "auto-restart"), restarted(12))),
		testStatus("empty", "spare-01"),
		unreachable("web", "web-07"),
	}
	for i := 1; i <= 12; i++ {
		if i == 7 {
			continue
		}
		age := time.Duration(i) * 3 * day
		s := testStatus(
			"web", fmt.Sprintf("web-%02d", i), testUnit("mount_controller.service", age+5*time.Hour, saying("3 volumes mounted")),
			testUnit("nginx.service", age, saying(fmt.Sprintf("ready, %d requests/s", i)), restarted(i%3)),
			testUnit("worker@1.service", age), testUnit("worker@2.service", age),
		)
		switch i {
		case 1:
			s.Units = append(s.Units, testUnit("certbot.service", 2*time.Hour+5*time.Minute, exited(1), saying("証明書を更新できません\x1b[31m")))
		case 4:
			s.Units = append(s.Units, missing("promtail.service"))
		}
		statuses = append(statuses, s)
	}
	return statuses
}

func drawn(t table, statuses []publish.Status) string {
	t.hosts = len(statuses)
	rows, _ := t.rows(statuses, noon())
	lines, _ := t.lines(rows)
	return strings.Join(lines, "\n") + "\n"
}

func TestStatusTable(t *testing.T) {
	for name, table := range map[string]table{
		"piped":        {},
		"80":           {width: 80},
		"80.coloured":  {width: 80, coloured: true},
		"200":          {width: 200},
		"wide.piped":   {wide: true},
		"wide.80":      {width: 80, wide: true},
		"wide.200":     {width: 200, wide: true},
		"watched.80":   {width: 80, changed: func(host, unit string) bool { return host == "web-02" && unit == "nginx.service" || host == "web-07" }},
		"watched.calm": {width: 80, changed: func(string, string) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			got := drawn(table, testFleet())
			golden(t, name, got)
			if !table.coloured && strings.ContainsRune(got, '\x1b') {
				t.Error("an escape sequence")
			}
		})
	}
}

func TestStatusTableFitsTheTerminal(t *testing.T) {
	for _, wide := range []bool{false, true} {
		for columns := 1; columns <= 200; columns++ {
			for line := range strings.Lines(drawn(table{width: columns, wide: wide, coloured: true}, testFleet())) {
				if width := ansi.StringWidth(strings.TrimSuffix(line, "\n")); width > columns {
					t.Errorf("%d columns on a terminal of %d: %q", width, columns, line)
				}
			}
		}
	}
	rows, _ := table{wide: true}.rows(testFleet(), noon())
	if _, leftOut := (table{wide: true, width: 80}).lines(rows); !slices.Equal(leftOut, []string{"PID", "MEMORY", "GROUP", "RESTARTS"}) {
		t.Errorf("80 columns leave out %v", leftOut)
	}
	if _, leftOut := (table{wide: true, width: 120}).lines(rows); leftOut != nil {
		t.Errorf("120 columns leave out %v", leftOut)
	}
}

// Without its colours a table says the same.
func TestStatusTableSaysNothingByColourAlone(t *testing.T) {
	plain, coloured := drawn(table{width: 120}, testFleet()), drawn(table{width: 120, coloured: true}, testFleet())
	if plain == coloured {
		t.Fatal("no colours")
	}
	if diff := cmp.Diff(plain, ansi.Strip(coloured)); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(coloured) {
		if strings.Contains(line, "\x1b[") == strings.HasPrefix(line, "  ") {
			t.Errorf("a colour without a mark, or a mark without a colour: %q", line)
		}
	}
}

// Few rows, and the units of a single host, are shown as they are.
func TestStatusTableSumsUpWhatIsMuch(t *testing.T) {
	var many []publish.Unit
	for i := range 30 {
		many = append(many, testUnit(fmt.Sprintf("app-%02d.service", i), time.Hour))
	}
	two := []publish.Status{testStatus("web", "web-01", many...), testStatus("web", "web-02", many...)}
	for _, c := range []struct {
		name     string
		table    table
		statuses []publish.Status
		lines    int
		summed   bool
	}{
		{"one host", table{hosts: 1}, two[:1], 31, false},
		{"the first of two hosts", table{hosts: 2}, two[:1], 31, true},
		{"two hosts", table{hosts: 2}, two, 31, true},
		{"wide", table{hosts: 2, wide: true}, two, 61, false},
		{"few", table{hosts: 2}, []publish.Status{testStatus("web", "web-01", many[:10]...), testStatus("web", "web-02", many[:10]...)}, 21, false},
		{"more", table{hosts: 2}, []publish.Status{testStatus("web", "web-01", many[:11]...), testStatus("web", "web-02", many[:10]...)}, 12, true},
		{"no unit", table{hosts: 2}, []publish.Status{unreachable("web", "web-07")}, 1, false},
		{"nothing", table{hosts: 2}, nil, 0, false},
	} {
		rows, summed := c.table.rows(c.statuses, noon())
		if lines, _ := c.table.lines(rows); len(lines) != c.lines || summed != c.summed {
			t.Errorf("%s: %d lines, summed %v; want %d, %v:\n%s", c.name, len(lines), summed, c.lines, c.summed, strings.Join(lines, "\n"))
		}
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[uint64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 40_265_318: "38.4M", 5 << 40: "5.0T", 1 << 63: "8.0E"} {
		if got := size(bytes); got != want {
			t.Errorf("%d is %s, want %s", bytes, got, want)
		}
	}
}

func BenchmarkStatusTable(b *testing.B) {
	var statuses []publish.Status
	for i := range 1000 {
		s := testFleet()[4+i%11]
		s.Host.Name = fmt.Sprintf("web-%04d", i)
		statuses = append(statuses, s)
	}
	for name, t := range map[string]table{"summed": {hosts: 1000, width: 200, coloured: true}, "wide": {hosts: 1000, wide: true, width: 200, coloured: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rows, _ := t.rows(statuses, noon())
				t.lines(rows)
			}
		})
	}
}

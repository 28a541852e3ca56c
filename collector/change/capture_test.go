package change

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/publish"
)

const (
	bootA = "1f0c2a6e-0a43-4f6e-9d58-317ac40e92b6"
	bootB = "2a1d3b7f-1b54-4a7f-8e69-428bd51fa3c7"
)

// A scene is a host of the test stack, as it was captured, and what has happened to it since.
type scene struct {
	tb      testing.TB
	manager string
	bootID  string
	names   []string // Asked for.
	records []string // What the host prints of each.
	asked   []string // What the inventory wants, beside names.

	baseline *Baseline
	now      time.Time
	told     []publish.Event
	stored   State // By the last commit.
	failing  bool  // Commits fail.
}

func captured(tb testing.TB, version string) *scene {
	tb.Helper()
	read := func(file string) string {
		content, err := os.ReadFile(filepath.Join("..", "..", "hosts", "systemctl", "testdata", "captures", version, file))
		if err != nil {
			tb.Fatal(err)
		}
		return strings.TrimSuffix(string(content), "\n")
	}
	s := &scene{
		tb: tb, manager: read("manager.txt"), bootID: bootA, records: strings.Split(read("units.txt"), "\n\n"),
		names: []string{
			"mount_controller.service", "mount-controller.service", "api.service", "worker@1.service", "backup.timer", "backup.service",
			"broken.service", "crashloop.service", "masked.service", "nasty.service", "metrics.socket", "metrics.service",
			"oneshot.service", "postgres.service", "ghost.service",
		},
		baseline: NewBaseline(State{}, Flapping{}),
		now:      time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
	}
	if len(s.records) != len(s.names) {
		tb.Fatalf("%d records of %d units", len(s.records), len(s.names))
	}
	return s
}

// set changes properties of a unit: "ActiveState=failed" and so on. The last change of state is now, if one of them is of the state.
func (s *scene) set(unit string, properties ...string) {
	s.tb.Helper()
	at := slices.Index(s.names, unit)
	if slices.ContainsFunc(properties, func(p string) bool {
		return strings.HasPrefix(p, "ActiveState=") || strings.HasPrefix(p, "SubState=") || strings.HasPrefix(p, "InvocationID=")
	}) {
		properties = append(slices.Clone(properties), "StateChangeTimestamp="+s.now.Format("Mon 2006-01-02 15:04:05 UTC"))
	}
	lines := strings.Split(s.records[at], "\n")
	for _, property := range properties {
		key, _, _ := strings.Cut(property, "=")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, key+"=") })
		if i < 0 {
			s.tb.Fatalf("unit %s has no %s", unit, key)
		}
		lines[i] = property
	}
	s.records[at] = strings.Join(lines, "\n")
}

// become makes what is asked for as unit the record of another one.
func (s *scene) become(unit, other string) {
	record := s.records[slices.Index(s.names, other)]
	record = strings.Replace(record, "\nNames=", "\nNames="+unit+" ", 1)
	s.records[slices.Index(s.names, unit)] = record
}

// drop takes units out of what is asked for.
func (s *scene) drop(units ...string) {
	for _, unit := range units {
		at := slices.Index(s.names, unit)
		s.names, s.records = slices.Delete(s.names, at, at+1), slices.Delete(s.records, at, at+1)
	}
}

// reboot gives the host another boot id, and userspace another start.
func (s *scene) reboot() {
	s.bootID = bootB
	lines := strings.Split(s.manager, "\n")
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "UserspaceTimestamp=") })
	lines[i] = "UserspaceTimestamp=" + s.now.Format("Mon 2006-01-02 15:04:05 UTC")
	s.manager = strings.Join(lines, "\n")
}

func (s *scene) snapshot() hosts.Snapshot {
	s.tb.Helper()
	query := systemctl.Query{Nonce: strings.Repeat("0123456789abcdef", 2), Units: s.names, Limit: time.Second}
	var out strings.Builder
	for _, section := range [][2]string{
		{systemctl.SectionManager, s.manager + "\n"},
		{systemctl.SectionBoot, s.bootID + "\n"},
		{systemctl.SectionUnits, strings.Join(s.records, "\n\n") + "\n"},
	} {
		out.WriteString(systemctl.BeginMarker(query.Nonce, section[0]) + section[1] + systemctl.EndMarker(query.Nonce, section[0], 0))
	}
	answer, err := query.Parse([]byte(out.String()), nil)
	if err != nil || answer.Regroup {
		s.tb.Fatalf("%v, regroup %v", err, answer.Regroup)
	}
	return hosts.Snapshot{Manager: answer.Manager, BootID: answer.BootID, Units: answer.Units}
}

// polled is what the next poll says.
func (s *scene) polled(outcome hosts.Outcome) Poll {
	s.tb.Helper()
	p := Poll{Host: web01(), Observed: s.now, Outcome: outcome, Asked: func(unit string) bool {
		return slices.Contains(s.names, unit) || slices.Contains(s.asked, unit)
	}}
	if outcome != hosts.OK {
		p.Error = new("it is " + string(outcome))
		return p
	}
	p.Snapshot = s.snapshot()
	p.System = &publish.System{State: new(p.Snapshot.Manager.State), BootID: new(p.Snapshot.BootID)}
	return p
}

// poll has the next poll, 10 s after the last one, and returns a line for each event.
func (s *scene) poll(outcome hosts.Outcome) []string {
	s.tb.Helper()
	step := s.baseline.Compare(s.polled(outcome))
	err := step.Commit(func(state []byte, _ []publish.Event) error {
		if s.failing {
			return errFull
		}
		var err error
		s.stored, err = Decode(state)
		return err
	})
	s.now = s.now.Add(10 * time.Second)
	if s.failing && step.changed {
		if err != errFull { //nolint:errorlint // It must come as it is.
			s.tb.Errorf("Commit: %v", err)
		}
		return nil
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	s.told = append(s.told, step.Events...)
	var lines []string
	for _, e := range step.Events {
		lines = append(lines, line(e))
	}
	return lines
}

func web01() publish.HostRef {
	return publish.HostRef{Name: "web-01", Group: "web", Address: "10.0.0.1", Labels: map[string]string{"env": "prod"}}
}

// line is an event in short: what, of which unit, from where to where, how often started anew, and how many polls late.
func line(e publish.Event) string {
	text := e.Event
	if e.Unit != nil {
		text += " " + *e.Unit
	}
	text += ": " + side(e.Before) + " > " + side(e.After)
	if e.Restarts > 0 {
		text += fmt.Sprintf(", restarts %d", e.Restarts)
	}
	if e.Suppressed > 0 {
		text += fmt.Sprintf(", suppressed %d", e.Suppressed)
	}
	if e.HappenedAt != nil {
		text += e.HappenedAt.Format(", at 15:04:05")
	}
	return text
}

func side(s *publish.EventState) string {
	switch {
	case s == nil:
		return "null"
	case s.Host != nil:
		text := s.Host.Outcome
		if s.Host.System != nil {
			text += " " + (*s.Host.System.BootID)[:4]
		}
		return text
	case s.Unit.LoadState != "loaded":
		return s.Unit.LoadState + " " + s.Unit.ActiveState
	}
	return s.Unit.ActiveState + "/" + s.Unit.SubState
}

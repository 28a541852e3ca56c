package systemctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// captured are the versions of systemd whose output testdata/captures has, see the README there. All must be there.
func captured() []string { return []string{"247", "252", "257"} }

// capturedUnits are the names that units.txt was asked for, in that order.
func capturedUnits() []string {
	return []string{
		"mount_controller.service", "mount-controller.service", "api.service", "worker@1.service", "backup.timer", "backup.service",
		"broken.service", "crashloop.service", "masked.service", "nasty.service", "metrics.socket", "metrics.service",
		"oneshot.service", "postgres.service", "ghost.service",
	}
}

func capture(tb testing.TB, version, file string) string {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "captures", version, file))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// summary is the part of a unit that is the same on every captured host.
func summary(unit Unit) string {
	text := unit.Name
	if unit.RequestedAs != "" {
		text = unit.RequestedAs + " -> " + text
	}
	text += fmt.Sprintf(": %s %s/%s %q %q", unit.LoadState, unit.ActiveState, unit.SubState, unit.UnitFileState, unit.Result)
	if unit.ExitCode != "" {
		text += fmt.Sprintf(" %s %d", unit.ExitCode, *unit.ExitStatus)
	}
	for _, is := range []struct {
		there bool
		word  string
	}{
		{unit.MainPID != nil, "pid"},
		{unit.Restarts != nil, "restarts"},
		{unit.Since != nil, "since"},
		{unit.StateChange != nil, "change"},
		{len(unit.InvocationID) == 32, "invocation"},
		{unit.CPUSeconds != nil, "cpu"},
		{unit.MemoryBytes != nil, "memory"},
		{unit.Tasks != nil, "tasks"},
		{unit.NeedDaemonReload != nil && !*unit.NeedDaemonReload, "fresh"},
		{unit.NextElapse != nil, "next"},
		{unit.LastTrigger != nil, "last"},
	} {
		if is.there {
			text += " " + is.word
		}
	}
	return text
}

func TestCaptures(t *testing.T) {
	t.Parallel()
	want := []string{
		`mount_controller.service: loaded active/running "enabled" "success" pid restarts since change invocation cpu fresh`,
		`mount-controller.service -> mount_controller.service: loaded active/running "enabled" "success" pid restarts since change invocation cpu fresh`,
		`api.service: loaded active/running "enabled" "success" pid restarts since change invocation cpu fresh`,
		`worker@1.service: loaded active/running "enabled" "success" pid restarts since change invocation cpu fresh`,
		`backup.timer: loaded active/waiting "enabled" "success" since change invocation fresh next last`,
		`backup.service: loaded inactive/dead "static" "success" exited 0 restarts since change invocation cpu fresh`,
		`broken.service: loaded failed/failed "enabled" "exit-code" exited 3 restarts since change invocation cpu fresh`,
		`crashloop.service: loaded activating/auto-restart "enabled" "exit-code" exited 1 restarts since change invocation cpu fresh`,
		`masked.service: masked inactive/dead "masked" "" fresh`,
		`nasty.service: loaded active/running "enabled" "success" pid restarts since change invocation cpu fresh`,
		`metrics.socket: loaded active/listening "enabled" "success" since change invocation cpu fresh`,
		`metrics.service: loaded inactive/dead "static" "success" restarts fresh`,
		`oneshot.service: loaded active/exited "enabled" "success" exited 0 restarts since change invocation cpu fresh`,
		`postgres.service: not-found inactive/dead "" "" fresh`,
		`ghost.service: not-found inactive/dead "" "" fresh`,
	}
	for _, version := range captured() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			query := testQuery(capturedUnits()...)
			got, err := query.Parse([]byte(answer(capture(t, version, "manager.txt"), capture(t, version, "units.txt"))), nil)
			if err != nil {
				t.Fatal(err)
			}
			manager := got.Manager
			if manager.Version != version || manager.State != "degraded" || *manager.FailedUnits != 1 || *manager.QueuedJobs != 0 ||
				manager.UserspaceTime == nil || manager.UserspaceMonotonic == nil || got.Regroup {
				t.Errorf("manager %+v", manager)
			}
			var summaries []string
			for _, unit := range got.Units {
				summaries = append(summaries, summary(unit))
			}
			want := slices.Clone(want)
			if version == "247" { // This one is a database host.
				want[13] = strings.Replace(want[2], "api", "postgres", 1)
			}
			if diff := cmp.Diff(want, summaries); diff != "" {
				t.Error(diff)
			}
			nasty := got.Units[9]
			if want := `nasty=yes; "double" 'single' back\slash $dollar %percent grüß 日本語 ☃`; nasty.Description != want {
				t.Errorf("Description %q, want %q", nasty.Description, want)
			}
		})
	}
}

// TestCapturedValues checks values of one capture, digit by digit.
func TestCapturedValues(t *testing.T) {
	t.Parallel()
	got, err := testQuery(capturedUnits()...).Parse([]byte(answer(capture(t, "257", "manager.txt"), capture(t, "257", "units.txt"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	started := new(time.Date(2026, 11, 23, 9, 15, 51, 0, time.UTC))
	want := []Unit{
		{
			Name: "api.service", Description: "Public API", LoadState: "loaded", ActiveState: "active", SubState: "running",
			UnitFileState: "enabled", Result: "success", Since: started, StateChange: started,
			InvocationID: "4d386dd607634c1a902b1e4b3965d68c", Restarts: new(0), MainPID: new(59), CPUSeconds: new(0.011814),
			StatusText: "ready=yes requests=0 errors=0", NeedDaemonReload: new(false),
		},
		{
			Name: "backup.timer", Description: "Nightly backup", LoadState: "loaded", ActiveState: "active", SubState: "waiting",
			UnitFileState: "enabled", Result: "success", Since: started, StateChange: new(started.Add(3 * time.Second)),
			InvocationID: "bee6e50d29194a0b98ea3dbb4bf5d1f5", NeedDaemonReload: new(false),
			NextElapse: new(time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)), LastTrigger: new(started.Add(3 * time.Second)),
		},
	}
	if diff := cmp.Diff(want, []Unit{got.Units[2], got.Units[4]}); diff != "" {
		t.Error(diff)
	}
}

// TestCapturedForgery has the whole output about a unit whose ExecStart forges records. Such a property is never asked
// for; if it came, nothing of it would be believed.
func TestCapturedForgery(t *testing.T) {
	t.Parallel()
	for _, version := range captured() {
		forged := capture(t, version, "nasty-all.txt")
		if !strings.Contains(forged, "\n\nId=spoof.service\n") {
			t.Fatalf("%s: the capture has no forged record", version)
		}
		for _, units := range [][]string{{"nasty.service"}, {"nasty.service", "spoof.service"}, {"nasty.service", "spoof.service", "other.service"}} {
			got, err := testQuery(units...).Parse([]byte(answer(capture(t, version, "manager.txt"), forged)), nil)
			if !errors.Is(err, ErrProtocol) || got.Units != nil {
				t.Errorf("%s: %v: Parse = %+v, %v", version, units, got.Units, err)
			}
		}
	}
}

package systemctl

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A failed service on 252, shortened (reference 7).
const failed252 = `Type=simple
Restart=on-failure
Result=exit-code
NRestarts=3
ExecMainCode=1
ExecMainStatus=1
MainPID=0
StatusText=
MemoryCurrent=[not set]
CPUUsageNSec=1500000000
TasksCurrent=[not set]
IOReadBytes=18446744073709551615
Id=fail.service
Names=fail.service
Description=Fails = always
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=static
StateChangeTimestamp=Sun 2026-11-22 21:00:04 UTC
InactiveExitTimestamp=Sun 2026-11-22 21:00:03 UTC
ActiveEnterTimestamp=Sun 2026-11-22 21:00:02 UTC
ActiveExitTimestamp=Sun 2026-11-22 21:00:01 UTC
InactiveEnterTimestamp=Sun 2026-11-22 21:00:05 UTC
NeedDaemonReload=no
InvocationID=0a1b2c3d4e5f60718293a4b5c6d7e8f9
`

// A unit that is not there on 257, shortened (reference 7): the defaults are printed all the same.
const notFound257 = `Type=
Restart=no
RestartUSec=100ms
MainPID=0
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent=[not set]
IPIngressBytes=[no data]
Id=nope.service
Names=nope.service
Description=nope.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
NeedDaemonReload=no
StateChangeTimestamp=
StateChangeTimestampMonotonic=0
LoadError=org.freedesktop.systemd1.NoSuchUnit "Unit nope.service not found."
InvocationID=
`

func TestParseRecord(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		record string
		want   Unit
	}{
		"failed, 252": {failed252, Unit{
			Name: "fail.service", Description: "Fails = always", LoadState: "loaded", ActiveState: "failed", SubState: "failed",
			UnitFileState: "static", Result: "exit-code", Since: utc(21, 0, 5), StateChange: utc(21, 0, 4),
			InvocationID: "0a1b2c3d4e5f60718293a4b5c6d7e8f9", Restarts: new(3), ExitCode: "exited", ExitStatus: new(1),
			CPUSeconds: new(1.5), NeedDaemonReload: new(false),
		}},
		"not found, 257": {notFound257, Unit{
			Name: "nope.service", Description: "nope.service", LoadState: "not-found", ActiveState: "inactive", SubState: "dead",
			NeedDaemonReload: new(false),
		}},
		"its file was deleted while it ran": {
			"MainPID=7\nExecMainCode=2\nExecMainStatus=9\nNRestarts=1\nMemoryCurrent=4096\nCPUUsageNSec=1\nTasksCurrent=1\nResult=success\n" +
				"Id=gone.service\nNames=gone.service\nLoadState=not-found\nActiveState=active\nSubState=running\n" +
				"ActiveEnterTimestamp=Sun 2026-11-22 21:00:02 UTC\n",
			Unit{Name: "gone.service", LoadState: "not-found", ActiveState: "active", SubState: "running", Since: utc(21, 0, 2)},
		},
		"words that no one has heard of": {
			"Id=a.service\nNames=a.service\nLoadState=loaded\nActiveState=hovering\nSubState=high above\nUnitFileState=folded\nResult=odd\n" +
				"ActiveExitTimestamp=Sun 2026-11-22 21:00:02 UTC\nDescription=[unprintable]\nStatusText=x y=z; café\nNeedDaemonReload=maybe\n",
			Unit{
				Name: "a.service", LoadState: "loaded", ActiveState: "hovering", SubState: "high above", UnitFileState: "folded",
				Result: "odd", Since: utc(21, 0, 2), Description: "[unprintable]", StatusText: "x y=z; café",
			},
		},
		"running": {
			shown("a.service", "MainPID=812", "ExecMainCode=0", "ExecMainStatus=0", "NRestarts=0", "MemoryCurrent=0", "CPUUsageNSec=0",
				"TasksCurrent=4", "NeedDaemonReload=yes"),
			Unit{
				Name: "a.service", LoadState: "loaded", ActiveState: "active", SubState: "running", Restarts: new(0), MainPID: new(812),
				MemoryBytes: new(uint64(0)), CPUSeconds: new(0.0), Tasks: new(uint64(4)), NeedDaemonReload: new(true),
			},
		},
		"no value, as before 235": {
			shown("a.service", "MemoryCurrent=18446744073709551615", "CPUUsageNSec=18446744073709551615", "TasksCurrent=18446744073709551615"),
			Unit{Name: "a.service", LoadState: "loaded", ActiveState: "active", SubState: "running"},
		},
		"killed": {
			shown("a.service", "ExecMainCode=2", "ExecMainStatus=15"),
			Unit{Name: "a.service", LoadState: "loaded", ActiveState: "active", SubState: "running", ExitCode: "killed", ExitStatus: new(15)},
		},
		"dumped": {
			shown("a.service", "ExecMainStatus=11", "ExecMainCode=3"),
			Unit{Name: "a.service", LoadState: "loaded", ActiveState: "active", SubState: "running", ExitCode: "dumped", ExitStatus: new(11)},
		},
		"an end that has no word": {
			shown("a.service", "ExecMainCode=4", "ExecMainStatus=5"),
			Unit{Name: "a.service", LoadState: "loaded", ActiveState: "active", SubState: "running"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, parseOne(t, tt.want.Name, tt.record)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNotLoadedHasNoNumbers(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"stub", "not-found", "error", "merged", "masked", "bad-setting", "new-in-2030"} {
		got := parseOne(t, "a.service", "Id=a.service\nLoadState="+state+"\nActiveState=inactive\nSubState=dead\nUnitFileState=masked\nResult=success\n"+
			"NRestarts=0\nMainPID=7\nExecMainCode=1\nExecMainStatus=0\nMemoryCurrent=1\nCPUUsageNSec=1\nTasksCurrent=1\n")
		want := Unit{Name: "a.service", LoadState: state, ActiveState: "inactive", SubState: "dead", UnitFileState: "masked"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("LoadState=%s: %s", state, diff)
		}
	}
}

// A unit without a state is no unit that is in no state.
func TestStatesAreRequired(t *testing.T) {
	t.Parallel()
	for _, record := range []string{
		"Id=a.service\n",
		"Id=a.service\nActiveState=active\nSubState=running\n",
		"Id=a.service\nLoadState=loaded\nSubState=running\n",
		"Id=a.service\nLoadState=loaded\nActiveState=active\n",
		"Id=a.service\nLoadState=\nActiveState=active\nSubState=running\n",
	} {
		got, err := testQuery("a.service").Parse([]byte(answer("Version=252\n", record)), nil)
		if !errors.Is(err, ErrProtocol) || len(got.Units) != 0 {
			t.Errorf("%q: %+v, %v", record, got.Units, err)
		}
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	const times = "ActiveEnterTimestamp=Sun 2026-11-22 21:00:01 UTC\nActiveExitTimestamp=Sun 2026-11-22 21:00:02 UTC\n" +
		"InactiveEnterTimestamp=Sun 2026-11-22 21:00:03 UTC\nInactiveExitTimestamp=Sun 2026-11-22 21:00:04 UTC\n" +
		"StateChangeTimestamp=Sun 2026-11-22 21:00:05 UTC\n"
	for state, second := range map[string]int{
		"active": 1, "reloading": 1, "refreshing": 1,
		"deactivating": 2, "maintenance": 2, "new-in-2030": 2,
		"inactive": 3, "failed": 3,
		"activating": 4,
	} {
		got := parseOne(t, "a.socket", "Id=a.socket\nLoadState=loaded\nSubState=x\nActiveState="+state+"\n"+times)
		if diff := cmp.Diff(utc(21, 0, second), got.Since); diff != "" {
			t.Errorf("ActiveState=%s: %s", state, diff)
		}
		if diff := cmp.Diff(utc(21, 0, 5), got.StateChange); diff != "" {
			t.Errorf("ActiveState=%s: %s", state, diff)
		}
	}
	if got := parseOne(t, "a.socket", "Id=a.socket\nLoadState=loaded\nSubState=x\nActiveState=active\nActiveEnterTimestamp=\n"); got.Since != nil {
		t.Errorf("Since = %v without a timestamp", got.Since)
	}
}

func TestTimer(t *testing.T) {
	t.Parallel()
	midnight := new(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	for name, tt := range map[string]struct {
		lines             string
		next, lastTrigger *time.Time
	}{
		"nothing":           {"NextElapseUSecRealtime=\nNextElapseUSecMonotonic=\nLastTriggerUSec=\n", nil, nil},
		"zero":              {"NextElapseUSecRealtime=0\nNextElapseUSecMonotonic=0\nLastTriggerUSec=0\n", nil, nil},
		"never":             {"NextElapseUSecRealtime=\nNextElapseUSecMonotonic=infinity\nLastTriggerUSec=n/a\n", nil, nil},
		"absent":            {"", nil, nil},
		"calendar, 257":     {"NextElapseUSecRealtime=Mon 2026-11-23 00:00:00 UTC\nNextElapseUSecMonotonic=infinity\nLastTriggerUSec=\n", midnight, nil},
		"calendar, 262":     {"NextElapseUSecRealtime=@1795392000\nLastTriggerUSec=@1795392000\n", midnight, midnight},
		"calendar, 219":     {"NextElapseUSecRealtime=56y 10month 3w 2d 7h 30min\n", new(time.Unix(1795537800, 0).UTC()), nil},
		"monotonic":         {"NextElapseUSecRealtime=\nNextElapseUSecMonotonic=1h 9.646660s\n", utc(21, 0, 9), nil},
		"monotonic earlier": {"NextElapseUSecRealtime=Mon 2026-11-23 00:00:00 UTC\nNextElapseUSecMonotonic=1min 30s\n", utc(20, 1, 30), nil},
		"monotonic later":   {"NextElapseUSecRealtime=Mon 2026-11-23 00:00:00 UTC\nNextElapseUSecMonotonic=1d\n", midnight, nil},
		"last":              {"LastTriggerUSec=Sun 2026-11-22 20:00:00 UTC\n", nil, utc(20, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parseOne(t, "t1.timer", shown("t1.timer")+tt.lines)
			if diff := cmp.Diff([]*time.Time{tt.next, tt.lastTrigger}, []*time.Time{got.NextElapse, got.LastTrigger}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMonotonicNeedsTheBootTime(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{
		"Version=252\n",
		"Version=252\nUserspaceTimestamp=Sun 2026-11-22 20:00:10 UTC\nUserspaceTimestampMonotonic=0\n",
		"Version=252\nUserspaceTimestamp=Sun 2026-11-22 20:00:10 CST\nUserspaceTimestampMonotonic=10500000\n",
	} {
		got, err := testQuery("a.timer").Parse([]byte(answer(manager, shown("a.timer", "NextElapseUSecMonotonic=1h"))), nil)
		if err != nil || got.Units[0].NextElapse != nil {
			t.Errorf("%q: %+v, %v", manager, got.Units, err)
		}
	}
}

// TestOrderOfPropertiesDoesNotMatter has the record of one timer as 257 and as 262 order it (reference 7).
func TestOrderOfPropertiesDoesNotMatter(t *testing.T) {
	t.Parallel()
	v257 := "TimersCalendar={ OnCalendar=*-*-* 00:00:00 ; next_elapse=@1795392000 }\nNextElapseUSecRealtime=Mon 2026-11-23 00:00:00 UTC\n" +
		"LastTriggerUSec=\nId=t1.timer\nLoadState=loaded\nActiveState=active\nSubState=waiting\nActiveEnterTimestamp=@1795383877\n"
	v262 := "Id=t1.timer\nSubState=waiting\nActiveEnterTimestamp=@1795383877\nActiveState=active\nLoadState=loaded\n" +
		"TimersCalendar={ OnCalendar=*-*-* 00:00:00 ; next_elapse=@1795392000 }\nNextElapseUSecRealtime=@1795392000\nLastTriggerUSec=\n"
	want := Unit{
		Name: "t1.timer", LoadState: "loaded", ActiveState: "active", SubState: "waiting", Since: utc(21, 44, 37),
		NextElapse: new(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)),
	}
	for _, record := range []string{v257, v262} {
		if diff := cmp.Diff(want, parseOne(t, "t1.timer", record)); diff != "" {
			t.Error(diff)
		}
	}
}

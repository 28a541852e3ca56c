package systemctl

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// No systemd before 247 was at hand: what is here about 219 to 246 follows its source and samples that others took on
// CentOS 7. It is tested by these tables only, and untested live.

func TestRegroup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		asked   int
		manager string
		units   []string
		want    bool
	}{
		"unknown, 219":           {0, "219", []string{"a.service"}, true},
		"unknown, 208":           {0, "208", []string{"a.service"}, true},
		"208":                    {208, "208", []string{"a.service"}, false},
		"unknown, 232":           {0, "232", []string{"a.service"}, true},
		"downgraded to 219":      {252, "219", []string{"a.service"}, true},
		"232, downgraded to 219": {232, "219", []string{"a.service"}, true},
		"unknown, 233":           {0, "233", []string{"a.service"}, false},
		"unknown, 262":           {0, "262", []string{"a.service"}, false},
		"unknown, no number":     {0, "git", []string{"a.service"}, false},
		"219":                    {219, "219", []string{"a.service"}, false},
		"219, upgraded to 231":   {219, "231", []string{"a.service"}, false},
		"219, upgraded to 252":   {219, "252", []string{"a.service"}, false},
		"no units":               {0, "219", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query := Query{Nonce: testNonce, Units: tt.units, Version: tt.asked, Limit: time.Second}
			var groups []string
			for range tt.units {
				groups = append(groups, shown("a.service"))
			}
			got, err := query.Parse([]byte(answer("Version="+tt.manager+"\n", groups...)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Regroup != tt.want || got.Regroup != (got.Units == nil) || got.Manager.Version != strings.Trim(tt.manager, "git") {
				t.Errorf("%+v, want Regroup %v", got, tt.want)
			}
		})
	}
}

// TestSilentAbort has what CentOS 7.6 printed when Type was asked for of a service and a socket (canonical/snapd#6868):
// no message, exit status 1, and units missing behind the first one that has no Type.
func TestSilentAbort(t *testing.T) {
	t.Parallel()
	records := "Type=simple\nId=snap.lxd.daemon.service\nActiveState=inactive\nUnitFileState=static\n\n" +
		"Id=snap.lxd.daemon.unix.socket\nActiveState=active\nUnitFileState=enabled\n"
	stdout := mark(SectionManager, manager219, 0) + mark(SectionBoot, "\n", 0) + mark(SectionUnits, records, 1)
	query := Query{
		Nonce: testNonce, Limit: time.Second,
		Units: []string{"snap.lxd.daemon.service", "snap.lxd.daemon.unix.socket", "snap.lxd.other.service"},
	}
	first, err := query.Parse([]byte(stdout), nil)
	if err != nil || !first.Regroup || first.Units != nil || first.Manager.VersionNumber != 219 {
		t.Fatalf("Parse = %+v, %v; want Regroup", first, err)
	}

	query.Version = first.Manager.VersionNumber
	_, err = query.Parse([]byte(stdout), nil)
	if command, ok := errors.AsType[*CommandError](err); !ok || command.Stderr != "" || !strings.Contains(err.Error(), "before systemd 233") {
		t.Errorf("error %v, want a *CommandError that hints at the version", err)
	}
}

func TestOldGroups(t *testing.T) {
	t.Parallel()
	common := "Id Names Description LoadState ActiveState SubState UnitFileState ActiveEnterTimestamp ActiveExitTimestamp " +
		"InactiveEnterTimestamp InactiveExitTimestamp NeedDaemonReload"
	for name, tt := range map[string]struct {
		version int
		units   []string
		want    []string // "PROPERTY... / UNIT..."
	}{
		"219": {219, []string{"a.service", "b.timer", "c.service", "d.socket", "-.slice", "e.target", "f.timer", "g.device"}, []string{
			common + " Result MemoryCurrent MainPID ExecMainCode ExecMainStatus StatusText / a.service c.service",
			common + " Result NextElapseUSecRealtime NextElapseUSecMonotonic LastTriggerUSec / b.timer f.timer",
			common + " Result MemoryCurrent / d.socket",
			common + " MemoryCurrent / -.slice",
			common + " / e.target",
			common + " / g.device",
		}},
		"208": {208, []string{"a.socket"}, []string{common + " Result MemoryCurrent / a.socket"}},
		"220": {220, []string{"a.scope"}, []string{common + " Result MemoryCurrent CPUUsageNSec / a.scope"}},
		"228": {228, []string{"a.mount", "a.path", "a.automount"}, []string{
			common + " Result MemoryCurrent CPUUsageNSec TasksCurrent / a.mount", common + " Result / a.path", common + " Result / a.automount",
		}},
		"232": {232, []string{"a.swap", "a.service"}, []string{
			common + " StateChangeTimestamp InvocationID Result MemoryCurrent CPUUsageNSec TasksCurrent / a.swap",
			common + " StateChangeTimestamp InvocationID Result MemoryCurrent CPUUsageNSec TasksCurrent MainPID ExecMainCode ExecMainStatus " +
				"StatusText / a.service",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			query := Query{Units: tt.units, Version: tt.version}
			for _, of := range query.groups() {
				group := query.written(of)
				got = append(got, strings.Join(group.Properties, " ")+" / "+strings.Join(group.Units, " "))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewSystemdHasOneGroup(t *testing.T) {
	t.Parallel()
	for _, version := range []int{0, 233, 252, 999} {
		query := Query{Units: []string{"a.service", "b.timer", "c.service"}, Version: version}
		groups := query.groups()
		if len(groups) != 1 || len(query.written(groups[0]).Properties) != int(unitPropertyCount) || len(groups[0].units) != 3 {
			t.Errorf("version %d: %+v", version, groups)
		}
	}
}

// TestParseOldGroups checks that units come back in the order of the query, whatever the groups, with the spellings of 219.
func TestParseOldGroups(t *testing.T) {
	t.Parallel()
	query := Query{Nonce: testNonce, Units: []string{"b.service", "t.timer", "a.service", "x.target"}, Version: 219, Limit: time.Second}
	services := shown("b.service", "MemoryCurrent=18446744073709551615", "ActiveEnterTimestamp=dim. 2026-11-22 21:00:01 UTC") + "\n" +
		shown("a.service", "MemoryCurrent=4096", `LoadError= ""`)
	timers := shown("t.timer", "NextElapseUSecRealtime=45y 7month 1w 6d 10h 30min", "NextElapseUSecMonotonic=0", "LastTriggerUSec=0")
	// A target has no MainPID and 219 no InvocationID, so that these lines are text of the description.
	targets := shown("x.target", "Description=x\nMainPID=666\nInvocationID=666")
	got, err := query.Parse([]byte(answer(manager219, services, timers, targets)), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Unit{
		{Name: "b.service", LoadState: "loaded", ActiveState: "active", SubState: "running", Since: utc(21, 0, 1)},
		{
			Name: "t.timer", LoadState: "loaded", ActiveState: "active", SubState: "running",
			NextElapse: new(time.Date(2015, 8, 15, 18, 0, 0, 0, time.UTC)),
		},
		{Name: "a.service", LoadState: "loaded", ActiveState: "active", SubState: "running", MemoryBytes: new(uint64(4096))},
		{Name: "x.target", LoadState: "loaded", ActiveState: "active", SubState: "running", Description: "x"},
	}
	if diff := cmp.Diff(want, got.Units); diff != "" {
		t.Error(diff)
	}

	_, err = query.Parse([]byte(answer(manager219, services, timers)), nil)
	if !errors.Is(err, ErrCutOff) {
		t.Errorf("error %v with a group missing, want ErrCutOff", err)
	}
}

func TestUnitPropertyOf(t *testing.T) {
	t.Parallel()
	for property, is := range unitProperties() {
		if got, ok := unitPropertyOf([]byte(is.name)); !ok || got != unitProperty(property) {
			t.Errorf("unitPropertyOf(%q) = %d, want %d", is.name, got, property)
		}
		if is.since < 219 || is.types == 0 || strings.HasPrefix(is.name, "Exec") && !strings.HasPrefix(is.name, "ExecMain") {
			t.Errorf("property %+v", is)
		}
	}
	for _, name := range []string{"", "ExecStart", "Environment", "Conditions", "id"} {
		if _, ok := unitPropertyOf([]byte(name)); ok {
			t.Errorf("unitPropertyOf(%q) is known", name)
		}
	}
}

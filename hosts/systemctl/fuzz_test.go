package systemctl

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse feeds sections with good markers and any content, and checks that no unit comes back that was not asked for.
func FuzzParse(f *testing.F) {
	const names = "mount_controller.service\nmount-controller.service"
	for _, version := range captured() {
		manager, units := capture(f, version, "manager.txt"), capture(f, version, "units.txt")
		f.Add(252, strings.Join(capturedUnits(), "\n"), "motd", manager, units, "")
		f.Add(0, names, "", manager, units[:strings.Index(units, "\n\nMainPID=59")+1], "")
		f.Add(252, "nasty.service", "", manager, capture(f, version, "nasty-all.txt"), "")
		f.Add(219, names, BeginMarker(otherNonce, SectionManager), manager, units, EndMarker(testNonce, SectionUnits, 1))
	}
	f.Add(0, "fail.service", "", manager219, failed252, "\n")
	f.Add(219, "t1.timer", "", manager219, shown("t1.timer", "NextElapseUSecRealtime=45y 7month 1w 6d 10h 30min"), "")
	others := Query{Nonce: testNonce, Units: capturedUnits(), Limit: time.Second}
	last, err := others.Parse([]byte(answer(capture(f, "257", "manager.txt"), capture(f, "257", "units.txt"))), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, version int, names, before, manager, units, behind string) {
		query := Query{Nonce: testNonce, Units: strings.Split(names, "\n"), Version: version, Limit: time.Second}
		stdout := []byte(before + answer(manager, units) + behind)
		got, err := query.Parse(stdout, []byte(before))
		query.Before = last
		if again, e := query.Parse(stdout, []byte(before)); (e == nil) != (err == nil) || !reflect.DeepEqual(again, got) {
			t.Errorf("%+v, %v; behind another answer %+v, %v", got, err, again, e)
		}
		if err != nil || got.Regroup {
			if got.Units != nil {
				t.Fatalf("units %+v beside error %v, Regroup %v", got.Units, err, got.Regroup)
			}
			return
		}
		if len(got.Units) != len(query.Units) {
			t.Fatalf("%d units, %d asked for", len(got.Units), len(query.Units))
		}
		for i, unit := range got.Units {
			if asked := query.Units[i]; unit.RequestedAs != asked && (unit.RequestedAs != "" || unit.Name != asked) {
				t.Errorf("unit %q (%q) in the place of %q", unit.Name, unit.RequestedAs, asked)
			}
			if unit.LoadState != "loaded" && (unit.MainPID != nil || unit.Restarts != nil || unit.MemoryBytes != nil || unit.Result != "") {
				t.Errorf("numbers of a unit that is not loaded: %+v", unit)
			}
			for _, moment := range []*time.Time{unit.Since, unit.StateChange, unit.NextElapse, unit.LastTrigger} {
				if moment == nil {
					continue
				}
				if _, err := moment.MarshalJSON(); err != nil {
					t.Errorf("%v: %v", moment, err)
				}
			}
		}
	})
}

// FuzzOutput feeds any output at all.
func FuzzOutput(f *testing.F) {
	f.Add([]byte(answer(manager252, shown("a.service"))), []byte("noise"))
	f.Add([]byte(BeginMarker(testNonce, SectionManager)), []byte(""))
	f.Fuzz(func(t *testing.T, stdout, stderr []byte) {
		got, err := testQuery("a.service").Parse(stdout, stderr)
		if err == nil && !got.Regroup && (len(got.Units) != 1 || got.Units[0].Name == "") {
			t.Errorf("Parse = %+v without an error", got)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %v", err)
		}
	})
}

// FuzzCommand checks that the far side reads what was asked, and that every word survives a shell.
func FuzzCommand(f *testing.F) {
	f.Add(strings.Join(capturedUnits(), "\n"), 0, int64(7200*time.Millisecond))
	f.Add("system-a\\x2db.slice\na.timer\nb\\\\.slice", 219, int64(1))
	f.Add("0.slice", 200, int64(1))
	f.Add("0.slice", -1, int64(1))
	f.Add("a'b.service", 232, int64(time.Hour))
	f.Fuzz(func(t *testing.T, names string, version int, limit int64) {
		query := Query{Nonce: testNonce, Units: strings.Split(names, "\n"), Version: version, Limit: time.Duration(limit)}
		command, err := query.Command()
		if err != nil {
			return
		}
		got, err := ParseCommand(command)
		if err != nil {
			t.Fatalf("ParseCommand(%s): %v", command, err)
		}
		var want []Group
		for _, group := range query.groups() {
			want = append(want, query.written(group))
		}
		if diff := cmp.Diff(want, got.Groups); diff != "" {
			t.Error(diff)
		}
		if got.Limit < query.Limit || got.Limit-query.Limit >= time.Millisecond {
			t.Errorf("limit %v, asked for %v", got.Limit, query.Limit)
		}
		_, words, _ := strings.Cut(command, showScript+scriptEnd)
		for _, char := range []byte(words) {
			if !isUnitNameChar(char) && char != ' ' && char != ',' && char != '/' {
				t.Errorf("%q in %s may mean something to a shell", char, words)
			}
		}
	})
}

// FuzzParseCommand checks that whatever is accepted is written back as it came.
func FuzzParseCommand(f *testing.F) {
	for _, version := range []int{219, 252} {
		command, err := Query{Nonce: testNonce, Units: capturedUnits(), Version: version, Limit: time.Second}.Command()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(command)
	}
	f.Fuzz(func(t *testing.T, command string) {
		request, err := ParseCommand(command)
		if err == nil && request.command() != command {
			t.Errorf("%q became %q", command, request.command())
		}
	})
}

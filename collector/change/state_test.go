package change

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"service_manager/hosts"
	"service_manager/publish"
)

// FuzzDecode checks that what is read is written as it was, and that nothing unreadable is half read.
func FuzzDecode(f *testing.F) {
	s := captured(f, "247")
	s.poll(hosts.OK)
	for _, state := range []State{s.stored, {Host: web01(), Outcome: hosts.Timeout, Error: "late"}} {
		data, err := state.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"h":{"name":"a"},"o":"ok","u":[{"as":"b.service"},{"n":"a.service"}],"later":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := Decode(data)
		if err != nil {
			if diff := cmp.Diff(State{}, state); diff != "" {
				t.Error("a state beside an error: " + diff)
			}
			return
		}
		encoded, err := state.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(encoded)
		if err != nil {
			t.Fatalf("%v in %s", err, encoded)
		}
		if diff := cmp.Diff(state, again, cmpopts.EquateEmpty()); diff != "" {
			t.Error("-first +again:\n" + diff)
		}
	})
}

// TestDecodeOlder reads a state as the first version of the program stored it, with what a later one may add.
func TestDecodeOlder(t *testing.T) {
	t.Parallel()
	const stored = `{"h":{"name":"web-01","group":"web","address":"10.0.0.1","labels":{"env":"prod"}},"o":"ok","b":"1f0c","t":1700000000,
		"new":[1],"s":{"state":"running","systemd":"252","failed_units":0,"queued_jobs":0,"boot_id":"1f0c"},
		"u":[{"n":"b.service","l":"loaded","a":"active","s":"running","f":"enabled","r":"success","i":"6d1f","nr":1,"c":"exited","x":4,"d":2},
		     {"as":"alias.service"},{"n":"a.service","l":"not-found","a":"inactive","s":"dead","new":true}]}`
	want := State{
		Host: web01(), Outcome: hosts.OK, BootID: "1f0c", Userspace: 1700000000,
		System: &publish.System{State: new("running"), Systemd: new("252"), FailedUnits: new(0), QueuedJobs: new(0), BootID: new("1f0c")},
		Units: []Unit{
			{Name: "a.service", Load: "not-found", Active: "inactive", Sub: "dead"},
			{Alias: "alias.service"},
			{
				Name: "b.service", Load: "loaded", Active: "active", Sub: "running", File: "enabled", Result: "success", Invocation: "6d1f",
				Restarts: numberOf(new(0)), ExitCode: "exited", ExitStatus: numberOf(new(3)), Reload: numberOfBool(new(true)),
			},
		},
	}
	got, err := Decode([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	for stored, want := range map[string]string{
		``:                            "the stored state is not one: unexpected end",
		`{"h":7}`:                     "State.h",
		`{}`:                          "names no host",
		`{"h":{"name":"a"}}`:          "no outcome",
		units(`{"n":"a.service"},{}`): `of host "a" has a unit without a name`,
		units(`{"n":"a.service"},{"n":"b.service"},{"as":"a.service"}`): `has unit "a.service" twice`,
		units(`{"n":"a.service","nr":-1}`):                              `numbers of unit "a.service"`,
	} {
		if state, err := Decode([]byte(stored)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", stored, state, err, want)
		}
	}
}

func units(list string) string { return `{"h":{"name":"a"},"o":"ok","u":[` + list + `]}` }

func TestRemoved(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	s.poll(hosts.OK)
	s.poll(hosts.Denied)
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	want := publish.Event{
		Event: publish.HostRemoved, Host: web01(), ObservedAt: publish.Time{Time: at}, Before: s.told[0].After,
	}
	if diff := cmp.Diff(want, s.stored.Removed(at)); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

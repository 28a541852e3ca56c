package change

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
	"service_manager/publish"
)

func TestFirstPolls(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		outcomes []hosts.Outcome
		want     []string
	}{
		"well":                {[]hosts.Outcome{hosts.OK}, nil},
		"not well":            {[]hosts.Outcome{hosts.Timeout}, nil},
		"not well, then well": {[]hosts.Outcome{hosts.Timeout, hosts.OK}, []string{"host.recovered: timeout > ok 1f0c"}},
		"another key, then none": {
			[]hosts.Outcome{hosts.HostKeyChanged, hosts.Unreachable},
			[]string{"host.unreachable: host_key_changed > unreachable"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := captured(t, "257")
			var got []string
			for _, outcome := range tc.outcomes {
				got = append(got, s.poll(outcome)...)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
			if diff := cmp.Diff(s.baseline.State(), s.stored); diff != "" {
				t.Error("what is known must be stored: -baseline +stored:\n" + diff)
			}
		})
	}
}

// TestEvent has all of an event that the lines of the sequences leave out.
func TestEvent(t *testing.T) {
	t.Parallel()
	s := captured(t, "257")
	s.poll(hosts.OK)
	s.set("api.service", "NeedDaemonReload=yes")
	s.poll(hosts.Unreachable)
	s.poll(hosts.OK)
	at := func(second int) publish.Time {
		return publish.Time{Time: time.Date(2026, 11, 24, 10, 0, second, 0, time.UTC)}
	}
	system := &publish.System{State: new("degraded"), BootID: new(bootA)}
	well := &publish.EventState{Host: &publish.HostState{Outcome: "ok", System: system}}
	away := &publish.EventState{Host: &publish.HostState{Outcome: "unreachable", Error: new("it is unreachable"), System: system}}
	api := publish.UnitState{
		Name: "api.service", LoadState: "loaded", ActiveState: "active", SubState: "running", UnitFileState: new("enabled"),
		Result: new("success"), InvocationID: new("4d386dd607634c1a902b1e4b3965d68c"), Restarts: new(0), NeedDaemonReload: new(false),
	}
	edited := api
	edited.NeedDaemonReload = new(true)
	want := []publish.Event{
		{Event: publish.HostUnreachable, Host: web01(), ObservedAt: at(10), Before: well, After: away},
		{Event: publish.HostRecovered, Host: web01(), ObservedAt: at(20), Before: away, After: well},
		{
			Event: publish.UnitChanged, Host: web01(), Unit: new("api.service"), ObservedAt: at(20),
			Before: &publish.EventState{Unit: &api}, After: &publish.EventState{Unit: &edited},
		},
	}
	if diff := cmp.Diff(want, s.told); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestStoredWithoutAnEvent has what is no event and must be stored all the same.
func TestStoredWithoutAnEvent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Poll)
		stored bool
	}{
		"nothing":                 {func(*Poll) {}, false},
		"another system state":    {func(p *Poll) { p.System.State = new("running") }, false},
		"other labels":            {func(p *Poll) { p.Host.Labels = map[string]string{"env": "test"} }, true},
		"another group":           {func(p *Poll) { p.Host.Group = "db" }, true},
		"a unit that is not seen": {func(p *Poll) { p.Snapshot.Units, p.Asked = p.Snapshot.Units[1:], nil }, true},
		"a unit more":             {func(p *Poll) { p.Snapshot.Units[2].Name = "api2.service" }, true},
		"no boot id":              {func(p *Poll) { p.Snapshot.BootID = "" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := captured(t, "252")
			s.poll(hosts.OK)
			p := s.polled(hosts.OK)
			p.Asked = nil
			tc.change(&p)
			step := s.baseline.Compare(p)
			stored := false
			err := step.Commit(func(_ []byte, events []publish.Event) error {
				stored = true
				if len(events) > 0 {
					t.Errorf("events %v", events)
				}
				return nil
			})
			if err != nil || stored != tc.stored {
				t.Errorf("stored %v, want %v; error %v", stored, tc.stored, err)
			}
			step = s.baseline.Compare(p)
			if step.changed {
				t.Error("it is still another state when compared again")
			}
		})
	}
}

func TestStepOfTheStateBefore(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	first, second := s.baseline.Compare(s.polled(hosts.OK)), s.baseline.Compare(s.polled(hosts.Timeout))
	store := func([]byte, []publish.Event) error { return nil }
	if err := first.Commit(store); err != nil {
		t.Fatal(err)
	}
	for _, late := range []*Step{&first, &second} {
		if err := late.Commit(func([]byte, []publish.Event) error { t.Error("it was stored"); return nil }); err == nil {
			t.Error("a step was committed although the baseline had moved on")
		}
	}
	if got := s.baseline.State().Outcome; got != hosts.OK {
		t.Errorf("outcome %s", got)
	}
}

// TestNotUTF8 has words that systemd never sends. They are stored as JSON can have them, and are no change ever after.
func TestNotUTF8(t *testing.T) {
	t.Parallel()
	s := captured(t, "252")
	p := s.polled(hosts.OK)
	p.Snapshot.Units[2].InvocationID = "4d38\xff"
	step := s.baseline.Compare(p)
	var stored []byte
	if err := step.Commit(func(state []byte, _ []publish.Event) error { stored = state; return nil }); err != nil {
		t.Fatal(err)
	}
	state, err := Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*Baseline{s.baseline, NewBaseline(state, Flapping{})} {
		if step := b.Compare(p); step.changed {
			t.Errorf("events %v", step.Events)
		}
	}
}

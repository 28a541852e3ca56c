package fleet

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"service_manager/hosts"
)

// unitOf returns the state of one unit.
func unitOf(t *testing.T, s HostState, name string) UnitState {
	t.Helper()
	for _, u := range s.Units {
		if u.Name == name {
			return u
		}
	}
	t.Fatalf("%s has no %s", s.Name, name)
	return UnitState{}
}

func TestCommandsChangeAServiceAtOnce(t *testing.T) {
	const unit = "mount_controller.service"
	f, inv := startFleet(t, Config{Hosts: 1, Steady: true})
	pool, h := newPool(t), inv.Hosts[0]
	before := unitOf(t, f.States()[0], unit)
	for i, step := range []struct {
		name      string
		command   func(hostName, unitName string) (HostState, error)
		want      UnitState // but for names, ids and what is always so
		isStarted bool      // in a new invocation
	}{
		{"crashed", f.RestartUnit, UnitState{ActiveState: "active", SubState: "running", Result: "success", Restarts: 1}, true},
		{"crashed again", f.RestartUnit, UnitState{ActiveState: "active", SubState: "running", Result: "success", Restarts: 2}, true},
		{
			"failed", f.FailUnit,
			UnitState{ActiveState: "failed", SubState: "failed", Result: "exit-code", Restarts: 2, ExitCode: cldExited, ExitStatus: 1},
			false,
		},
		{"started", f.StartUnit, UnitState{ActiveState: "active", SubState: "running", Result: "success"}, true},
		{"edited", f.EditUnit, UnitState{ActiveState: "active", SubState: "running", Result: "success", NeedDaemonReload: true}, false},
		{"reloaded", f.EditUnit, UnitState{ActiveState: "active", SubState: "running", Result: "success"}, false},
		{
			"stopped", f.StopUnit,
			UnitState{ActiveState: "inactive", SubState: "dead", Result: "success", ExitCode: cldKilled, ExitStatus: sigterm},
			false,
		},
	} {
		state, err := step.command(h.Name, unit)
		if err != nil {
			t.Fatal(err)
		}
		after := unitOf(t, state, unit)
		ignored := cmpopts.IgnoreFields(UnitState{}, "Name", "LoadState", "UnitFileState", "InvocationID")
		if diff := cmp.Diff(step.want, after, ignored); diff != "" || state.Version != i+1 {
			t.Errorf("%s: version %d, (-want +got):\n%s", step.name, state.Version, diff)
		}
		if (after.InvocationID != before.InvocationID) != step.isStarted {
			t.Errorf("%s: from invocation %s to %s", step.name, before.InvocationID, after.InvocationID)
		}
		before = after
		s, err := read(t.Context(), pool, h)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range s.Units {
			if u.Name == unit && (u.InvocationID != after.InvocationID || u.SubState != after.SubState || *u.Restarts != after.Restarts) {
				t.Errorf("%s: %+v was read", step.name, u)
			}
		}
	}
}

func TestCommandsChangeAHostAtOnce(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 1, Steady: true})
	pool, h := newPool(t), inv.Hosts[0]
	before, err := read(t.Context(), pool, h)
	if err != nil {
		t.Fatal(err)
	}
	rebooted, err := f.Reboot(h.Name)
	if err != nil {
		t.Fatal(err)
	}
	if u := unitOf(t, rebooted, "mount_controller.service"); u.ActiveState != active {
		t.Errorf("after a reboot: %+v", u)
	}
	if _, err := f.Leave(h.Name); err != nil {
		t.Fatal(err)
	}
	if err := newPool(t).Connect(t.Context(), h); hosts.OutcomeOf(err) != hosts.Unreachable {
		t.Errorf("while the host is away: outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
	if _, err := f.Return(h.Name); err != nil {
		t.Fatal(err)
	}
	after, err := read(t.Context(), newPool(t), h)
	if err != nil {
		t.Fatal(err)
	}
	if after.BootID == before.BootID || after.BootID != rebooted.BootID {
		t.Errorf("boot id %s, after a reboot to %s %s", before.BootID, rebooted.BootID, after.BootID)
	}
}

// A host that froze keeps its connection, and answers neither on it nor on a new one.
func TestFreeze(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 1})
	pool, h := newPool(t), inv.Hosts[0]
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Freeze(h.Name); err != nil {
		t.Fatal(err)
	}
	h.Timeout, h.ConnectTimeout = 200*time.Millisecond, 200*time.Millisecond
	if _, err := pool.Poll(t.Context(), h); hosts.OutcomeOf(err) != hosts.Timeout || !pool.Connected(h.Name) {
		t.Errorf("on the standing connection: outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
	if err := newPool(t).Connect(t.Context(), h); hosts.OutcomeOf(err) != hosts.Timeout {
		t.Errorf("on a new connection: outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
}

func TestLatency(t *testing.T) {
	const latency = 100 * time.Millisecond
	_, inv := startFleet(t, Config{Hosts: 1, Steady: true, Latency: latency})
	s, err := read(t.Context(), newPool(t), inv.Hosts[0])
	if err != nil {
		t.Fatal(err)
	}
	if s.Took < latency {
		t.Errorf("an answer took %v, want %v or more", s.Took, latency)
	}
}

func TestCommandsRefuse(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 2, Steady: true})
	for _, target := range [][2]string{
		{"nobody", "nginx.service"}, {inv.Hosts[0].Name, "nothing.service"}, {inv.Hosts[0].Name, certbot}, {inv.Hosts[0].Name, "api.socket"},
	} {
		if _, err := f.StartUnit(target[0], target[1]); err == nil {
			t.Errorf("%s was started", target)
		}
	}
	for _, s := range f.States() {
		if s.Version != 0 {
			t.Errorf("%s has version %d, want 0", s.Name, s.Version)
		}
	}
}

// What was served tells of the version at the time of the poll, and not before the answer has been written.
func TestServed(t *testing.T) {
	var (
		mu       sync.Mutex
		versions []int
	)
	f, inv := startFleet(t, Config{Hosts: 1, Steady: true, Served: func(_ string, version int, asked time.Time) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(asked) < 0 {
			t.Errorf("asked at %v, which is to come", asked)
		}
		versions = append(versions, version)
	}})
	pool, h := newPool(t), inv.Hosts[0]
	for range 3 {
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Fatal(err)
		}
		if _, err := f.EditUnit(h.Name, "mount_controller.service"); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if diff := cmp.Diff([]int{0, 1, 2}, versions); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

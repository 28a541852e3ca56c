package chaos

import (
	"fmt"
	"time"

	"service_manager/integration/fleet"
	"service_manager/publish"
)

const (
	sceneHost = "web-01"
	sceneUnit = "nginx.service"
)

// A scene is a host with one unit, a collector, and a consumer, as an oracle sees them.
type scene struct {
	oracle  *oracle
	now     time.Time
	host    fleet.HostState
	told    publish.UnitState // by the last event
	outcome string            // as last told
	boot    string            // as last told
	seq     uint64
}

// newScene begins at a time when a collector has long been running.
func newScene() *scene {
	s := &scene{oracle: newOracle(), now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC), outcome: reachable, boot: "boot-0"}
	s.oracle.born(s.now.Add(-time.Hour))
	s.host = fleet.HostState{Name: sceneHost, BootID: s.boot, Units: []fleet.UnitState{{
		Name: sceneUnit, LoadState: "loaded", ActiveState: "active", SubState: "running", UnitFileState: "enabled", Result: "success",
		InvocationID: "invocation-0",
	}}}
	s.oracle.changed(s.now, s.host)
	s.told = s.wire()
	return s
}

// pass lets time pass.
func (s *scene) pass(d time.Duration) { s.now = s.now.Add(d) }

// change makes a new version of the host.
func (s *scene) change(change func(*fleet.UnitState)) {
	s.host.Version++
	s.host.Units = []fleet.UnitState{s.host.Units[0]}
	change(&s.host.Units[0])
	s.oracle.changed(s.now, s.host)
}

func (s *scene) start() {
	s.change(func(u *fleet.UnitState) {
		u.ActiveState, u.SubState, u.Result, u.Restarts = "active", "running", "success", 0
		u.InvocationID = fmt.Sprint("invocation-", s.host.Version)
	})
}

func (s *scene) fail() {
	s.change(func(u *fleet.UnitState) { u.ActiveState, u.SubState, u.Result = "failed", "failed", "exit-code" })
}

func (s *scene) edit() {
	s.change(func(u *fleet.UnitState) { u.NeedDaemonReload = !u.NeedDaemonReload })
}

func (s *scene) reboot() {
	s.host.Version++
	s.host.BootID = fmt.Sprint("boot-", s.host.Version)
	s.oracle.changed(s.now, s.host)
}

// read lets the collector poll the host, which takes 10 ms.
func (s *scene) read() {
	asked := s.now
	s.pass(10 * time.Millisecond)
	s.oracle.served(sceneHost, s.host.Version, asked, s.now)
}

// wire is the unit as an event tells of it.
func (s *scene) wire() publish.UnitState {
	u := s.host.Units[0]
	return publish.UnitState{
		Name: u.Name, LoadState: u.LoadState, ActiveState: u.ActiveState, SubState: u.SubState, UnitFileState: &u.UnitFileState,
		Result: &u.Result, InvocationID: &u.InvocationID, Restarts: &u.Restarts, NeedDaemonReload: &u.NeedDaemonReload,
	}
}

// next makes an event of the present state of the unit, which is not delivered yet.
func (s *scene) next() publish.Event {
	before, after := s.told, s.wire()
	s.told = after
	e := s.envelope(publish.UnitChanged, &publish.EventState{Unit: &before}, &publish.EventState{Unit: &after})
	e.Unit = new(sceneUnit)
	if *before.InvocationID != *after.InvocationID {
		e.Restarts = 1
	}
	return e
}

// nextOutcome makes an event of the host.
func (s *scene) nextOutcome(event, outcome string) publish.Event {
	before := publish.HostState{Outcome: s.outcome, System: &publish.System{BootID: new(s.boot)}}
	s.outcome = outcome
	if event == publish.HostRebooted {
		s.boot = s.host.BootID
	}
	after := publish.HostState{Outcome: outcome, System: &publish.System{BootID: new(s.boot)}}
	return s.envelope(event, &publish.EventState{Host: &before}, &publish.EventState{Host: &after})
}

func (s *scene) envelope(event string, before, after *publish.EventState) publish.Event {
	s.seq++
	return publish.Event{
		ID: publish.EventID("c", "epoch", sceneHost, s.seq), Collector: "c", Epoch: "epoch", Seq: s.seq, Event: event,
		Host: publish.HostRef{Name: sceneHost}, ObservedAt: publish.Time{Time: s.now}, Before: before, After: after,
	}
}

func (s *scene) deliver(e publish.Event) { s.oracle.event(s.now, e, false) }

// tell delivers an event of the present state of the unit.
func (s *scene) tell() { s.deliver(s.next()) }

// restart, the usual story, is that the unit is started anew, which is read and told.
func (s *scene) restart() {
	s.start()
	s.read()
	s.tell()
	s.pass(time.Second)
}

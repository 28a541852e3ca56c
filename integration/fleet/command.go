package fleet

import (
	"fmt"
	"time"
)

// startupTime is how long a host has been up when it is up.
const startupTime = 30 * time.Second

// StartUnit starts a service, or restarts it, as a person would: in a new invocation, with no automatic restarts.
//
// It and the commands below change a host at once, from one state to the next with none in between, and return what they have made of
// it. They are meant for a fleet that is [Config.Steady] otherwise. The error is of a host that there is not, or no such service on it.
func (f *Fleet) StartUnit(hostName, unitName string) (HostState, error) {
	return f.commandUnit(hostName, unitName, func(h *host, u *unit, at time.Time) {
		u.restarts = 0
		h.launchAtOnce(u, at)
	})
}

// RestartUnit lets a service crash, and systemd start it again.
func (f *Fleet) RestartUnit(hostName, unitName string) (HostState, error) {
	return f.commandUnit(hostName, unitName, func(h *host, u *unit, at time.Time) {
		u.exit(at, cldExited, 1)
		u.enter(at, subAutoRestart)
		u.restarts++
		h.launchAtOnce(u, at)
	})
}

// StopUnit stops a service as asked.
func (f *Fleet) StopUnit(hostName, unitName string) (HostState, error) {
	return f.commandUnit(hostName, unitName, func(_ *host, u *unit, at time.Time) {
		u.enter(at, subStopSigterm)
		u.exit(at, cldKilled, sigterm)
		u.enter(at, subDead)
	})
}

// FailUnit lets a service end with an error for good.
func (f *Fleet) FailUnit(hostName, unitName string) (HostState, error) {
	return f.commandUnit(hostName, unitName, func(_ *host, u *unit, at time.Time) {
		u.exit(at, cldExited, 1)
		u.enter(at, subFailed)
	})
}

// EditUnit changes the file of a service on disk or, where that was changed, reloads the manager.
func (f *Fleet) EditUnit(hostName, unitName string) (HostState, error) {
	return f.commandUnit(hostName, unitName, func(_ *host, u *unit, _ time.Time) { u.daemonReload = !u.daemonReload })
}

// Reboot boots a host and starts what is enabled on it. Its connections break; it can be reached again at once.
func (f *Fleet) Reboot(hostName string) (HostState, error) {
	return f.command(hostName, func(s *station, at time.Time) error {
		h := s.host
		h.boot(at.Add(-startupTime))
		h.bringUp(at)
		for _, u := range h.units {
			if u.step == begin {
				h.launchAtOnce(u, at)
			}
		}
		s.server.Disconnect()
		return nil
	})
}

// Leave makes a host unreachable: its connections break, and nothing listens. What is on it goes on.
func (f *Fleet) Leave(hostName string) (HostState, error) {
	return f.command(hostName, func(s *station, _ time.Time) error {
		s.away = true // Until Return, and no one else waits for it.
		s.host.out = gone
		s.server.Suspend()
		return nil
	})
}

// Return ends Leave. Its error may also be that another program has taken the host's port.
func (f *Fleet) Return(hostName string) (HostState, error) {
	return f.command(hostName, func(s *station, _ time.Time) error {
		if err := s.server.Resume(); err != nil {
			return fmt.Errorf("fleet: letting %s return: %w", hostName, err)
		}
		s.away = false
		s.host.out = present
		return nil
	})
}

// Freeze lets a host hang for good, as one does whose kernel has stopped but for TCP: connections stand and are accepted, and nothing is
// answered.
func (f *Fleet) Freeze(hostName string) (HostState, error) {
	const forEver = 100 * 365 * 24 * time.Hour
	return f.command(hostName, func(s *station, at time.Time) error {
		s.host.out, s.host.until = frozen, at.Add(forEver)
		return nil
	})
}

// States is what all hosts are now.
func (f *Fleet) States() []HostState {
	states := make([]HostState, 0, len(f.stations))
	for _, s := range f.stations {
		s.mu.Lock()
		states = append(states, s.host.state())
		s.mu.Unlock()
	}
	return states
}

// commandUnit changes one service.
func (f *Fleet) commandUnit(hostName, unitName string, change func(h *host, u *unit, at time.Time)) (HostState, error) {
	return f.command(hostName, func(s *station, at time.Time) error {
		u := s.host.find(unitName)
		if u == nil || u.kind != service || u.load != "loaded" {
			return fmt.Errorf("fleet: %s has no service %s", hostName, unitName)
		}
		change(s.host, u, at)
		return nil
	})
}

// command changes one host, which then has a new version.
func (f *Fleet) command(hostName string, change func(s *station, at time.Time) error) (HostState, error) {
	for _, s := range f.stations {
		if s.host.name != hostName {
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := change(s, time.Now()); err != nil {
			return HostState{}, err
		}
		s.host.version++
		return s.host.state(), nil
	}
	return HostState{}, fmt.Errorf("fleet: no host %s", hostName)
}

// launchAtOnce starts a service that is up in the same moment.
func (h *host) launchAtOnce(u *unit, at time.Time) {
	h.launch(u, at)
	u.enter(at, subRunning)
	u.step = rest
}

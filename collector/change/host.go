package change

import (
	"maps"
	"strings"

	"service_manager/hosts"
	"service_manager/publish"
)

// compareHost compares all but the units.
func (s *Step) compareHost(p *Poll) {
	before := &s.baseline.state
	if !sameHost(&before.Host, &p.Host) {
		s.Next.Host, s.changed = p.Host, true
	}
	moved := p.Outcome != before.Outcome
	if moved {
		s.Next.Outcome, s.Next.Error, s.changed = p.Outcome, "", true
		if p.Error != nil {
			s.Next.Error = strings.ToValidUTF8(*p.Error, "\uFFFD")
		}
	}
	rebooted := p.Outcome == hosts.OK && s.compareBoot(p)
	if p.Outcome == hosts.OK && (moved || rebooted) {
		s.Next.System = p.System
	}
	if moved && before.Outcome != "" {
		s.tellHost(p, outcomeEvent(p.Outcome), nil)
	}
	if rebooted {
		s.tellHost(p, publish.HostRebooted, hostTime(p.Snapshot.Manager.UserspaceTime))
	}
}

func sameHost(a, b *publish.HostRef) bool {
	return a.Name == b.Name && a.Group == b.Group && a.Address == b.Address && maps.Equal(a.Labels, b.Labels)
}

// compareBoot takes in what the poll knows of the host's boot, and reports whether it is another one than was known. What a host
// does not tell this time stays as it was known, so that a reboot shows when it tells again.
func (s *Step) compareBoot(p *Poll) bool {
	before := &s.baseline.state
	rebooted := false
	if id := p.Snapshot.BootID; id != "" && id != before.BootID {
		rebooted = before.BootID != ""
		s.Next.BootID, s.changed = id, true
	}
	if started := p.Snapshot.Manager.UserspaceTime; started != nil && started.Unix() != before.Userspace {
		rebooted = rebooted || before.Userspace != 0
		s.Next.Userspace, s.changed = started.Unix(), true
	}
	return rebooted
}

func (s *Step) tellHost(p *Poll, event string, happened *publish.HostTime) {
	s.Events = append(s.Events, publish.Event{
		Event:      event,
		Host:       p.Host,
		ObservedAt: publish.Time{Time: p.Observed},
		HappenedAt: happened,
		Before:     s.baseline.state.told(),
		After:      s.Next.told(),
	})
}

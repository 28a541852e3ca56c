package collector

import (
	"time"

	"github.com/google/uuid"

	"service_manager/hosts"
	"service_manager/publish"
)

// pending is what a notice calls the outcome of hosts that have not been polled yet.
const pending = "pending"

// A standing is what the schedule remembers of a host's last conclusion. What the watch itself says belongs at times to the goroutine
// that concludes.
type standing struct {
	outcome hosts.Outcome // Empty before the first.
	read    time.Time     // When the host was last read; zero: never.
}

// notice puts one of the collector's own messages into the outbox.
func (s *schedule) notice(event string) {
	if s.config.Outbox == nil || s.config.Heartbeat <= 0 || s.once {
		return
	}
	now := time.Now()
	n := publish.Notice{
		ID:              uuid.Must(uuid.NewV7()).String(),
		Collector:       s.config.Name,
		Epoch:           s.config.Epoch,
		Time:            publish.Time{Time: now},
		Event:           event,
		Version:         s.config.Version,
		IntervalSeconds: s.config.Heartbeat.Seconds(),
		Hosts:           make(map[string]int),
		Outbox:          s.config.Outbox.Backlog(),
	}
	var oldest time.Time
	for _, w := range s.agenda {
		outcome := pending
		if w.standing.outcome != "" {
			outcome = string(w.standing.outcome)
		}
		n.Hosts[outcome]++
		oldest = earlier(oldest, w.standing.read)
	}
	if !oldest.IsZero() {
		n.OldestDataSeconds = new(milliseconds(now.Sub(oldest)) / 1000)
	}
	s.config.Outbox.PutNotice(n)
}

// beat puts a heartbeat into the outbox when it is time.
func (s *schedule) beat(now time.Time) {
	if s.beatAt.IsZero() || s.beatAt.After(now) {
		return
	}
	s.notice(publish.CollectorHeartbeat)
	s.beatAt = next(now, 0, s.config.Heartbeat)
}

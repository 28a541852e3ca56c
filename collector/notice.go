package collector

import (
	"context"
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

// A Census is what there is to say of all hosts together.
type Census struct {
	Hosts  map[string]int // How many have each outcome; those not polled yet are "pending".
	Oldest time.Time      // When the host was last read whose data is the oldest; zero where no host has been read.
}

// Census counts the hosts while Run is running; else it waits for that, or for ctx to end.
func (c *Collector) Census(ctx context.Context) (Census, error) {
	var taken Census
	err := c.order(ctx, func(_ context.Context, s *schedule) { taken = s.census() })
	return taken, err
}

func (s *schedule) census() Census {
	c := Census{Hosts: make(map[string]int)}
	for _, w := range s.agenda {
		if w.leaves {
			continue
		}
		outcome := pending
		if w.standing.outcome != "" {
			outcome = string(w.standing.outcome)
		}
		c.Hosts[outcome]++
		c.Oldest = earlier(c.Oldest, w.standing.read)
	}
	return c
}

// notice puts one of the collector's own messages into the outbox; reload is nil but for one about a reload.
func (s *schedule) notice(event string, reload *publish.Reload) {
	if s.config.Outbox == nil || s.config.Heartbeat <= 0 || s.once {
		return
	}
	now, census := time.Now(), s.census()
	n := publish.Notice{
		ID:              uuid.Must(uuid.NewV7()).String(),
		Collector:       s.config.Name,
		Epoch:           s.config.Epoch,
		Time:            publish.Time{Time: now},
		Event:           event,
		Version:         s.config.Version,
		IntervalSeconds: s.config.Heartbeat.Seconds(),
		Hosts:           census.Hosts,
		Outbox:          s.config.Outbox.Backlog(),
		Reload:          reload,
	}
	if !census.Oldest.IsZero() {
		n.OldestDataSeconds = new(milliseconds(now.Sub(census.Oldest)) / 1000)
	}
	s.config.Outbox.PutNotice(n)
}

// firstBeat sets when the next heartbeat is due after the start, or when their interval has changed.
func (s *schedule) firstBeat(now time.Time) {
	s.beatAt = time.Time{}
	if s.config.Heartbeat > 0 {
		s.beatAt = next(now, 0, s.config.Heartbeat)
	}
}

// beat puts a heartbeat into the outbox when it is time.
func (s *schedule) beat(now time.Time) {
	if s.beatAt.IsZero() || s.beatAt.After(now) {
		return
	}
	s.notice(publish.CollectorHeartbeat, nil)
	s.beatAt = after(s.beatAt, now, 0, s.config.Heartbeat)
}

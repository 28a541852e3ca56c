package publish

import "fmt"

// What a notice says. More may come; a consumer passes over what it does not know.
const (
	CollectorStarted       = "started"
	CollectorStopping      = "stopping"
	CollectorReloaded      = "reloaded"       // It has read the inventory again, and goes by it.
	CollectorReloadRefused = "reload_refused" // The inventory has mistakes; it goes by the one before.
	CollectorHeartbeat     = "heartbeat"      // Each interval: a collector that is silent for longer is dead.
)

// A Notice is the body of a message that the collector sends about itself, with the routing key collector.NAME.EVENT. Every field is
// always present.
type Notice struct {
	Schema          int     `json:"schema"` // Set by Message.
	Type            string  `json:"type"`   // Set by Message: KindCollector.
	ID              string  `json:"id"`     // A UUIDv7.
	Collector       string  `json:"collector"`
	Epoch           string  `json:"epoch"`
	Time            Time    `json:"time"`
	Event           string  `json:"event"`
	Version         string  `json:"version"`          // The collector program's.
	IntervalSeconds float64 `json:"interval_seconds"` // Of the heartbeat.
	// Hosts counts the hosts of the inventory by outcome; those not polled yet are under "pending".
	Hosts map[string]int `json:"hosts"`
	// OldestDataSeconds is how old the oldest host's data is, null where no host has been read. Hosts never read do not count.
	OldestDataSeconds *float64 `json:"oldest_data_seconds"`
	Outbox            Backlog  `json:"outbox"`
	Reload            *Reload  `json:"reload"` // Null but in CollectorReloaded and CollectorReloadRefused.
}

// A Reload is what came of reading the inventory again.
type Reload struct {
	Added   int     `json:"added"`   // Hosts.
	Changed int     `json:"changed"` // Hosts.
	Removed int     `json:"removed"` // Hosts.
	Error   *string `json:"error"`   // Why it was refused; null where it was not.
}

// A Backlog is what waits for the broker.
type Backlog struct {
	Events      int    `json:"events"` // Events that the broker has not confirmed.
	Bytes       int64  `json:"bytes"`
	OldestEvent *Time  `json:"oldest_event"` // When the oldest of them was observed.
	Full        bool   `json:"full"`         // There is no room for more events.
	Quarantined int    `json:"quarantined"`  // Events set aside because the broker refuses them for good.
	Dropped     uint64 `json:"dropped"`      // Events dropped since the start because no queue was bound for them.
}

// Message encodes the notice, which gets Schema and Type.
func (n Notice) Message() (Message, error) {
	n.Schema, n.Type = Schema, KindCollector
	if n.Hosts == nil {
		n.Hosts = map[string]int{}
	}
	body, err := encode(n)
	if err != nil {
		return Message{}, fmt.Errorf("encoding a notice of the collector: %w", err)
	}
	m := Message{
		Key:       RoutingKey(KindCollector, n.Collector, n.Event),
		ID:        n.ID,
		Type:      KindCollector,
		Collector: n.Collector,
		Event:     n.Event,
		Time:      n.Time.Time,
		Body:      body,
	}
	return m, m.Validate(len(body))
}

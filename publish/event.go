package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// What an event says has happened. More may come; a consumer passes over what it does not know.
const (
	UnitFailed      = "unit.failed"      // It is failed now, and was not, or failed once more.
	UnitRecovered   = "unit.recovered"   // It is not failed any more.
	UnitRestarted   = "unit.restarted"   // It was started anew, by hand or by Restart=.
	UnitChanged     = "unit.changed"     // Any other change, such as started and stopped between two polls.
	UnitMissing     = "unit.missing"     // systemd does not know it any more.
	UnitAppeared    = "unit.appeared"    // systemd knows it now.
	HostUnreachable = "host.unreachable" // It cannot be read, or for another reason than before.
	HostRecovered   = "host.recovered"   // It can be read again.
	HostRebooted    = "host.rebooted"
	HostKeyChanged  = "host.key_changed" // It showed another key than known_hosts has.
	HostRemoved     = "host.removed"     // The inventory does not have it any more: forget it.
	Gap             = "gap"              // Events are missing, or may be: see Event.Gap.
)

// An Event is the body of an event message: one change on one host. Every field is always present.
type Event struct {
	Schema    int    `json:"schema"` // Set by Message.
	Type      string `json:"type"`   // Set by Message: KindEvent.
	ID        string `json:"id"`     // Set by Message: see EventID.
	Collector string `json:"collector"`
	Epoch     string `json:"epoch"` // What Seq counts in. Of two, the greater is the newer.
	// Seq counts the events of the host in the epoch, from 1, without holes: where one is skipped, an event was missed.
	Seq   uint64  `json:"seq"`
	Event string  `json:"event"` // One of the constants, such as UnitFailed.
	Host  HostRef `json:"host"`
	// Unit is what systemd calls the unit, null for an event of the whole host.
	Unit       *string   `json:"unit"`
	ObservedAt Time      `json:"observed_at"` // When the poll ended that showed it.
	HappenedAt *HostTime `json:"happened_at"` // When it happened, where systemd knows.
	// Restarts is how often the unit was started anew at least.
	Restarts int `json:"restarts"`
	// Suppressed is how many polls with changes of the unit were folded into this event, because it changed too often.
	Suppressed int `json:"suppressed"`
	// Before and After are what was last told of the unit or host, and what is so now. Of one unit, an event's Before is always the
	// After of the one before. Both are null in a gap, After also when the host was removed or the unit is no longer listed, and Before
	// in what follows on that.
	Before *EventState `json:"before"`
	After  *EventState `json:"after"`
	Gap    *GapInfo    `json:"gap"` // Null but in a gap.
}

// An EventState is either the state of a unit or that of a host. In JSON it is that object itself.
type EventState struct {
	Unit *UnitState
	Host *HostState
}

// A UnitState is all of a [Unit] whose change makes an event.
type UnitState struct {
	Name             string  `json:"name"`
	LoadState        string  `json:"load_state"`
	ActiveState      string  `json:"active_state"`
	SubState         string  `json:"sub_state"`
	UnitFileState    *string `json:"unit_file_state"`
	Result           *string `json:"result"`
	InvocationID     *string `json:"invocation_id"`
	Restarts         *int    `json:"restarts"`
	ExitCode         *string `json:"exit_code"`
	ExitStatus       *int    `json:"exit_status"`
	NeedDaemonReload *bool   `json:"need_daemon_reload"`
}

// A HostState says whether a host can be read. System is as it was last known.
type HostState struct {
	Outcome string  `json:"outcome"`
	Error   *string `json:"error"`
	System  *System `json:"system"`
}

// Reasons for a gap.
const (
	// GapOutboxFull: the collector had no room for more events. What changed since then is told by the events that follow, from the
	// last state told to the present one; what came and went in between is not. No seq is missing.
	GapOutboxFull = "outbox_full"
	// GapUnroutable: no queue was bound for the events FirstSeq to LastSeq for so long that they were dropped.
	GapUnroutable = "unroutable"
	// GapRefused: the broker took the events FirstSeq to LastSeq for an error, again and again, so that they were set aside.
	GapRefused = "refused"
)

// A GapInfo says what is missing.
type GapInfo struct {
	Reason string `json:"reason"`
	Since  Time   `json:"since"` // When it began.
	// FirstSeq and LastSeq are the first and the last missing event, null where none has had a seq.
	FirstSeq *uint64 `json:"first_seq"`
	LastSeq  *uint64 `json:"last_seq"`
}

// MarshalJSON implements [json.Marshaler].
func (s EventState) MarshalJSON() ([]byte, error) {
	if s.Unit != nil {
		return encode(s.Unit)
	}
	return encode(s.Host)
}

// UnmarshalJSON implements [json.Unmarshaler]. A host's state is told by its outcome, which no unit has.
func (s *EventState) UnmarshalJSON(data []byte) error {
	var host struct {
		Outcome *string `json:"outcome"`
	}
	if err := json.Unmarshal(data, &host); err != nil {
		return err
	}
	*s = EventState{}
	if host.Outcome != nil {
		return json.Unmarshal(data, &s.Host)
	}
	return json.Unmarshal(data, &s.Unit)
}

// EventID is the id of an event: a UUIDv5 of what tells it from every other, so that an event that is sent again, even by a collector
// that was started anew, has the same.
func EventID(collector, epoch, host string, seq uint64) string {
	// The namespace is a random UUID that stands for this use of UUIDs (RFC 9562, section 5.5).
	namespace := uuid.UUID{0x5d, 0x1c, 0x2b, 0x7e, 0x0a, 0x43, 0x4f, 0x6e, 0x9d, 0x58, 0x31, 0x7a, 0xc4, 0x0e, 0x92, 0xb6}
	var name bytes.Buffer
	for _, part := range []string{collector, epoch, host} {
		name.WriteString(part)
		name.WriteByte(0) // Of which no name has one.
	}
	name.WriteString(strconv.FormatUint(seq, 10))
	return uuid.NewSHA1(namespace, name.Bytes()).String()
}

// Message encodes the event, which gets Schema, Type, ID and empty instead of null labels. It is mandatory: the broker returns it where
// no queue is bound for it. The error is of an event that can never be sent, see [Message.Validate].
func (e Event) Message() (Message, error) {
	e.Schema, e.Type = Schema, KindEvent
	e.ID = EventID(e.Collector, e.Epoch, e.Host.Name, e.Seq)
	if e.Host.Labels == nil {
		e.Host.Labels = map[string]string{}
	}
	body, err := encode(e)
	if err != nil {
		return Message{}, fmt.Errorf("encoding an event of host %q: %w", e.Host.Name, err)
	}
	m := Message{
		Key:       RoutingKey(KindEvent, e.Host.Group, e.Host.Name),
		ID:        e.ID,
		Type:      KindEvent,
		Host:      e.Host.Name,
		Group:     e.Host.Group,
		Collector: e.Collector,
		Event:     e.Event,
		Seq:       e.Seq,
		Time:      e.ObservedAt.Time,
		Mandatory: true,
		Body:      body,
	}
	if e.Unit != nil {
		m.Unit = *e.Unit
	}
	if e.After != nil {
		m.Outcome = e.After.outcome()
	}
	return m, m.Validate(len(body))
}

// outcome is the host's. A unit is only ever told of when its host could be read.
func (s EventState) outcome() string {
	if s.Host != nil {
		return s.Host.Outcome
	}
	return "ok"
}

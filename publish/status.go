package publish

import (
	"fmt"
	"time"
)

// Schema is the version of the message bodies. It rises when a change would break a consumer; a new field does not.
const Schema = 1

// A Status is the body of a status message: all that is known of one host after one poll. Every field is always present; what
// the host does not have or did not tell is null (a nil pointer), never a zero or a guess.
type Status struct {
	Schema    int    `json:"schema"` // Set by Message.
	Type      string `json:"type"`   // Set by Message: KindStatus.
	ID        string `json:"id"`     // A UUIDv7.
	Collector string `json:"collector"`
	// Epoch names the state file that EventSeq counts in. Of two, the greater is the newer.
	Epoch string  `json:"epoch"`
	Host  HostRef `json:"host"`
	Time  Time    `json:"time"` // When the poll ended.
	// IntervalSeconds is when to expect the next one. It is longer than in the inventory while the host cannot answer within that.
	IntervalSeconds float64 `json:"interval_seconds"`
	// EventSeq is the seq of the host's last event that the broker had confirmed, 0 if there was none in this epoch.
	EventSeq uint64 `json:"event_seq"`
	Outcome  string `json:"outcome"` // "ok", or why the host could not be read.
	// Error says for people what happened, since when; null when Outcome is "ok".
	Error *string `json:"error"`
	// StaleSince is set when System and Units are not of this poll: they are the last known ones, of that time.
	StaleSince *Time   `json:"stale_since"`
	System     *System `json:"system"` // Null for a host never read.
	Units      []Unit  `json:"units"`  // Empty, never null, for a host never read or without units.
	Poll       Poll    `json:"poll"`
}

// HostRef names a host as the inventory has it.
type HostRef struct {
	Name    string            `json:"name"`
	Group   string            `json:"group"`
	Address string            `json:"address"`
	Labels  map[string]string `json:"labels"` // Empty, never null.
}

// System is what the host's service manager says of itself.
type System struct {
	State       *string `json:"state"`        // As systemctl is-system-running: "running", "degraded" and so on.
	Systemd     *string `json:"systemd"`      // Version, as "252".
	FailedUnits *int    `json:"failed_units"` // Of all units, also those not watched.
	QueuedJobs  *int    `json:"queued_jobs"`
	BootID      *string `json:"boot_id"`
}

// Unit is one watched unit, its states as systemd prints them, also ones that no one has heard of yet. Of a unit that is not loaded
// only name, description and states are set.
type Unit struct {
	Name string `json:"name"` // What systemd calls it.
	// RequestedAs is the name in the inventory where that is an alias of Name.
	RequestedAs   *string `json:"requested_as"`
	Description   *string `json:"description"`
	LoadState     string  `json:"load_state"`
	ActiveState   string  `json:"active_state"`
	SubState      string  `json:"sub_state"`
	UnitFileState *string `json:"unit_file_state"`
	Result        *string `json:"result"`
	// Since is when the unit became active or, if it is not, inactive.
	Since            *HostTime `json:"since"`
	InvocationID     *string   `json:"invocation_id"`
	Restarts         *int      `json:"restarts"` // Automatic restarts (NRestarts).
	MainPID          *int      `json:"main_pid"`
	ExitCode         *string   `json:"exit_code"`   // How the main process ended: "exited", "killed", "dumped".
	ExitStatus       *int      `json:"exit_status"` // Its exit status or signal number.
	MemoryBytes      *uint64   `json:"memory_bytes"`
	CPUSeconds       *float64  `json:"cpu_seconds"`
	Tasks            *uint64   `json:"tasks"`
	StatusText       *string   `json:"status_text"` // What the service says of itself by sd_notify(3).
	NeedDaemonReload *bool     `json:"need_daemon_reload"`
	NextElapse       *HostTime `json:"next_elapse"`  // Timers: when next.
	LastTrigger      *HostTime `json:"last_trigger"` // Timers: when last.
}

// Poll is how the poll went.
type Poll struct {
	DurationMS float64 `json:"duration_ms"` // Work on the host, without what it waited.
	DialMS     float64 `json:"dial_ms"`     // What of DurationMS went into connecting; 0 on a standing connection.
	QueuedMS   float64 `json:"queued_ms"`   // How long the poll waited for its turn after it was due.
}

// How moments are written in JSON.
const (
	timeLayout     = `"2006-01-02T15:04:05.000Z07:00"`
	hostTimeLayout = `"2006-01-02T15:04:05Z07:00"`
)

// Time is a moment by the collector's clock. In JSON it is RFC 3339 in UTC with milliseconds, always three digits, so that times also
// sort as text.
type Time struct{ time.Time }

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, timeLayout), nil
}

// HostTime is a moment by the host's clock. In JSON it is RFC 3339 in UTC with whole seconds.
type HostTime struct{ time.Time }

// MarshalJSON implements [json.Marshaler].
func (t HostTime) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, hostTimeLayout), nil
}

// Message encodes the status, which gets Schema, Type and empty instead of null lists. The error is of a status that can never be
// sent: a name too long, or no id. The length of the body is left to the one who knows the limit, see Message.Validate.
func (s Status) Message() (Message, error) {
	s.Schema, s.Type = Schema, KindStatus
	if s.Host.Labels == nil {
		s.Host.Labels = map[string]string{}
	}
	if s.Units == nil {
		s.Units = []Unit{}
	}
	body, err := s.encode()
	if err != nil {
		return Message{}, fmt.Errorf("encoding the status of host %q: %w", s.Host.Name, err)
	}
	m := Message{
		Key:       RoutingKey(KindStatus, s.Host.Group, s.Host.Name),
		ID:        s.ID,
		Type:      KindStatus,
		Host:      s.Host.Name,
		Group:     s.Host.Group,
		Collector: s.Collector,
		Outcome:   s.Outcome,
		Time:      s.Time.Time,
		Body:      body,
	}
	return m, m.Validate(len(body))
}

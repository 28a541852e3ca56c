package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// encode returns v as JSON on one line, with <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encode returns the same as encode(s). There is a status for each poll, and most polls have nothing else to tell: with 10,000 hosts reflection and
// growing buffers took a twelfth of the collector's CPU time, and left a fifth of its garbage. What is not plain is left to encoding/json.
func (s Status) encode() ([]byte, error) {
	const status, unit = 512, 512 // Presumed bytes.
	j := text{make([]byte, 0, status+unit*len(s.Units)), nil}
	j.field(`{"schema":`).integer(s.Schema)
	j.field(`,"type":`).word(s.Type)
	j.field(`,"id":`).word(s.ID)
	j.field(`,"collector":`).word(s.Collector)
	j.field(`,"epoch":`).word(s.Epoch)
	j.field(`,"host":`).host(&s.Host)
	j.field(`,"time":`).time(s.Time.Time, timeLayout)
	j.field(`,"interval_seconds":`).number(s.IntervalSeconds)
	j.field(`,"event_seq":`).count(s.EventSeq)
	j.field(`,"outcome":`).word(s.Outcome)
	optional(j.field(`,"error":`), s.Error, (*text).word)
	optional(j.field(`,"stale_since":`), s.StaleSince, func(j *text, t Time) { j.time(t.Time, timeLayout) })
	optional(j.field(`,"system":`), s.System, (*text).system)
	j.field(`,"units":`)
	if s.Units == nil {
		j.field("null")
	} else {
		j.units(s.Units)
	}
	j.field(`,"poll":{"duration_ms":`).number(s.Poll.DurationMS)
	j.field(`,"dial_ms":`).number(s.Poll.DialMS)
	j.field(`,"queued_ms":`).number(s.Poll.QueuedMS)
	j.field(`}}`)
	return j.json, j.err
}

// A text is JSON that is being written.
type text struct {
	json []byte
	err  error // the first one
}

// field writes what stands before a value.
func (j *text) field(name string) *text {
	j.json = append(j.json, name...)
	return j
}

// optional writes a value or null.
func optional[T any](j *text, value *T, write func(*text, T)) {
	if value == nil {
		j.field("null")
		return
	}
	write(j, *value)
}

func (j *text) integer(n int)   { j.json = strconv.AppendInt(j.json, int64(n), 10) }
func (j *text) count(n uint64)  { j.json = strconv.AppendUint(j.json, n, 10) }
func (j *text) boolean(is bool) { j.json = strconv.AppendBool(j.json, is) }

func (j *text) time(t time.Time, layout string) { j.json = t.UTC().AppendFormat(j.json, layout) }

func (j *text) hostTime(t HostTime) { j.time(t.Time, hostTimeLayout) }

// number writes those as encoding/json does that need no exponent.
func (j *text) number(n float64) {
	if size := math.Abs(n); n != 0 && size < 1e-6 || !(size < 1e21) {
		j.other(n)
		return
	}
	j.json = strconv.AppendFloat(j.json, n, 'f', -1, 64)
}

func (j *text) word(word string) {
	for _, char := range []byte(word) {
		if char < ' ' || char > '~' || char == '"' || char == '\\' {
			j.other(word)
			return
		}
	}
	j.json = append(append(append(j.json, '"'), word...), '"')
}

// other writes a value that is not plain.
func (j *text) other(value any) {
	written, err := encode(value)
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("%v: %w", value, err)
	}
	j.json = append(j.json, written...)
}

func (j *text) host(h *HostRef) {
	j.field(`{"name":`).word(h.Name)
	j.field(`,"group":`).word(h.Group)
	j.field(`,"address":`).word(h.Address)
	j.field(`,"labels":`)
	if h.Labels == nil {
		j.field("null}")
		return
	}
	before := "{"
	for _, name := range slices.Sorted(maps.Keys(h.Labels)) {
		j.field(before).word(name)
		j.field(":").word(h.Labels[name])
		before = ","
	}
	if len(h.Labels) == 0 {
		j.field("{")
	}
	j.field("}}")
}

func (j *text) system(s System) {
	optional(j.field(`{"state":`), s.State, (*text).word)
	optional(j.field(`,"systemd":`), s.Systemd, (*text).word)
	optional(j.field(`,"failed_units":`), s.FailedUnits, (*text).integer)
	optional(j.field(`,"queued_jobs":`), s.QueuedJobs, (*text).integer)
	optional(j.field(`,"boot_id":`), s.BootID, (*text).word)
	j.field("}")
}

func (j *text) units(units []Unit) {
	j.field("[")
	for i := range units {
		if i > 0 {
			j.field(",")
		}
		j.unit(&units[i])
	}
	j.field("]")
}

func (j *text) unit(u *Unit) {
	j.field(`{"name":`).word(u.Name)
	optional(j.field(`,"requested_as":`), u.RequestedAs, (*text).word)
	optional(j.field(`,"description":`), u.Description, (*text).word)
	j.field(`,"load_state":`).word(u.LoadState)
	j.field(`,"active_state":`).word(u.ActiveState)
	j.field(`,"sub_state":`).word(u.SubState)
	optional(j.field(`,"unit_file_state":`), u.UnitFileState, (*text).word)
	optional(j.field(`,"result":`), u.Result, (*text).word)
	optional(j.field(`,"since":`), u.Since, (*text).hostTime)
	optional(j.field(`,"invocation_id":`), u.InvocationID, (*text).word)
	optional(j.field(`,"restarts":`), u.Restarts, (*text).integer)
	optional(j.field(`,"main_pid":`), u.MainPID, (*text).integer)
	optional(j.field(`,"exit_code":`), u.ExitCode, (*text).word)
	optional(j.field(`,"exit_status":`), u.ExitStatus, (*text).integer)
	optional(j.field(`,"memory_bytes":`), u.MemoryBytes, (*text).count)
	optional(j.field(`,"cpu_seconds":`), u.CPUSeconds, (*text).number)
	optional(j.field(`,"tasks":`), u.Tasks, (*text).count)
	optional(j.field(`,"status_text":`), u.StatusText, (*text).word)
	optional(j.field(`,"need_daemon_reload":`), u.NeedDaemonReload, (*text).boolean)
	optional(j.field(`,"next_elapse":`), u.NextElapse, (*text).hostTime)
	optional(j.field(`,"last_trigger":`), u.LastTrigger, (*text).hostTime)
	j.field("}")
}

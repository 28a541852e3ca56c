package systemctl

import (
	"bytes"
	"fmt"
	"time"
)

// hidesNewlines is the first systemd version that prints "[unprintable]" for a string with a newline in it. Before, the
// lines of such a value look like properties and records of their own.
const hidesNewlines = 234

// A record holds what one unit printed: nil where it printed nothing.
type record [unitPropertyCount][]byte

// A reading is an answer's units, as far as they were read.
type reading struct {
	last    []Unit // of the answer before
	manager Manager
	prints  [unitPropertyCount]unitType // which types have to print a property
	units   []Unit
	usages  []usage // of units, in one piece of memory: they change from answer to answer
}

// A usage is what a unit uses.
type usage struct {
	memory, tasks uint64
	cpu           float64
}

func (q Query) reading(manager Manager) *reading {
	n := len(q.Units)
	r := &reading{last: q.Before.Units, manager: manager, units: make([]Unit, n), usages: make([]usage, n)}
	version := manager.VersionNumber
	for property, of := range unitProperties() {
		if version == 0 || version >= hidesNewlines || of.since <= max(version, oldestKnown) {
			r.prints[property] = q.asked(of)
		}
	}
	return r
}

// before is what the unit at that place was like, the zero Unit if there is none.
func (r *reading) before(at int) *Unit {
	if at < len(r.last) {
		return &r.last[at]
	}
	return &Unit{}
}

// group reads the records of one group into their places in units. They are separated by one empty line, and
// come in the order of the names in the command.
func (r *reading) group(content []byte, group *unitGroup) error {
	content = bytes.TrimSuffix(content, []byte("\n"))
	var values record
	count := 0
	for block := range bytes.SplitSeq(content, []byte("\n\n")) {
		if len(content) == 0 {
			break
		}
		if count == len(group.units) {
			return fmt.Errorf("unit %q: %w: more records than units behind it", group.units[count-1], ErrProtocol)
		}
		asked := group.units[count]
		if err := r.record(block, asked, &values); err != nil {
			return err
		}
		if err := r.unit(group.place(count), asked, &values); err != nil {
			return err
		}
		count++
	}
	if count < len(group.units) {
		return fmt.Errorf("unit %q: %w: its record is missing (%d of %d came)",
			group.units[count], ErrProtocol, count, len(group.units))
	}
	return nil
}

// record sets values to the properties in the lines of one record. A line counts only if it is one that this unit
// has to print, so that there can be just one; what else looks like a property is text within a value.
func (r *reading) record(block []byte, asked string, values *record) error {
	*values = record{}
	is := unitTypeOf(asked)
	for line := range bytes.SplitSeq(block, []byte("\n")) {
		key, value, _ := bytes.Cut(line, []byte("="))
		property, known := unitPropertyOf(key)
		if !known || value == nil || r.prints[property]&is == 0 {
			continue
		}
		if values[property] != nil {
			return fmt.Errorf("unit %q: %w: %s is there twice", asked, ErrProtocol, key)
		}
		values[property] = value
	}
	return nil
}

// unit makes the unit at that place of the record that came for the one asked for, if it is that unit's.
func (r *reading) unit(at int, asked string, values *record) error {
	before, unit := r.before(at), &r.units[at]
	*unit = Unit{
		Name:             asked,
		Description:      sharedText(before.Description, values[propDescription]),
		LoadState:        sharedText(before.LoadState, values[propLoadState]),
		ActiveState:      sharedText(before.ActiveState, values[propActiveState]),
		SubState:         sharedText(before.SubState, values[propSubState]),
		UnitFileState:    sharedText(before.UnitFileState, values[propUnitFileState]),
		StateChange:      sharedTimestamp(before.StateChange, values[propStateChange]),
		InvocationID:     sharedText(before.InvocationID, values[propInvocationID]),
		StatusText:       sharedText(before.StatusText, values[propStatusText]),
		NeedDaemonReload: sharedBool(before.NeedDaemonReload, values[propNeedDaemonReload]),
		LastTrigger:      sharedTimerPoint(before.LastTrigger, values[propLastTrigger]),
	}
	if unit.LoadState == "" || unit.ActiveState == "" || unit.SubState == "" { // Every systemd has all three of every unit.
		return fmt.Errorf("unit %q: %w: its record has no LoadState, ActiveState or SubState", asked, ErrProtocol)
	}
	if id := values[propID]; string(id) != asked {
		if CheckUnitName(string(id)) != nil || !namesInclude(values[propNames], asked) {
			return fmt.Errorf("unit %q: %w: a record of %q came in its place", asked, ErrProtocol, id)
		}
		unit.Name, unit.RequestedAs = sharedText(before.Name, id), asked
	}
	unit.Since = sharedTimestamp(before.Since, values[sinceProperty(unit.ActiveState)])
	next, elapses := nextElapse(values, r.manager)
	unit.NextElapse = sharedTime(before.NextElapse, next, elapses)
	if unit.LoadState == "loaded" {
		unit.setNumbers(values, before, &r.usages[at])
	}
	return nil
}

// sinceProperty is the timestamp that `systemctl status` shows (print_status_info in systemd's
// src/systemctl/systemctl-show.c).
func sinceProperty(activeState string) unitProperty {
	switch activeState {
	case "active", "reloading", "refreshing":
		return propActiveEnter
	case "inactive", "failed":
		return propInactiveEnter
	case "activating":
		return propInactiveExit
	}
	return propActiveExit
}

// nextElapse is when a timer elapses next: by the calendar, or by the monotonic clock, whichever is earlier.
func nextElapse(values *record, manager Manager) (next time.Time, ok bool) {
	next, ok = parseTimerPoint(values[propNextRealtime])
	span := parseTimespan(values[propNextMonotonic])
	boot, known := manager.bootTime()
	if span <= 0 || !known {
		return next, ok
	}
	if monotonic := boot.Add(span).Round(time.Second); !ok || monotonic.Before(next) {
		return monotonic, true
	}
	return next, true
}

// setNumbers fills in what means something only for a unit that is loaded.
func (u *Unit) setNumbers(values *record, before *Unit, now *usage) {
	u.Result = sharedText(before.Result, values[propResult])
	u.Restarts = sharedInt(before.Restarts, values[propRestarts])
	if pid := sharedInt(before.MainPID, values[propMainPID]); pid != nil && *pid != 0 {
		u.MainPID = pid
	}
	if u.ExitCode = exitCodeWord(values[propExitCode]); u.ExitCode != "" {
		u.ExitStatus = sharedInt(before.ExitStatus, values[propExitStatus])
	}
	if memory, ok := parseCount(values[propMemory]); ok {
		now.memory, u.MemoryBytes = memory, &now.memory
	}
	if nanoseconds, ok := parseCount(values[propCPU]); ok {
		now.cpu, u.CPUSeconds = float64(nanoseconds)/float64(time.Second), &now.cpu
	}
	if tasks, ok := parseCount(values[propTasks]); ok {
		now.tasks, u.Tasks = tasks, &now.tasks
	}
}

// exitCodeWord names how a process ended. The number is one of CLD_EXITED, CLD_KILLED and CLD_DUMPED of sigaction(2); 0
// means that none has ended.
func exitCodeWord(value []byte) string {
	switch string(value) {
	case "1":
		return "exited"
	case "2":
		return "killed"
	case "3":
		return "dumped"
	}
	return ""
}

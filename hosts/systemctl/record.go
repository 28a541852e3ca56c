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

// parseUnits reads the records of one group into their places in units. They are separated by one empty line, and
// come in the order of the names in the command.
func (q Query) parseUnits(content []byte, group unitGroup, manager Manager, units []Unit) error {
	content = bytes.TrimSuffix(content, []byte("\n"))
	var values record
	count := 0
	for block := range bytes.SplitSeq(content, []byte("\n\n")) {
		if len(content) == 0 {
			break
		}
		if count == len(group.Units) {
			return fmt.Errorf("unit %q: %w: more records than units behind it", group.Units[count-1], ErrProtocol)
		}
		asked := group.Units[count]
		err := q.parseRecord(block, asked, manager.VersionNumber, &values)
		if err != nil {
			return err
		}
		if units[group.at[count]], err = newUnit(asked, &values, manager); err != nil {
			return err
		}
		count++
	}
	if count < len(group.Units) {
		return fmt.Errorf("unit %q: %w: its record is missing (%d of %d came)",
			group.Units[count], ErrProtocol, count, len(group.Units))
	}
	return nil
}

// parseRecord sets values to the properties in the lines of one record. A line counts only if it is one that this unit
// has to print, so that there can be just one; what else looks like a property is text within a value.
func (q Query) parseRecord(block []byte, asked string, version int, values *record) error {
	*values = record{}
	properties, is := unitProperties(), unitTypeOf(asked)
	for line := range bytes.SplitSeq(block, []byte("\n")) {
		key, value, _ := bytes.Cut(line, []byte("="))
		property, known := unitPropertyOf(key)
		if !known || value == nil || !q.asks(is, properties[property].types, properties[property].since) {
			continue
		}
		if version != 0 && version < hidesNewlines && max(version, oldestKnown) < properties[property].since {
			continue
		}
		if values[property] != nil {
			return fmt.Errorf("unit %q: %w: %s is there twice", asked, ErrProtocol, key)
		}
		values[property] = value
	}
	return nil
}

// newUnit makes a Unit of the record that came in the place of the unit asked for, if it is that unit's.
func newUnit(asked string, values *record, manager Manager) (Unit, error) {
	unit := Unit{
		Name:             asked,
		Description:      string(values[propDescription]),
		LoadState:        word(values[propLoadState]),
		ActiveState:      word(values[propActiveState]),
		SubState:         word(values[propSubState]),
		UnitFileState:    word(values[propUnitFileState]),
		StateChange:      parseTimestamp(values[propStateChange]),
		InvocationID:     string(values[propInvocationID]),
		StatusText:       string(values[propStatusText]),
		NeedDaemonReload: parseBool(values[propNeedDaemonReload]),
		LastTrigger:      parseTimerPoint(values[propLastTrigger]),
	}
	if unit.LoadState == "" || unit.ActiveState == "" || unit.SubState == "" { // Every systemd has all three of every unit.
		return Unit{}, fmt.Errorf("unit %q: %w: its record has no LoadState, ActiveState or SubState", asked, ErrProtocol)
	}
	if id := string(values[propID]); id != asked {
		if CheckUnitName(id) != nil || !namesInclude(values[propNames], asked) {
			return Unit{}, fmt.Errorf("unit %q: %w: a record of %q came in its place", asked, ErrProtocol, id)
		}
		unit.Name, unit.RequestedAs = id, asked
	}
	unit.Since = parseTimestamp(values[sinceProperty(unit.ActiveState)])
	unit.NextElapse = nextElapse(values, manager)
	if unit.LoadState == "loaded" {
		unit.setNumbers(values)
	}
	return unit, nil
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
func nextElapse(values *record, manager Manager) *time.Time {
	next := parseTimerPoint(values[propNextRealtime])
	span := parseTimespan(values[propNextMonotonic])
	boot, ok := manager.bootTime()
	if span <= 0 || !ok {
		return next
	}
	if monotonic := boot.Add(span).Round(time.Second); next == nil || monotonic.Before(*next) {
		return &monotonic
	}
	return next
}

// setNumbers fills in what means something only for a unit that is loaded.
func (u *Unit) setNumbers(values *record) {
	u.Result = word(values[propResult])
	u.Restarts = parseInt(values[propRestarts])
	if pid := parseInt(values[propMainPID]); pid != nil && *pid != 0 {
		u.MainPID = pid
	}
	if u.ExitCode = exitCodeWord(values[propExitCode]); u.ExitCode != "" {
		u.ExitStatus = parseInt(values[propExitStatus])
	}
	u.MemoryBytes = parseCount(values[propMemory])
	if nanoseconds := parseCount(values[propCPU]); nanoseconds != nil {
		u.CPUSeconds = new(float64(*nanoseconds) / float64(time.Second))
	}
	u.Tasks = parseCount(values[propTasks])
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

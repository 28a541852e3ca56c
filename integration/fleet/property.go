package fleet

import (
	"slices"
	"strings"
)

// A property is one that systemd tells of a unit. Their order is that of D-Bus replies from systemd 247 to 257, as in
// hosts/systemctl/testdata/captures: what belongs to the unit's type first, what all units have last.
type property uint8

const (
	mainPID property = iota
	statusText
	nextElapseRealtime
	nextElapseMonotonic
	lastTriggerTime
	result
	nRestarts
	execMainCode
	execMainStatus
	memoryCurrent
	cpuUsage
	tasksCurrent
	id
	names
	description
	loadState
	activeStateName
	subState
	unitFileState
	stateChangeTime
	inactiveExitTime
	activeEnterTime
	activeExitTime
	inactiveEnterTime
	needDaemonReload
	invocationID

	propertyCount
)

// String is the property's name.
func (p property) String() string {
	return [propertyCount]string{
		"MainPID", "StatusText", "NextElapseUSecRealtime", "NextElapseUSecMonotonic", "LastTriggerUSec", "Result", "NRestarts",
		"ExecMainCode", "ExecMainStatus", "MemoryCurrent", "CPUUsageNSec", "TasksCurrent", "Id", "Names", "Description",
		"LoadState", "ActiveState", "SubState", "UnitFileState", "StateChangeTimestamp", "InactiveExitTimestamp",
		"ActiveEnterTimestamp", "ActiveExitTimestamp", "InactiveEnterTimestamp", "NeedDaemonReload", "InvocationID",
	}[p]
}

// isOf says whether a unit of that name has the property.
func (p property) isOf(unit string) bool {
	suffix := unit[strings.LastIndexByte(unit, '.')+1:]
	switch p {
	case mainPID, statusText, nRestarts, execMainCode, execMainStatus:
		return suffix == "service"
	case nextElapseRealtime, nextElapseMonotonic, lastTriggerTime:
		return suffix == "timer"
	case result:
		return suffix != "target" && suffix != "slice" && suffix != "device"
	case memoryCurrent, cpuUsage, tasksCurrent:
		switch suffix {
		case "service", "socket", "mount", "swap", "slice", "scope":
			return true
		}
		return false
	default:
		return true
	}
}

// properties is a set of them.
type properties uint32

func (s properties) has(p property) bool { return s&(1<<p) != 0 }

// propertiesNamed leaves out the names that no simulated host knows, as systemctl does.
func propertiesNamed(names []string) properties {
	var s properties
	for p := range propertyCount {
		if slices.Contains(names, p.String()) {
			s |= 1 << p
		}
	}
	return s
}

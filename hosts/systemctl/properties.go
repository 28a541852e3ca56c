package systemctl

import "strings"

// silentAbort is the first systemd version that skips a property which a unit does not have. Before, systemctl stops
// there with exit status 1 and no message (systemd#5118; RHEL 7, upstream 231 and 232).
const silentAbort = 233

// oldestKnown stands for this version of systemd and every older one.
const oldestKnown = 219

// A unitType is a set of unit types; that of one unit has one bit.
type unitType uint16

const (
	service unitType = 1 << iota
	socket
	target
	device
	mount
	automount
	swap
	timer
	path
	slice
	scope

	everyType  = service | socket | target | device | mount | automount | swap | timer | path | slice | scope
	withCgroup = service | socket | mount | swap | slice | scope
	withResult = service | socket | mount | automount | swap | timer | path | scope
)

// unitTypeOf returns the type that the suffix of name says, 0 for none. The types snapshot and busname, which went away
// in 228 and 235, are not watched.
func unitTypeOf(name string) unitType {
	switch name[max(0, strings.LastIndexByte(name, '.')):] {
	case ".service":
		return service
	case ".socket":
		return socket
	case ".target":
		return target
	case ".device":
		return device
	case ".mount":
		return mount
	case ".automount":
		return automount
	case ".swap":
		return swap
	case ".timer":
		return timer
	case ".path":
		return path
	case ".slice":
		return slice
	case ".scope":
		return scope
	}
	return 0
}

// A unitProperty is a property of units that is asked for; it indexes unitProperties and record.
type unitProperty int

const (
	propID unitProperty = iota
	propNames
	propDescription
	propLoadState
	propActiveState
	propSubState
	propUnitFileState
	propActiveEnter
	propActiveExit
	propInactiveEnter
	propInactiveExit
	propNeedDaemonReload
	propStateChange
	propInvocationID
	propResult
	propMemory
	propCPU
	propTasks
	propMainPID
	propExitCode
	propExitStatus
	propStatusText
	propRestarts
	propNextRealtime
	propNextMonotonic
	propLastTrigger

	unitPropertyCount
)

// A propertyOf says what a property is one of.
type propertyOf struct {
	name  string
	since int
	types unitType
}

// unitProperties says of each property how systemd calls it, which unit types have it, and since which version (oldestKnown at
// the least). Extracted from the D-Bus tables in systemd's src/core/dbus-*.c. Never among them: Exec*,
// Environment and Conditions, whose values may hold secrets and raw newlines (systemd#40079).
func unitProperties() [unitPropertyCount]propertyOf {
	return [unitPropertyCount]propertyOf{
		propID:               {"Id", 219, everyType},
		propNames:            {"Names", 219, everyType},
		propDescription:      {"Description", 219, everyType},
		propLoadState:        {"LoadState", 219, everyType},
		propActiveState:      {"ActiveState", 219, everyType},
		propSubState:         {"SubState", 219, everyType},
		propUnitFileState:    {"UnitFileState", 219, everyType},
		propActiveEnter:      {"ActiveEnterTimestamp", 219, everyType},
		propActiveExit:       {"ActiveExitTimestamp", 219, everyType},
		propInactiveEnter:    {"InactiveEnterTimestamp", 219, everyType},
		propInactiveExit:     {"InactiveExitTimestamp", 219, everyType},
		propNeedDaemonReload: {"NeedDaemonReload", 219, everyType},
		propStateChange:      {"StateChangeTimestamp", 229, everyType},
		propInvocationID:     {"InvocationID", 232, everyType},
		propResult:           {"Result", 219, withResult},
		propMemory:           {"MemoryCurrent", 219, withCgroup},
		propCPU:              {"CPUUsageNSec", 220, withCgroup},
		propTasks:            {"TasksCurrent", 227, withCgroup},
		propMainPID:          {"MainPID", 219, service},
		propExitCode:         {"ExecMainCode", 219, service},
		propExitStatus:       {"ExecMainStatus", 219, service},
		propStatusText:       {"StatusText", 219, service},
		propRestarts:         {"NRestarts", 235, service},
		propNextRealtime:     {"NextElapseUSecRealtime", 219, timer},
		propNextMonotonic:    {"NextElapseUSecMonotonic", 219, timer},
		propLastTrigger:      {"LastTriggerUSec", 219, timer},
	}
}

// unitPropertyOf finds a property by the name that systemd gives it.
func unitPropertyOf(key []byte) (unitProperty, bool) {
	switch string(key) {
	case "Id":
		return propID, true
	case "Names":
		return propNames, true
	case "Description":
		return propDescription, true
	case "LoadState":
		return propLoadState, true
	case "ActiveState":
		return propActiveState, true
	case "SubState":
		return propSubState, true
	case "UnitFileState":
		return propUnitFileState, true
	case "ActiveEnterTimestamp":
		return propActiveEnter, true
	case "ActiveExitTimestamp":
		return propActiveExit, true
	case "InactiveEnterTimestamp":
		return propInactiveEnter, true
	case "InactiveExitTimestamp":
		return propInactiveExit, true
	case "NeedDaemonReload":
		return propNeedDaemonReload, true
	case "StateChangeTimestamp":
		return propStateChange, true
	case "InvocationID":
		return propInvocationID, true
	case "Result":
		return propResult, true
	case "MemoryCurrent":
		return propMemory, true
	case "CPUUsageNSec":
		return propCPU, true
	case "TasksCurrent":
		return propTasks, true
	case "MainPID":
		return propMainPID, true
	case "ExecMainCode":
		return propExitCode, true
	case "ExecMainStatus":
		return propExitStatus, true
	case "StatusText":
		return propStatusText, true
	case "NRestarts":
		return propRestarts, true
	case "NextElapseUSecRealtime":
		return propNextRealtime, true
	case "NextElapseUSecMonotonic":
		return propNextMonotonic, true
	case "LastTriggerUSec":
		return propLastTrigger, true
	}
	return 0, false
}

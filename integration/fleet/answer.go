package fleet

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"service_manager/hosts/systemctl"
)

// answer appends what the command of request prints on the host at that moment.
func (h *host) answer(out []byte, request systemctl.Request, now time.Time) []byte {
	if h.steady {
		now = h.start
	}
	section := func(name string, content func([]byte) []byte) {
		out = append(out, systemctl.BeginMarker(request.Nonce, name)...)
		out = content(out)
		out = append(out, systemctl.EndMarker(request.Nonce, name, 0)...)
	}
	if request.Globs != nil {
		patterns := append([]string{"shutdown.target"}, request.Globs...) // As the script has it.
		section(systemctl.SectionLoaded, func(out []byte) []byte { return h.appendLoaded(out, patterns) })
		section(systemctl.SectionInstalled, func(out []byte) []byte { return h.appendInstalled(out, patterns) })
		return out
	}
	section(systemctl.SectionManager, func(out []byte) []byte {
		return h.appendManager(out, request.ManagerProperties, now)
	})
	section(systemctl.SectionBoot, func(out []byte) []byte {
		return append(append(out, h.bootID...), '\n')
	})
	for _, group := range request.Groups {
		section(systemctl.SectionUnits, func(out []byte) []byte {
			return h.appendUnits(out, group, now)
		})
	}
	return out
}

// appendManager prints the manager's properties in the order of D-Bus, which is not that of the request.
func (h *host) appendManager(out []byte, requested []string, now time.Time) []byte {
	for _, name := range [...]string{
		"Version", "UserspaceTimestamp", "UserspaceTimestampMonotonic", "NFailedUnits", "NJobs", "SystemState",
	} {
		if !slices.Contains(requested, name) {
			continue
		}
		out = append(append(out, name...), '=')
		switch name {
		case "Version":
			out = append(out, h.systemd...)
		case "UserspaceTimestamp":
			out = appendTimestamp(out, h.userspace())
		case "UserspaceTimestampMonotonic":
			out = strconv.AppendInt(out, h.userspace().Sub(h.booted).Microseconds(), 10)
		case "NFailedUnits":
			out = strconv.AppendInt(out, int64(h.countUnits(failed)), 10)
		case "NJobs":
			out = strconv.AppendInt(out, int64(h.jobs()), 10)
		case "SystemState":
			out = append(out, h.systemState(now)...)
		}
		out = append(out, '\n')
	}
	return out
}

// appendUnits prints a record for each unit, with an empty line between two.
func (h *host) appendUnits(out []byte, group systemctl.Group, now time.Time) []byte {
	requested := propertiesNamed(group.Properties)
	for i, name := range group.Units {
		if i > 0 {
			out = append(out, '\n')
		}
		u := h.find(name)
		if u == nil {
			u = &unit{spec: notFound(name), sub: subDead, result: "success"}
		}
		for p := range propertyCount {
			if requested.has(p) && p.isOf(name) {
				out = append(append(out, p.String()...), '=')
				out = h.appendValue(out, u, p, now)
				out = append(out, '\n')
			}
		}
	}
	return out
}

// appendValue prints what `systemctl show` prints behind the "=".
func (h *host) appendValue(out []byte, u *unit, p property, now time.Time) []byte {
	switch p {
	case mainPID:
		return strconv.AppendInt(out, int64(u.mainPID), 10)
	case statusText:
		return u.appendStatusText(out, now)
	case result:
		return append(out, u.result...)
	case nRestarts:
		return strconv.AppendInt(out, int64(u.restarts), 10)
	case execMainCode:
		return strconv.AppendInt(out, int64(u.exitCode), 10)
	case execMainStatus:
		return strconv.AppendInt(out, int64(u.exitStatus), 10)
	case memoryCurrent:
		return appendCount(out, u.memory(now))
	case cpuUsage:
		return appendCount(out, u.cpu(now))
	case tasksCurrent:
		return appendCount(out, u.tasks(now))
	case nextElapseRealtime, nextElapseMonotonic, lastTriggerTime:
		return h.appendTimerValue(out, u, p)
	default:
		return u.appendCommonValue(out, p)
	}
}

// appendTimerValue prints when a timer elapses, by the calendar or as a time span since boot.
func (h *host) appendTimerValue(out []byte, u *unit, p property) []byte {
	switch {
	case p == lastTriggerTime:
		return appendTimestamp(out, u.lastTrigger)
	case p == nextElapseRealtime && !u.calendar:
		return out
	case p == nextElapseRealtime:
		return appendTimestamp(out, u.nextElapse)
	case u.calendar || u.nextElapse.IsZero():
		return append(out, "infinity"...)
	}
	return appendTimespan(out, u.nextElapse.Sub(h.booted))
}

// appendCommonValue prints what units of all types have.
func (u *unit) appendCommonValue(out []byte, p property) []byte {
	switch p {
	case id:
		return append(out, u.name...)
	case names:
		return u.appendNames(out)
	case description:
		return append(out, u.description...)
	case loadState:
		return append(out, u.load...)
	case activeStateName:
		return append(out, activeState(u.sub)...)
	case subState:
		return append(out, u.sub...)
	case unitFileState:
		return append(out, u.fileState...)
	case stateChangeTime:
		return appendTimestamp(out, u.stateChange)
	case inactiveExitTime:
		return appendTimestamp(out, u.inactiveExit)
	case activeEnterTime:
		return appendTimestamp(out, u.activeEnter)
	case activeExitTime:
		return appendTimestamp(out, u.activeExit)
	case inactiveEnterTime:
		return appendTimestamp(out, u.inactiveEnter)
	case needDaemonReload:
		if u.daemonReload {
			return append(out, "yes"...)
		}
		return append(out, "no"...)
	case invocationID:
		return append(out, u.invocation...)
	default:
		return out
	}
}

// appendNames prints a list of strings, of which systemd >= 246 quotes those with a backslash.
func (u *unit) appendNames(out []byte) []byte {
	if strings.Contains(u.name, `\`) {
		return append(append(append(out, '"'), strings.ReplaceAll(u.name, `\`, `\\`)...), '"')
	}
	out = append(out, u.name...)
	if u.alias != "" {
		out = append(append(out, ' '), u.alias...)
	}
	return out
}

// appendStatusText prints what the service last told with sd_notify(3). A service that is not running has told nothing.
func (u *unit) appendStatusText(out []byte, now time.Time) []byte {
	if u.sub != subRunning && u.sub != subReload {
		return out
	}
	before, after, moves := strings.Cut(u.statusText, "%d")
	out = append(out, before...)
	if moves {
		const period = 10 * time.Second
		out = strconv.AppendInt(out, 80+int64(now.Sub(u.launched)/period)*37%61, 10)
	}
	return append(out, after...)
}

// appendCount is for numbers that a unit may not have.
func appendCount(out []byte, n uint64) []byte {
	if n == notSet {
		return append(out, "[not set]"...)
	}
	return strconv.AppendUint(out, n, 10)
}

// appendTimestamp prints t as systemd does with TZ=UTC. The zero time is unset.
func appendTimestamp(out []byte, t time.Time) []byte {
	if t.IsZero() {
		return out
	}
	return t.UTC().AppendFormat(out, "Mon 2006-01-02 15:04:05 UTC")
}

// appendTimespan prints d, which is positive, as format_timespan in systemd's src/basic/time-util.c does:
// "1d 2h 9.646660s", "1min 646.660ms".
func appendTimespan(out []byte, d time.Duration) []byte {
	const day = 24 * time.Hour
	for _, unit := range [...]struct {
		name   string
		size   time.Duration
		splits bool // into whole and fraction
	}{
		{"month", 2629800 * time.Second, false},
		{"w", 7 * day, false},
		{"d", day, false},
		{"h", time.Hour, false},
		{"min", time.Minute, false},
		{"s", time.Second, true},
		{"ms", time.Millisecond, true},
		{"us", time.Microsecond, false},
	} {
		whole, fraction := d/unit.size, d%unit.size
		if whole == 0 {
			continue
		}
		out = strconv.AppendInt(out, int64(whole), 10)
		if unit.splits && fraction > 0 {
			padded := strconv.AppendInt(nil, int64((unit.size+fraction)/time.Microsecond), 10)
			out = append(append(out, '.'), padded[1:]...)
			fraction = 0
		}
		out = append(append(out, unit.name...), ' ')
		d = fraction
	}
	return out[:len(out)-1] // Without the space.
}

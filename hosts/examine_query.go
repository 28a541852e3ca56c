package hosts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// query reads the host as a poll does.
func (e *examination) query(ctx context.Context) bool {
	l := &link{conn: e.conn}
	before, started := e.trace.received(), time.Now()
	answer, err := l.ask(ctx, e.host)
	if err != nil {
		e.failed("query", err)
		return l.conn != nil
	}
	e.report.Query = time.Since(started)
	e.answer, e.read = answer, true
	e.report.Systemd, e.report.Units = answer.Manager.Version, len(answer.Units)
	e.answered(e.trace.received() - before)
	e.streamed()
	e.manager(answer.Manager)
	e.units()
	return true
}

// answered tells what the answer cost.
func (e *examination) answered(bytes int64) {
	detail := fmt.Sprintf("%s in %s, %.1f KiB", countUnits(len(e.answer.Units)), brief(e.report.Query), float64(bytes)/1024)
	if e.report.Query <= e.host.Timeout/2 {
		e.ok("query", "%s", detail)
		return
	}
	e.add(Finding{
		Step: "query", Code: "slow_query", Severity: SeverityWarning, Detail: fmt.Sprintf("%s, of the %v it may take", detail, e.host.Timeout),
		Problem: "a poll takes more than half of its timeout",
		Why:     "when the host is busier than now, polls time out, and it counts as unreadable",
		Remedy:  "look at the host's load, and at that of its PID 1 and dbus-daemon: top; or raise timeout in [collector]",
	})
}

// streamed tells where a host does not do what its mode wants.
func (e *examination) streamed() {
	if e.host.SSH.Mode != inventory.ModeStream || e.conn.stream != nil {
		return
	}
	e.add(Finding{
		Step: "query", Code: "no_stream", Severity: SeverityWarning, Detail: "it was asked by a command of its own",
		Problem: `the host does not answer over a stream, as mode = "stream" wants`,
		Why:     "each poll runs a command of its own, and after each new connection streams are tried in vain",
		Remedy: "where the key is bound by authorized-keys, install the wrapper of this version: service_manager authorized-keys --wrapper; else see what " +
			`the host says to: ssh HOST 'echo | sh -c "read x; echo ok"'; or set mode = "exec" for it`,
	})
}

// manager looks at systemd itself.
func (e *examination) manager(m systemctl.Manager) {
	missing := ""
	switch v := m.VersionNumber; {
	case v == 0:
		e.add(Finding{
			Step: "systemd", Code: "unknown_systemd", Severity: SeverityNote, Detail: fmt.Sprintf("version %q", oneLine(m.Version, 40)),
			Problem: "systemd does not tell its version", Why: "the collector asks it as it asks a new one",
		})
	case v < 232:
		missing = "it knows no invocation ids and no count of restarts (NRestarts), so that a restart between two polls is seen by its times alone; " +
			"the units are asked for type by type, each with a systemctl of its own"
	case v < 235:
		missing = "it does not count restarts (NRestarts), so that restarts is null and two restarts between two polls look like one"
	case v < 247:
		e.add(Finding{
			Step: "systemd", Code: "aged_systemd", Severity: SeverityNote, Detail: "systemd " + m.Version,
			Problem: "systemd is older than 247", Why: "everything that is collected is there, but it gets no fixes upstream",
		})
	default:
		e.ok("systemd", "systemd %s, %s", m.Version, oneLine(m.State, 40))
	}
	if missing != "" {
		e.add(Finding{
			Step: "systemd", Code: "old_systemd", Severity: SeverityWarning, Detail: "systemd " + m.Version, Problem: "systemd is very old",
			Why: missing, Remedy: "upgrade the host's system; until then count on states, not on numbers of restarts",
		})
	}
	e.systemState(m)
}

func (e *examination) systemState(m systemctl.Manager) {
	f := Finding{Step: "systemd", Code: "system_state", Severity: SeverityNote, Detail: "the system is " + oneLine(m.State, 40)}
	switch m.State {
	case "running":
		return
	case "degraded":
		if m.FailedUnits != nil {
			f.Detail = fmt.Sprintf("the system is degraded: %s failed", countUnits(*m.FailedUnits))
		}
		f.Code, f.Problem = "degraded", "units have failed, watched or not"
		f.Why = "of those not watched the messages tell only how many there are"
		f.Remedy = "on the host: systemctl --failed; then mend them, or: sudo systemctl reset-failed"
	case "maintenance", "stopping":
		f.Severity, f.Problem = SeverityWarning, "the system is in rescue mode, or going down"
		f.Why = "its services are stopped on purpose"
	default:
		f.Problem, f.Why = "the system is not up yet", "units may still be about to start"
		f.Remedy = "if it stays so, on the host: systemctl list-jobs"
	}
	e.add(f)
}

func countUnits(n int) string {
	if n == 1 {
		return "1 unit"
	}
	return fmt.Sprintf("%d units", n)
}

// units looks for watched units that tell less than they should.
func (e *examination) units() {
	var masked, broken, aliases, stale, noMemory, failed []string
	for _, u := range e.answer.Units {
		name := oneLine(u.Name, 100)
		switch {
		case u.LoadState == "masked":
			masked = append(masked, name)
		case u.LoadState != "loaded" && u.LoadState != "not-found":
			broken = append(broken, fmt.Sprintf("%s (%s)", name, oneLine(u.LoadState, 30)))
		case u.RequestedAs != "":
			aliases = append(aliases, fmt.Sprintf("%s is %s", oneLine(u.RequestedAs, 100), name))
		}
		if u.NeedDaemonReload != nil && *u.NeedDaemonReload {
			stale = append(stale, name)
		}
		if u.ActiveState == "failed" {
			failed = append(failed, name)
		}
		if u.LoadState == "loaded" && u.ActiveState == "active" && u.MainPID != nil && *u.MainPID != 0 && u.MemoryBytes == nil {
			noMemory = append(noMemory, name)
		}
	}
	e.someUnits(masked, Finding{
		Code: "unit_masked", Severity: SeverityWarning, Problem: "a watched unit is masked", Why: "it can never start",
		Remedy: "take it out of the inventory, or on the host: sudo systemctl unmask UNIT",
	})
	e.someUnits(broken, Finding{
		Code: "unit_broken", Severity: SeverityWarning, Problem: "systemd cannot load a watched unit", Why: "it cannot start, or not again",
		Remedy: "on the host: systemctl status UNIT; systemd-analyze verify UNIT",
	})
	e.someUnits(failed, Finding{
		Code: "unit_failed", Severity: SeverityNote, Problem: "a watched unit is failed", Why: "that is what the collector is there to tell",
		Remedy: "service_manager status --failed {selector}",
	})
	e.someUnits(stale, Finding{
		Code: "need_daemon_reload", Severity: SeverityNote, Problem: "a unit's file changed after systemd had read it",
		Why: "at its next start the unit still runs as the old file says", Remedy: "on the host: sudo systemctl daemon-reload",
	})
	e.someUnits(aliases, Finding{
		Code: "unit_alias", Severity: SeverityNote, Problem: "a unit is watched by an alias",
		Why: "messages carry its own name, and the alias in requested_as", Remedy: "write the unit's own name into the inventory",
	})
	e.someUnits(noMemory, Finding{
		Code: "no_memory_accounting", Severity: SeverityNote, Problem: "systemd does not count the memory of running units",
		Why: "memory_bytes is null in their messages",
		Remedy: "on the host: DefaultMemoryAccounting=yes in /etc/systemd/system.conf, then sudo systemctl daemon-reexec; if that is so already, " +
			"the kernel's memory controller is off (cgroup_enable=memory on its command line)",
	})
}

// someUnits adds f for units, if there are any. UNIT in its remedy stands for the first, whose name is the first word of its text.
func (e *examination) someUnits(units []string, f Finding) {
	if len(units) == 0 {
		return
	}
	const shown = 5
	name, _, _ := strings.Cut(units[0], " ")
	f.Step, f.Remedy = "units", strings.ReplaceAll(f.Remedy, "UNIT", quote(name))
	f.Detail = strings.Join(units[:min(len(units), shown)], ", ")
	if more := len(units) - shown; more > 0 {
		f.Detail += fmt.Sprintf(" and %d more", more)
	}
	e.add(f)
}

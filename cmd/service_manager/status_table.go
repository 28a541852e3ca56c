package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"service_manager/hosts"
	"service_manager/publish"
)

// A rank is a row's place in the table: trouble first.
type rank int

const (
	rankHost       rank = iota // a host that could not be read
	rankUnit                   // a unit in trouble
	rankRestarting             // a unit that systemd starts again and again
	rankChanged                // a unit that is well, and was not, or not so, a moment ago
	rankCalm
)

// mark stands in front of a row, so that it is told by more than its colour.
func (r rank) mark() string {
	switch r {
	case rankHost, rankUnit:
		return "!"
	case rankRestarting:
		return "~"
	default:
		return " "
	}
}

func (r rank) mood() mood {
	switch r {
	case rankHost, rankUnit:
		return trouble
	case rankRestarting:
		return warning
	case rankChanged:
		return better
	default:
		return calm
	}
}

// A row is one line of the table: a unit, several units that are alike, or a host of which no unit is known.
type row struct {
	rank                                                   rank
	changed                                                bool
	host, group, unit, state, since, restarts, memory, pid string
	note                                                   string
}

// A table shows statuses to a person.
type table struct {
	hosts    int  // how many are selected
	wide     bool // each unit for itself, and more of it
	width    int  // of the terminal, in columns; 0: nothing is cut
	coloured bool
	changed  func(host, unit string) bool // whether that was just now; unit "" is the host itself. Nil: nothing is watched
}

// fewRows is how many rows are shown as they are. They fit every terminal.
const fewRows = 20

// rows returns a row for each unit, and for each host that could not be read. Of many, those that are well are summed up.
func (t table) rows(statuses []publish.Status, now time.Time) (rows []row, summed bool) {
	calm := 0
	for _, s := range statuses {
		for _, r := range t.hostRows(s, now) {
			if r.rank == rankCalm {
				calm++
			}
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.rank, b.rank) })
	if t.wide || t.hosts == 1 || calm == 0 || len(rows) <= fewRows {
		return rows, false
	}
	return append(rows[:len(rows)-calm:len(rows)-calm], t.sums(statuses, now)...), true
}

func (t table) hostRows(s publish.Status, now time.Time) []row {
	base := row{rank: rankCalm, host: s.Host.Name, group: s.Host.Group, changed: t.hasChanged(s.Host.Name, "")}
	if s.Outcome != string(hosts.OK) {
		base.rank, base.state, base.note = rankHost, s.Outcome, printable(deref(s.Error))
		return []row{base}
	}
	if len(s.Units) == 0 {
		base.unit, base.state, base.note = "-", systemState(s), "no units watched"
		base.since, base.restarts, base.memory, base.pid = "-", "-", "-", "-"
		return []row{base}
	}
	rows := make([]row, 0, len(s.Units))
	for _, u := range s.Units {
		rows = append(rows, t.unitRow(base, u, now))
	}
	return rows
}

func (t table) hasChanged(host, unit string) bool { return t.changed != nil && t.changed(host, unit) }

// unitRow is r with what is known of the unit.
func (t table) unitRow(r row, u publish.Unit, now time.Time) row {
	r.rank, r.changed = rankOf(u), t.hasChanged(r.host, u.Name)
	if r.changed && r.rank == rankCalm {
		r.rank = rankChanged
	}
	r.unit, r.state, r.since, r.note = printable(u.Name), unitState(u), "-", note(u)
	if u.Since != nil {
		r.since = age(now.Sub(u.Since.Time))
	}
	if !t.wide {
		r.note = joined(restartsText(u.Restarts), r.note)
		return r
	}
	r.restarts, r.memory, r.pid = "-", "-", "-"
	if u.Restarts != nil {
		r.restarts = strconv.Itoa(*u.Restarts)
	}
	if u.MemoryBytes != nil {
		r.memory = size(*u.MemoryBytes)
	}
	if u.MainPID != nil {
		r.pid = strconv.Itoa(*u.MainPID)
	}
	if u.NeedDaemonReload != nil && *u.NeedDaemonReload {
		r.note = joined(r.note, "daemon-reload needed")
	}
	return r
}

func rankOf(u publish.Unit) rank {
	switch {
	case inTrouble(u):
		return rankUnit
	case strings.HasPrefix(u.SubState, "auto-restart"):
		return rankRestarting
	}
	return rankCalm
}

func restartsText(n *int) string {
	if n == nil || *n == 0 {
		return ""
	}
	return count(*n, "restart")
}

// joined puts a comma between those that say something.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// age is how long something has been so, in the two greatest units of time.
func age(d time.Duration) string {
	d = max(d, 0)
	days, d := d/(24*time.Hour), d%(24*time.Hour)
	switch {
	case days > 0:
		return fmt.Sprintf("%dd %dh", days, d/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// brief is age in the greatest unit of time alone.
func brief(d time.Duration) string {
	greatest, _, _ := strings.Cut(age(d), " ")
	return greatest
}

// size is a number of bytes as systemctl shows it: "38.4M".
func size(bytes uint64) string {
	const step = 1024
	if bytes < step {
		return fmt.Sprintf("%dB", bytes)
	}
	value, units := float64(bytes)/step, "KMGTPE"
	for value >= step && len(units) > 1 {
		value, units = value/step, units[1:]
	}
	return fmt.Sprintf("%.1f%c", value, units[0])
}

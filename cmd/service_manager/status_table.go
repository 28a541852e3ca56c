package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

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

// A sum is what units have in common that are well: their name, but for the instance of a template, and their state.
type sum struct {
	unit, state string
}

// sums returns a row for each kind of units that are well, by name.
func (t table) sums(statuses []publish.Status, now time.Time) []row {
	summed := make(map[sum]*likes)
	add := func(key sum, host string, u publish.Unit) {
		if summed[key] == nil {
			summed[key] = &likes{hosts: make(map[string]struct{}), names: make(map[string]struct{}), note: note(u)}
		}
		summed[key].add(host, u)
	}
	for _, s := range statuses {
		if s.Outcome != string(hosts.OK) {
			continue
		}
		if len(s.Units) == 0 {
			add(sum{"-", systemState(s)}, s.Host.Name, publish.Unit{Name: "-"})
		}
		for _, u := range s.Units {
			if rankOf(u) == rankCalm && !t.hasChanged(s.Host.Name, u.Name) {
				add(sum{template(u.Name), unitState(u)}, s.Host.Name, u)
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(summed), func(a, b sum) int {
		return cmp.Or(cmp.Compare(a.unit, b.unit), cmp.Compare(a.state, b.state))
	})
	rows := make([]row, 0, len(keys))
	for _, key := range keys {
		rows = append(rows, summed[key].row(key, now))
	}
	return rows
}

// template is the name of a unit without that of its instance: worker@*.service.
func template(name string) string {
	before, instance, ok := strings.Cut(name, "@")
	if dot := strings.LastIndexByte(instance, '.'); ok && dot >= 0 {
		return before + "@*" + instance[dot:]
	}
	return name
}

// likes are units that are summed up.
type likes struct {
	hosts, names     map[string]struct{}
	units            int
	restarts         int // the most
	youngest, oldest time.Time
	note             string // of all, else empty
}

func (l *likes) add(host string, u publish.Unit) {
	l.units++
	l.hosts[host] = struct{}{}
	l.names[u.Name] = struct{}{}
	if l.note != "" && l.note != note(u) {
		l.note = ""
	}
	if u.Restarts != nil {
		l.restarts = max(l.restarts, *u.Restarts)
	}
	if u.Since == nil {
		return
	}
	if l.youngest.IsZero() || u.Since.After(l.youngest) {
		l.youngest = u.Since.Time
	}
	if l.oldest.IsZero() || u.Since.Before(l.oldest) {
		l.oldest = u.Since.Time
	}
}

func (l *likes) row(key sum, now time.Time) row {
	r := row{rank: rankCalm, host: count(len(l.hosts), "host"), unit: printable(key.unit), state: key.state, since: "-", note: l.note}
	if len(l.hosts) == 1 {
		r.host = anyOf(l.hosts)
	}
	switch {
	case len(l.names) == 1:
		r.unit = printable(anyOf(l.names))
	case l.units > len(l.hosts):
		r.note = joined(count(l.units, "unit"), r.note)
	}
	if key.unit == "-" {
		r.note = "no units watched"
	}
	if l.restarts > 0 {
		r.note = joined("up to "+count(l.restarts, "restart"), r.note)
	}
	if l.youngest.IsZero() {
		return r
	}
	from, to := now.Sub(l.youngest), now.Sub(l.oldest)
	if r.since = age(from); len(l.hosts) > 1 && brief(from) != brief(to) {
		r.since = brief(from) + "…" + brief(to)
	}
	return r
}

func anyOf(set map[string]struct{}) string {
	for one := range set {
		return one
	}
	return ""
}

// A column is one of the table.
type column struct {
	title string
	least int // how far it may be cut; 0: not at all
	right bool
	cell  func(row) string
	width int
	lacks int // of it, since it was cut
}

// columns are those of the table, but for the mark in front. The last is the note.
func (t table) columns() []column {
	const leastState, leastUnit, leastName = 15, 20, 12
	all := []column{
		{title: "HOST", least: leastName, cell: func(r row) string { return r.host }},
		{title: "UNIT", least: leastUnit, cell: func(r row) string { return r.unit }},
		{title: "STATE", least: leastState, cell: func(r row) string { return r.state }},
		{title: "SINCE", cell: func(r row) string { return r.since }},
	}
	if t.wide {
		all = slices.Insert(all, 1, column{title: "GROUP", least: leastName, cell: func(r row) string { return r.group }})
		all = append(
			all,
			column{title: "RESTARTS", right: true, cell: func(r row) string { return r.restarts }},
			column{title: "MEMORY", right: true, cell: func(r row) string { return r.memory }},
			column{title: "PID", right: true, cell: func(r row) string { return r.pid }},
		)
	}
	return append(all, column{title: "NOTE", cell: func(r row) string { return r.note }})
}

// columnGap is what stands between two columns.
const columnGap = "  "

// lines are those of the table, a line for the titles first where there are units. LeftOut are the columns that the terminal is
// too narrow for.
func (t table) lines(rows []row) (lines, leftOut []string) {
	columns, leftOut := t.fit(rows)
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.title
	}
	lines = make([]string, 0, 1+len(rows))
	if slices.ContainsFunc(rows, func(r row) bool { return r.rank != rankHost }) {
		lines = append(lines, t.cut(t.mark(row{rank: rankCalm})+t.cells(columns, cells, calm)))
	}
	for _, r := range rows {
		if r.rank == rankHost {
			lines = append(lines, t.cut(t.mark(r)+t.why(r, columns[0])))
			continue
		}
		for i, c := range columns {
			cells[i] = c.cell(r)
		}
		lines = append(lines, t.cut(t.mark(r)+t.cells(columns, cells, r.rank.mood())))
	}
	return lines, leftOut
}

// why a host could not be read is all that there is to say of it, and has the rest of the line.
func (t table) why(r row, host column) string {
	text := host.pad(r.host) + columnGap + t.paint(rankHost.mood(), r.state)
	if r.note != "" {
		text += ": " + r.note
	}
	return text
}

// mark is what stands in front of a row.
func (t table) mark(r row) string {
	mark := r.rank.mark()
	if t.changed != nil {
		if r.changed {
			mark += "*"
		} else {
			mark += " "
		}
	}
	return t.paint(r.rank.mood(), mark) + " "
}

// cells are padded to their columns' widths; the state is painted. The note ends the line, which cut cuts.
func (t table) cells(columns []column, cells []string, mood mood) string {
	var b strings.Builder
	for i, c := range columns {
		if i == len(columns)-1 {
			b.WriteString(cells[i])
			break
		}
		cell := c.pad(cells[i])
		if c.title == "STATE" {
			state := strings.TrimRight(cell, " ")
			cell = t.paint(mood, state) + cell[len(state):]
		}
		b.WriteString(cell + columnGap)
	}
	return strings.TrimRight(b.String(), " ")
}

// pad gives a cell its column's width.
func (c column) pad(cell string) string {
	width := ansi.StringWidth(cell)
	if width > c.width {
		cell = ansi.Truncate(cell, c.width, "…")
		width = ansi.StringWidth(cell)
	}
	padding := strings.Repeat(" ", c.width-width)
	if c.right {
		return padding + cell
	}
	return cell + padding
}

func (t table) paint(m mood, s string) string {
	if !t.coloured {
		return s
	}
	return m.paint(s)
}

// cut takes from a line what does not fit the terminal.
func (t table) cut(line string) string {
	if t.width == 0 {
		return line
	}
	return ansi.Truncate(line, t.width, "…")
}

// fit gives the columns the widths that they need. Where these do not fit the terminal beside a note, states and names are cut first, the
// longest to begin with; then columns are left out.
func (t table) fit(rows []row) (columns []column, leftOut []string) {
	columns = t.columns()
	for i := range columns {
		c := &columns[i]
		c.width = len(c.title)
		for _, r := range rows {
			if r.rank != rankHost || i == 0 {
				c.width = max(c.width, ansi.StringWidth(c.cell(r)))
			}
		}
	}
	if t.width == 0 {
		return columns, nil
	}
	const leastNote = 12
	total := ansi.StringWidth(t.mark(row{rank: rankCalm})) + min(columns[len(columns)-1].width, leastNote)
	for _, c := range columns[:len(columns)-1] {
		total += c.width + len(columnGap)
	}
	short := total - t.width
	for _, title := range []string{"STATE", "UNIT", "GROUP", "HOST"} {
		if i := indexOf(columns, title); i >= 0 && short > 0 {
			less := min(short, max(columns[i].width-columns[i].least, 0))
			columns[i].width, columns[i].lacks = columns[i].width-less, less
			short -= less
		}
	}
	for _, title := range []string{"PID", "MEMORY", "GROUP", "RESTARTS"} {
		if i := indexOf(columns, title); i >= 0 && short > 0 {
			short -= columns[i].width + len(columnGap)
			columns = slices.Delete(columns, i, i+1)
			leftOut = append(leftOut, title)
		}
	}
	for i := range columns { // What the last one left out was too much.
		more := min(columns[i].lacks, max(-short, 0))
		columns[i].width += more
		short += more
	}
	return columns, leftOut
}

func indexOf(columns []column, title string) int {
	return slices.IndexFunc(columns, func(c column) bool { return c.title == title })
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

package main

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

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

package fleet

import (
	"fmt"
	"slices"
	"strings"

	"service_manager/hosts/systemctl"
)

// appendLoaded prints what `systemctl list-units --all --plain` has of the units that any of the patterns matches. Like a
// real host it also tells of one that is only referred to.
func (h *host) appendLoaded(out []byte, patterns []string) []byte {
	rows := [][]string{
		{"shutdown.target", "loaded", inactive, subDead, "System Shutdown"},
		{"syslog.service", "not-found", inactive, subDead, "syslog.service"},
	}
	for _, u := range h.units {
		rows = append(rows, []string{u.name, u.load, activeState(u.sub), u.sub, u.description})
	}
	return appendTable(out, rows, patterns)
}

// appendInstalled prints what `systemctl list-unit-files` has. An instance is not among it, but its template.
func (h *host) appendInstalled(out []byte, patterns []string) []byte {
	rows := [][]string{{"shutdown.target", "static", "-"}}
	for _, u := range h.units {
		name, state := u.name, u.fileState
		if template, _, ok := strings.Cut(name, "@"); ok {
			name, state = template+"@.service", "indirect"
		}
		rows = append(rows, []string{name, state, "-"})
		if u.alias != "" {
			rows = append(rows, []string{u.alias, "alias", "-"})
		}
	}
	return appendTable(out, rows, patterns)
}

// appendTable prints the rows whose first cell matches, sorted and aligned.
func appendTable(out []byte, rows [][]string, patterns []string) []byte {
	rows = slices.DeleteFunc(rows, func(row []string) bool {
		return !slices.ContainsFunc(patterns, func(pattern string) bool { return systemctl.MatchGlob(pattern, row[0]) })
	})
	slices.SortFunc(rows, slices.Compare)
	rows = slices.CompactFunc(rows, slices.Equal)
	var widths [5]int
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		last := len(row) - 1
		for i, cell := range row[:last] {
			out = fmt.Appendf(out, "%-*s ", widths[i], cell)
		}
		out = append(append(out, row[last]...), '\n')
	}
	return out
}

package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"service_manager/publish"
)

// How what is watched is drawn.
const (
	redrawTable  = 500 * time.Millisecond
	highlightFor = 15 * time.Second
)

// A watchView draws what is watched, a screen at a time.
type watchView struct {
	seen       *sightings
	units      *unitChoice
	names      []string // of the selected hosts
	onlyFailed bool
	table      table
	height     int // of the terminal, in lines
	top        int // the first row that is shown
}

// frame is the screen: how the fleet is, the table, and what can be done. It moves top back to where there are rows.
func (v *watchView) frame(now time.Time) []string {
	t := v.table
	t.changed = v.seen.changedSince(now.Add(-highlightFor))
	read := v.seen.latest.statuses()
	statuses := v.units.of(read)
	shown := v.units.shown(statuses)
	if v.onlyFailed {
		shown = troubled(shown)
	}
	rows, summed := t.rows(shown, now)
	lines, leftOut := t.lines(rows)
	titles := len(lines) - len(rows)

	state := fleetOf(statuses)
	head := []string{now.Format(time.TimeOnly) + "  " + state.hostsText()}
	if units := "  " + state.unitsText(); ansi.StringWidth(head[0]+units) <= t.width {
		head[0] += units
	} else {
		head = append(head, strings.TrimSpace(units))
	}
	if len(read) < len(v.names) {
		head = append(head, v.waiting(read))
	} else if missed := v.units.missed(); missed != nil {
		for line := range strings.Lines(missed.Error()) {
			head = append(head, t.paint(warning, strings.TrimSpace(line)))
		}
	}
	head = append(head, lines[:titles]...)
	room := max(v.height-len(head)-1, 0) // for rows; the last line is the foot
	v.top = max(min(v.top, len(rows)-room), 0)
	body := lines[titles:]
	body = body[v.top:min(v.top+room, len(body))]

	foot := []string{"q ends it"}
	if slices.ContainsFunc(rows, func(r row) bool { return r.changed }) {
		foot = append(foot, "* changed just now")
	}
	if len(body) < len(rows) {
		foot = append(foot, fmt.Sprintf("↑ ↓ PgUp PgDn: rows %d to %d of %d", v.top+1, v.top+len(body), len(rows)))
	}
	if summed {
		foot = append(foot, "-o wide shows each unit")
	}
	if len(leftOut) > 0 {
		foot = append(foot, "no room for "+strings.Join(leftOut, ", "))
	}
	screen := slices.Concat(head, body, make([]string, max(room-len(body), 0)), []string{strings.Join(foot, "; ")})
	for i := range screen {
		screen[i] = ansi.Truncate(screen[i], t.width, "…")
	}
	return screen[:min(len(screen), v.height)]
}

// waiting says which hosts have not been read yet.
func (v *watchView) waiting(read []publish.Status) string {
	done := make(map[string]bool, len(read))
	for _, s := range read {
		done[s.Host.Name] = true
	}
	var names []string
	for _, name := range v.names {
		if !done[name] {
			names = append(names, name)
		}
	}
	return fmt.Sprintf("%d of %s read, waiting for %s", len(read), count(len(v.names), "host"), enumerate(names))
}

// A watchModel is the state of the screen, as bubbletea wants it.
type watchModel struct {
	view  watchView
	drawn string
	ended bool // a person has ended it
}

// redraw asks for the next frame.
type redraw struct{}

// redrawEvery asks screen for a frame now and then, until ctx ends. [tea.Tick] would leave a goroutine behind.
func redrawEvery(ctx context.Context, screen *tea.Program) {
	ticker := time.NewTicker(redrawTable)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			screen.Send(redraw{})
		}
	}
}

// Init implements [tea.Model].
func (m *watchModel) Init() tea.Cmd { return nil }

// Update implements [tea.Model].
func (m *watchModel) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	var next tea.Cmd
	switch message := message.(type) {
	case tea.WindowSizeMsg:
		m.view.table.width, m.view.height = message.Width, message.Height
	case tea.KeyPressMsg:
		next = m.key(message.String())
	case redraw:
	default:
		return m, nil
	}
	if m.ended { // What is on its screen tmux would leave behind, above what was there before, if the terminal has grown meanwhile.
		m.drawn = ""
		return m, next
	}
	m.drawn = strings.Join(m.view.frame(time.Now()), "\n")
	return m, next
}

// key does what a key stands for.
func (m *watchModel) key(name string) tea.Cmd {
	page := max(m.view.height-3, 1)
	switch name {
	case "q", "ctrl+c":
		m.ended = true
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "up", "k":
		m.view.top--
	case "down", "j":
		m.view.top++
	case "pgup":
		m.view.top -= page
	case "pgdown", "space":
		m.view.top += page
	case "home", "g":
		m.view.top = 0
	case "end", "G":
		m.view.top = math.MaxInt // frame takes it back to the last page
	}
	return nil
}

// View implements [tea.Model].
func (m *watchModel) View() tea.View {
	view := tea.NewView(m.drawn)
	view.AltScreen = true
	return view
}

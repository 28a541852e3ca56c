package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"golang.org/x/term"

	"service_manager/inventory"
)

// How a progress bar is drawn.
const (
	redrawInterval = 100 * time.Millisecond
	barWidth       = 20
	clearLine      = "\r\x1b[K" // ECMA-48: erase to the end of the line
)

// A progress is a line on a terminal that says of how many hosts some work is done, and which are the slowest. A nil progress shows nothing. Its step is safe for
// concurrent use.
type progress struct {
	out    io.Writer
	width  func() int // of the terminal, in columns
	names  []string   // of the hosts
	began  time.Time
	ended  chan struct{}
	drawer conc.WaitGroup

	mu       sync.Mutex
	waiting  map[string]struct{}
	troubled int
}

// newProgress begins to show the progress of work on the hosts of these names, or returns nil where out is no terminal or they are few.
func newProgress(out io.Writer, names []string) *progress {
	const few = 2
	if len(names) < few || !canRedraw(out) {
		return nil
	}
	return startProgress(out, func() int { return terminalWidth(out) }, names)
}

func startProgress(out io.Writer, width func() int, names []string) *progress {
	p := &progress{
		out: out, width: width, names: names, began: time.Now(), ended: make(chan struct{}),
		waiting: make(map[string]struct{}, len(names)),
	}
	for _, name := range names {
		p.waiting[name] = struct{}{}
	}
	p.drawer.Go(p.draw)
	return p
}

// step counts a host as done.
func (p *progress) step(name string, trouble bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, name)
	if trouble {
		p.troubled++
	}
}

// end takes the line away.
func (p *progress) end() {
	if p == nil {
		return
	}
	close(p.ended)
	p.drawer.Wait()
}

// draw draws the line until the end. What is done before the first drawing is never seen.
func (p *progress) draw() {
	ticker := time.NewTicker(redrawInterval)
	defer ticker.Stop()
	shown := ""
	for {
		select {
		case <-p.ended:
			if shown != "" {
				_, _ = io.WriteString(p.out, clearLine) // A terminal that went away wants no line cleared.
			}
			return
		case now := <-ticker.C:
			line := p.line(now)
			if line == shown {
				continue
			}
			shown = line
			_, _ = io.WriteString(p.out, clearLine+line) // As above.
		}
	}
}

// line is what the terminal shows: "[=========> ] 498/500 hosts, 3 with trouble, 4 s, waiting for db-02, web-07", no longer than it is wide.
func (p *progress) line(now time.Time) string {
	p.mu.Lock()
	total, troubled, slowest := len(p.names), p.troubled, p.slowest()
	done := total - len(p.waiting)
	p.mu.Unlock()
	filled := min(barWidth*done/total, barWidth)
	bar := strings.Repeat("=", filled)
	if filled < barWidth {
		bar += ">" + strings.Repeat(" ", barWidth-filled-1)
	}
	line := fmt.Sprintf("[%s] %d/%d hosts", bar, done, total)
	if troubled > 0 {
		line += fmt.Sprintf(", %d with trouble", troubled)
	}
	line += fmt.Sprintf(", %d s", now.Sub(p.began)/time.Second)
	if len(slowest) > 0 && now.Sub(p.began) >= time.Second {
		line += ", waiting for " + enumerate(slowest)
	}
	// A full line would wrap, and could not be cleared.
	return line[:min(len(line), max(p.width()-1, 0))]
}

// slowest are the hosts that are waited for, once only few of them are left: of many, most have only not had their turn.
func (p *progress) slowest() []string {
	if len(p.waiting) > max(maxNames, len(p.names)/10) {
		return nil
	}
	names := make([]string, 0, len(p.waiting))
	for _, name := range p.names {
		if _, waiting := p.waiting[name]; waiting {
			names = append(names, name)
		}
	}
	return names
}

// hostNames are the names of hosts.
func hostNames(hosts []inventory.Host) []string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	return names
}

// canRedraw reports whether out is a terminal that can redraw a line.
func canRedraw(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("TERM") != "dumb"
}

// terminalWidth is the width of a terminal, 80 where it does not tell.
func terminalWidth(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok {
		return 80
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		width = 0
	}
	return cmp.Or(width, 80)
}

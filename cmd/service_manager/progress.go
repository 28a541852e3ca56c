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
)

// How a progress bar is drawn.
const (
	redrawInterval = 100 * time.Millisecond
	barWidth       = 20
	clearLine      = "\r\x1b[K" // ECMA-48: erase to the end of the line
)

// A progress is a line on a terminal that says of how many hosts some work is done. A nil progress shows nothing. Its step is safe for
// concurrent use.
type progress struct {
	out    io.Writer
	width  func() int // of the terminal, in columns
	total  int
	began  time.Time
	ended  chan struct{}
	drawer conc.WaitGroup

	mu             sync.Mutex
	done, troubled int
}

// newProgress begins to show the progress of work on so many hosts, or returns nil where out is no terminal or the hosts are few.
func newProgress(out io.Writer, total int) *progress {
	const few = 2
	if total < few || !canRedraw(out) {
		return nil
	}
	return startProgress(out, func() int { return terminalWidth(out) }, total)
}

func startProgress(out io.Writer, width func() int, total int) *progress {
	p := &progress{out: out, width: width, total: total, began: time.Now(), ended: make(chan struct{})}
	p.drawer.Go(p.draw)
	return p
}

// step counts one host as done.
func (p *progress) step(trouble bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
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

// line is what the terminal shows: "[=====>    ] 120/500 hosts, 3 with trouble, 4 s", no longer than it is wide.
func (p *progress) line(now time.Time) string {
	p.mu.Lock()
	done, troubled := p.done, p.troubled
	p.mu.Unlock()
	filled := min(barWidth*done/p.total, barWidth)
	bar := strings.Repeat("=", filled)
	if filled < barWidth {
		bar += ">" + strings.Repeat(" ", barWidth-filled-1)
	}
	line := fmt.Sprintf("[%s] %d/%d hosts", bar, done, p.total)
	if troubled > 0 {
		line += fmt.Sprintf(", %d with trouble", troubled)
	}
	line += fmt.Sprintf(", %d s", now.Sub(p.began)/time.Second)
	// A full line would wrap, and could not be cleared.
	return line[:min(len(line), max(p.width()-1, 0))]
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

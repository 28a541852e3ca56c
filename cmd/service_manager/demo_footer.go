package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"

	"service_manager/publish"
)

// A footer is the last line of a terminal, below what is written to it. It is safe for concurrent use. A nil footer shows nothing.
type footer struct {
	out   io.Writer
	width func() int // of the terminal, in columns

	mu   sync.Mutex
	line string // what is shown
}

// Write writes whole lines above the footer.
func (f *footer) Write(lines []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line == "" {
		return f.out.Write(lines)
	}
	written := bytes.Join([][]byte{[]byte(clearLine), lines, []byte(f.line)}, nil)
	if n, err := f.out.Write(written); err != nil {
		return min(max(n-len(clearLine), 0), len(lines)), err
	}
	return len(lines), nil
}

// set shows line, or as much of it as the terminal is wide: a full one would wrap, and could not be cleared.
func (f *footer) set(line string) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	line = ansi.Truncate(line, max(f.width()-1, 0), "…")
	if line != f.line {
		f.line = line
		_, _ = io.WriteString(f.out, clearLine+line) // A terminal that went away needs none.
	}
}

// end takes the footer away.
func (f *footer) end() { f.set("") }

// A feed prints messages for a person. It is safe for concurrent use.
type feed struct {
	out      io.Writer
	jsonl    bool // as they are
	statuses bool // those, too
	bounded  bool // to what a person can follow
	coloured bool

	mu      sync.Mutex
	repeats *repeats
	second  time.Time // the one that is going on,
	printed int       // in it,
	left    int       // out, since
	buffer  []byte
}

// mostPerSecond is how many lines a second of a bounded feed has at most.
const mostPerSecond = 10

func newFeed(out io.Writer, flags demoFlags) *feed {
	jsonl := flags.format == "jsonl"
	return &feed{
		out: out, jsonl: jsonl, statuses: jsonl || flags.once, bounded: !jsonl && !flags.once && canRedraw(out), coloured: colours(out),
		repeats: newRepeats(),
	}
}

// show prints a message.
func (f *feed) show(m publish.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.Type == publish.KindStatus && !f.statuses || f.repeats.again(m.ID) {
		return nil
	}
	now := time.Now()
	if f.bounded && !f.hasRoom(now) {
		f.left++
		return nil
	}
	if f.jsonl {
		f.buffer = publish.AppendLine(f.buffer[:0], m.Key, m.Body)
	} else {
		d := publish.Delivery{Key: m.Key, ID: m.ID, Time: m.Time, Body: m.Body}
		body, err := d.Decode()
		if err != nil {
			body = nil
		}
		f.buffer = lineOf(d, body, now).append(f.buffer[:0], now, f.coloured)
	}
	_, err := f.out.Write(f.buffer)
	return err
}

// hasRoom reports whether another line may be printed now.
func (f *feed) hasRoom(now time.Time) bool {
	if second := now.Truncate(time.Second); !second.Equal(f.second) {
		f.second, f.printed = second, 0
	}
	f.printed++
	return f.printed <= mostPerSecond
}

// rest tells how many messages were left out.
func (f *feed) rest(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 {
		fmt.Fprintf(f.out, "%s   … and %s more\n", clock(now, now), count(f.left, "event"))
		f.left = 0
	}
}

// An onlooker is a sender that shows what it sends.
type onlooker struct {
	sender
	show func(publish.Message) error
}

// Run implements [sender]. It also ends with the first failure to show a message.
func (o onlooker) Run(ctx context.Context, source publish.Source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failure error
	err := o.sender.Run(ctx, shownSource{source, func(m publish.Message) {
		if err := o.show(m); err != nil && failure == nil {
			failure = err
			cancel()
		}
	}})
	if failure != nil {
		return failure
	}
	return err
}

// A shownSource is a source whose messages are shown as they are taken.
type shownSource struct {
	publish.Source
	show func(publish.Message)
}

func (s shownSource) Take() (publish.Message, bool) {
	m, ok := s.Source.Take()
	if ok {
		s.show(m)
	}
	return m, ok
}

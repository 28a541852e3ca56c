package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"service_manager/publish"
)

// A viewer prints messages to out, and to notes what else a reader should know. It is for one goroutine.
type viewer struct {
	out, notes io.Writer
	jsonl      bool
	keys       []string
	left       int // messages still to print; negative: no end
	now        func() time.Time
	coloured   bool // out
	noteColour bool // notes
	away       bool // the broker
	repeats    *repeats
	sequences  *sequences
	buffer     []byte
	err        error // of a write to out
}

func newViewer(out, notes io.Writer, keys []string, flags tailFlags) *viewer {
	v := &viewer{
		out: out, notes: notes, jsonl: flags.format == "jsonl", keys: keys, left: flags.count, now: time.Now,
		coloured: colours(out), noteColour: colours(notes), repeats: newRepeats(), sequences: newSequences(keys),
	}
	if flags.count == 0 {
		v.left = -1
	}
	return v
}

// show prints a message, and reports whether that was the last one.
func (v *viewer) show(d publish.Delivery) (done bool) {
	body, err := d.Decode()
	if err != nil {
		body = nil
	}
	if !v.jsonl && v.repeats.again(d.ID) {
		return false
	}
	if note := v.sequences.note(body); note != "" {
		v.note(note)
	}
	if v.jsonl {
		v.buffer = publish.AppendLine(v.buffer[:0], d.Key, jsonBody(d.Body))
	} else {
		v.buffer = lineOf(d, body, v.now()).append(v.buffer[:0], v.now(), v.coloured)
	}
	if _, v.err = v.out.Write(v.buffer); v.err != nil {
		return true
	}
	if v.left > 0 {
		v.left--
	}
	return v.left == 0
}

func (v *viewer) bound(broker string, lost time.Time) {
	now := v.now()
	v.away = false
	if lost.IsZero() {
		v.note(fmt.Sprintf("receiving %s from %s; Ctrl-C ends it", strings.Join(v.keys, " "), broker))
		return
	}
	v.note(fmt.Sprintf("receiving again, from %s, after %s: what was sent since %s is missed, for the queue is a temporary one",
		broker, roughly(now.Sub(lost)), clock(lost, now)))
}

func (v *viewer) lost(err error, since time.Time) {
	if v.away {
		v.note(fmt.Sprintf("still without the broker, for %s: %v", roughly(v.now().Sub(since)), err))
		return
	}
	v.away = true
	v.note(fmt.Sprintf("lost the broker, connecting again; what is sent meanwhile is missed: %v", err))
}

func (v *viewer) dropped(n int) {
	v.note(count(n, "message") + " dropped, the oldest that waited: what reads the output is too slow")
}

// note prints what is no message.
func (v *viewer) note(text string) {
	now := v.now()
	line := printable(text)
	if v.noteColour {
		line = warning.paint(line)
	}
	fmt.Fprintf(v.notes, "%s %s\n", clock(now, now), line)
}

// exit is err, else the failure of a write.
func (v *viewer) exit(err error) error {
	if err == nil && v.err != nil {
		return failed(exitOwn, v.err)
	}
	return err
}

// clock is a time of day, with the date where that is not today's.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// roughly is d in seconds, "3s" or "1h2m3s".
func roughly(d time.Duration) string {
	if d < time.Second {
		return "less than 1s"
	}
	return d.Round(time.Second).String()
}

// jsonBody is a body as JSON on one line that a terminal can show: what is no JSON becomes a string, and control characters, which
// JSON allows within strings, are escaped.
func jsonBody(body []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		text, _ := json.Marshal(string(body)) // It makes any string JSON.
		b.Reset()
		b.Write(text)
	}
	var escaped []byte
	for _, r := range b.String() { // What is not UTF-8 becomes U+FFFD.
		switch {
		case !unicode.In(r, unicode.C, unicode.Zl, unicode.Zp):
			escaped = append(escaped, string(r)...)
		case r > 0xFFFF:
			const offset = 0x10000 // RFC 8259, section 7: a surrogate pair
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, 0xD800+(r-offset)>>10, 0xDC00+(r-offset)&0x3FF)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
	}
	return escaped
}

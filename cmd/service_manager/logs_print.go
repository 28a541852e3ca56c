package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"

	"service_manager/hosts/journalctl"
	"service_manager/inventory"
)

// A logWriter prints lines for people or, as json, for programs. What it has printed is written by flush.
type logWriter struct {
	out      *bufio.Writer
	format   string
	coloured bool
	several  bool // hosts
	glob     bool // the unit differs
	width    int  // of the longest host name
	lines    int  // printed so far
}

func newLogWriter(out io.Writer, format string, selected []inventory.Host, q journalctl.Query) *logWriter {
	w := &logWriter{
		out: bufio.NewWriterSize(out, 64<<10), format: format, coloured: colours(out), several: len(selected) > 1, glob: inventory.IsGlob(q.Unit),
	}
	for _, h := range selected {
		w.width = max(w.width, len(h.Name))
	}
	return w
}

func (w *logWriter) flush() error { return w.out.Flush() }

func (w *logWriter) print(l logLine) error {
	w.lines++
	switch w.format {
	case "short":
		return w.short(l)
	case "cat":
		return w.cat(l)
	}
	return w.json(l)
}

// short prints "web-01 Nov 26 10:00:00.123 nginx[812]: message". Of a message of several lines each has the same in front.
func (w *logWriter) short(l logLine) error {
	e := l.entry
	who := printable(e.Identifier)
	if e.PID != "" {
		who += "[" + printable(e.PID) + "]"
	}
	if w.glob {
		who = strings.TrimSpace(printable(e.Unit) + " " + who)
	}
	if who != "" {
		who += ": "
	}
	front := w.host(l) + " " + e.Time.Local().Format("Jan _2 15:04:05.000") + " " + who //nolint:gosmopolitan // The reader's zone is wanted.
	return w.message(front, e)
}

func (w *logWriter) cat(l logLine) error {
	front := ""
	if w.several {
		front = w.host(l) + " "
	}
	return w.message(front, l.entry)
}

// host is the name in front, in a colour of its own on a terminal.
func (w *logWriter) host(l logLine) string {
	name := fmt.Sprintf("%-*s", w.width, l.host)
	if !w.coloured || !w.several {
		return name
	}
	return "\x1b[" + hostColour(l.host) + "m" + name + "\x1b[0m"
}

// hostColour is the same for a host in each run. Red and yellow are kept for what is grave, and no two that look alike to people who do not
// tell red from green.
func hostColour(name string) string {
	colours := [...]string{"36", "34", "35", "96", "94", "95"} // ECMA-48 and its usual bright ones: cyan, blue, magenta
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // It never fails.
	return colours[hash.Sum32()%uint32(len(colours))]
}

func (w *logWriter) message(front string, e journalctl.Entry) error {
	text := strings.TrimRight(e.Message, "\n")
	if e.Cut {
		text += fmt.Sprintf("\n(cut off after %d bytes)", journalctl.MaxField)
	}
	for line := range strings.SplitSeq(text, "\n") {
		line = printable(strings.ReplaceAll(line, "\t", "    "))
		if colour := priorityColour(e.Priority); colour != "" && w.coloured {
			line = "\x1b[" + colour + "m" + line + "\x1b[0m"
		}
		if _, err := w.out.WriteString(front + line + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// priorityColour is as journalctl has it: red for errors, yellow for warnings, bold for notices, and faint for what is for debugging.
func priorityColour(priority int) string {
	switch {
	case priority < 0 || priority == 6:
		return ""
	case priority <= 3:
		return "1;31"
	case priority == 4:
		return "33"
	case priority == 5:
		return "1"
	}
	return "2"
}

// A loggedEntry is a line as JSON.
type loggedEntry struct {
	Host       string  `json:"host"`
	Time       string  `json:"time"` // by the host's clock, UTC
	Unit       *string `json:"unit"`
	Identifier *string `json:"identifier"`
	PID        *int    `json:"pid"`
	Priority   *int    `json:"priority"` // 0 to 7, as in syslog
	Message    string  `json:"message"`
	Cut        bool    `json:"message_cut"`
	BootID     *string `json:"boot_id"` // as in a status
	Cursor     string  `json:"cursor"`
}

// bootID is one as the kernel and a status write it, which the journal writes without dashes.
func bootID(id string) string {
	const digits = 32
	if len(id) != digits {
		return id
	}
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

func (w *logWriter) json(l logLine) error {
	e := l.entry
	entry := loggedEntry{
		Host: l.host, Time: e.Time.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), Unit: known(e.Unit), Identifier: known(e.Identifier),
		Message: e.Message, Cut: e.Cut, BootID: known(bootID(e.BootID)), Cursor: e.Cursor,
	}
	if pid, err := strconv.Atoi(e.PID); err == nil {
		entry.PID = &pid
	}
	if e.Priority >= 0 {
		entry.Priority = &e.Priority
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(entry); err != nil {
		return err
	}
	_, err := w.out.Write(append(jsonBody(text.Bytes()), '\n')) // A terminal may show it.
	return err
}

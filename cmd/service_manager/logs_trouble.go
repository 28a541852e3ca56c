package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
)

// logTrouble says why a host's journal is not read.
func logTrouble(err error) string {
	e, ok := errors.AsType[*hosts.Error](err)
	if !ok {
		return printable(err.Error())
	}
	if errors.Is(err, hosts.ErrNotConnected) {
		return "the connection broke, or the host did not show that it lives"
	}
	return printable(string(e.Outcome) + ": " + e.Err.Error())
}

// logTroubleOf is logTrouble on one line, with what mends it.
func logTroubleOf(h *logHost, err error) string {
	if errors.Is(err, journalctl.ErrNotPermitted) {
		return "denied: " + h.host.SSH.User + " may not read the journal there; to allow that: " + allowLogs(h.host.SSH.User)
	}
	return logTrouble(err)
}

// heldBack keeps what is to be told while a progress bar is drawn, which it would garble. It is safe for concurrent use.
type heldBack struct {
	mu     sync.Mutex
	lines  []string
	opened bool
}

func (b *heldBack) tell(out io.Writer, line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines = append(b.lines, line); b.opened {
		b.print(out)
	}
}

// open prints what was kept, and from now on all at once.
func (b *heldBack) open(out io.Writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened = true
	b.print(out)
}

func (b *heldBack) print(out io.Writer) {
	for _, line := range b.lines {
		fmt.Fprintln(out, line)
	}
	b.lines = nil
}

// tellLogTroubles tells why journals were not read, hosts with the same reason together, and how to allow it where that is the reason.
func tellLogTroubles(out io.Writer, troubled []*logHost) {
	var (
		reasons []string
		same    = make(map[string][]*logHost)
	)
	for _, h := range troubled {
		if h.told {
			continue
		}
		reason := logTrouble(h.trouble)
		if errors.Is(h.trouble, journalctl.ErrNotPermitted) {
			reason = howToAllowLogs(h.host.SSH.User)
		}
		if same[reason] == nil {
			reasons = append(reasons, reason)
		}
		same[reason] = append(same[reason], h)
	}
	for _, reason := range reasons {
		names := logHostNames(same[reason])
		who := enumerate(names)
		if errors.Is(same[reason][0].trouble, journalctl.ErrNotPermitted) {
			who = strings.Join(names, ", ") // Something is to be done on each.
		}
		fmt.Fprintf(out, "%s: %s\n", who, reason)
	}
}

func logHostNames(hh []*logHost) []string {
	names := make([]string, len(hh))
	for i, h := range hh {
		names[i] = h.host.Name
	}
	return names
}

// howToAllowLogs says what a host lacks whose account may not read the journal.
func howToAllowLogs(user string) string {
	return strings.Join([]string{
		"denied: " + user + " may not read the journal there. To allow that, on each of these hosts:",
		"  " + allowLogs(user),
		"That group may read all of the journal and nothing else. It counts from the next login on.",
	}, "\n")
}

// allowLogs is the command that allows an account to read the journal.
func allowLogs(user string) string {
	return "sudo usermod --append --groups systemd-journal " + shellWord(user)
}

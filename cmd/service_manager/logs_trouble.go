package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

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
		return printable("the connection broke: " + e.Err.Error())
	}
	return printable(string(e.Outcome) + ": " + e.Err.Error())
}

// tellLogTroubles tells why journals were not read, hosts with the same reason together, and how to allow it where that is the reason.
func tellLogTroubles(out io.Writer, troubled []*logHost) {
	var (
		reasons []string
		same    = make(map[string][]*logHost)
	)
	for _, h := range troubled {
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
		"  sudo usermod --append --groups systemd-journal " + shellWord(user),
		"That group may read all of the journal and nothing else. It counts from the next login on.",
	}, "\n")
}

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"service_manager/hosts"
	"service_manager/publish"
)

// A mood is how a message is to be taken.
type mood int

const (
	calm mood = iota
	better
	warning
	trouble
)

// paint colours s as it is meant.
func (m mood) paint(s string) string {
	colour := map[mood]string{better: "32", warning: "33", trouble: "1;31"}[m] // ECMA-48: green, yellow, bold and red
	if colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// A line is what a person is told of a message.
type line struct {
	at   time.Time
	who  string // host, collector or routing key
	text string
	mood mood
}

// append appends "10:00:00 ! web-01 nginx.service active → failed" and a newline. What the message says is made safe for a terminal.
func (l line) append(to []byte, now time.Time, coloured bool) []byte {
	text := printable(l.who + " " + l.text)
	if coloured {
		text = l.mood.paint(text)
	}
	mark := " "
	if l.mood == trouble {
		mark = "!"
	}
	return fmt.Appendf(to, "%s %s %s\n", clock(l.at, now), mark, text)
}

// lineOf describes a message by its decoded body, nil where that is not known.
func lineOf(d publish.Delivery, body any, now time.Time) line {
	switch b := body.(type) {
	case publish.Status:
		return statusLine(b)
	case publish.Event:
		return eventLine(b, now)
	case publish.Notice:
		return noticeLine(b)
	}
	at := d.Time
	if at.IsZero() {
		at = now
	}
	return line{at: at, who: d.Key, text: rawText(d.Body)}
}

// rawText is a body as it is, on one line of bounded length.
func rawText(body []byte) string {
	const most = 2000
	var b bytes.Buffer
	if json.Compact(&b, body) == nil {
		body = b.Bytes()
	}
	if len(body) > most {
		return strings.ToValidUTF8(string(body[:most]), "") + fmt.Sprintf("… (%d bytes)", len(body))
	}
	return strings.ToValidUTF8(string(body), "�")
}

func statusLine(s publish.Status) line {
	l := line{at: s.Time.Time, who: s.Host.Name}
	if s.Outcome != string(hosts.OK) {
		l.mood, l.text = trouble, outcomeText(s.Outcome, s.Error)
		return l
	}
	l.text = s.Outcome + ", no units watched"
	if len(s.Units) > 0 {
		l.text = s.Outcome + ", " + count(len(s.Units), "unit")
	}
	troubled := make(map[string][]string)
	var words []string // in the order of the units
	for _, u := range s.Units {
		if !inTrouble(u) {
			continue
		}
		word := unitWord(u)
		if troubled[word] == nil {
			words = append(words, word)
		}
		troubled[word] = append(troubled[word], u.Name)
	}
	for _, word := range words {
		l.mood = trouble
		l.text += fmt.Sprintf(", %d %s: %s", len(troubled[word]), word, enumerate(troubled[word]))
	}
	return l
}

// outcomeText is an outcome and, if there is one, the reason.
func outcomeText(outcome string, reason *string) string {
	if reason == nil {
		return outcome
	}
	return outcome + ": " + *reason
}

func noticeLine(n publish.Notice) line {
	total := 0
	for _, hosts := range n.Hosts {
		total += hosts
	}
	parts := []string{"collector " + strings.ReplaceAll(n.Event, "_", " ")}
	if n.Event == publish.CollectorStarted && n.Version != "" {
		parts[0] += ", version " + n.Version
	}
	parts = append(parts, count(total, "host")+inOrder(n.Hosts))
	if n.OldestDataSeconds != nil {
		parts = append(parts, "oldest data "+roughly(time.Duration(*n.OldestDataSeconds*float64(time.Second))))
	}
	l := line{at: n.Time.Time, who: n.Collector}
	if r := n.Reload; r != nil && r.Error != nil {
		l.mood = trouble
		parts = append(parts, *r.Error)
	} else if r != nil {
		parts = append(parts, fmt.Sprintf("%d added, %d changed, %d removed", r.Added, r.Changed, r.Removed))
	}
	if n.Outbox.Events > 0 {
		parts = append(parts, count(n.Outbox.Events, "event")+" waiting for the broker")
	}
	if n.Outbox.Dropped > 0 {
		l.mood = warning
		parts = append(parts, fmt.Sprintf("%d dropped that no queue was bound for", n.Outbox.Dropped))
	}
	if n.Outbox.Quarantined > 0 {
		l.mood = warning
		parts = append(parts, fmt.Sprintf("%d set aside that the broker refuses", n.Outbox.Quarantined))
	}
	if n.Outbox.Full {
		l.mood = trouble
		parts = append(parts, "no room for more events")
	}
	l.text = strings.Join(parts, ", ")
	return l
}

func eventLine(e publish.Event, now time.Time) line {
	l := line{at: e.ObservedAt.Time, who: e.Host.Name, mood: eventMood(e)}
	switch {
	case e.Gap != nil:
		l.text = gapText(*e.Gap, now)
	case e.Unit != nil:
		l.text = *e.Unit + " " + unitEventText(e)
	default:
		l.text = hostEventText(e)
	}
	const notable = time.Minute
	if e.HappenedAt != nil && e.ObservedAt.Sub(e.HappenedAt.Time) >= notable {
		l.text += ", at " + clock(e.HappenedAt.Time, now)
	}
	if e.Suppressed > 0 {
		l.text += fmt.Sprintf(" (it changes often: %s left out)", count(e.Suppressed, "poll"))
	}
	return l
}

func eventMood(e publish.Event) mood {
	switch e.Event {
	case publish.UnitFailed, publish.UnitMissing, publish.HostUnreachable, publish.HostKeyChanged:
		return trouble
	case publish.UnitRecovered, publish.UnitAppeared, publish.HostRecovered:
		return better
	case publish.UnitRestarted, publish.HostRebooted, publish.HostRemoved, publish.Gap:
		return warning
	}
	if e.After != nil && e.After.Unit != nil && inTrouble(unitOf(*e.After.Unit)) {
		return trouble
	}
	return calm
}

func gapText(g publish.GapInfo, now time.Time) string {
	which := "events"
	if g.FirstSeq != nil && g.LastSeq != nil {
		which = fmt.Sprintf("events %d..%d", *g.FirstSeq, *g.LastSeq)
		if *g.FirstSeq == *g.LastSeq {
			which = fmt.Sprintf("event %d", *g.FirstSeq)
		}
	}
	since := ", since " + clock(g.Since.Time, now)
	switch g.Reason {
	case publish.GapOutboxFull:
		return "what came and went is not told: the collector had no room for more events" + since
	case publish.GapUnroutable:
		return which + " dropped: no queue was bound for them" + since
	case publish.GapRefused:
		return which + " set aside: the broker refuses them" + since
	}
	return which + " missing: " + g.Reason + since
}

// hostEventText says what happened to a whole host.
func hostEventText(e publish.Event) string {
	switch e.Event {
	case publish.HostRebooted:
		return "rebooted"
	case publish.HostRemoved:
		return "removed from the inventory"
	}
	var before, after *publish.HostState
	if e.Before != nil {
		before = e.Before.Host
	}
	if e.After != nil {
		after = e.After.Host
	}
	switch {
	case after == nil:
		return e.Event
	case before == nil || before.Outcome == after.Outcome:
		return outcomeText(after.Outcome, after.Error)
	}
	return before.Outcome + " → " + outcomeText(after.Outcome, after.Error)
}

// unitEventText says what has changed of a unit.
func unitEventText(e publish.Event) string {
	var before, after *publish.UnitState
	if e.Before != nil {
		before = e.Before.Unit
	}
	if e.After != nil {
		after = e.After.Unit
	}
	parts := []string{stateChange(e.Event, before, after)}
	if after != nil && e.Event != publish.UnitRecovered {
		if why := note(unitOf(*after)); why != "" {
			parts[0] += " (" + why + ")"
		}
	}
	if e.Event == publish.UnitRestarted {
		parts = append(parts, restartText(e.Restarts))
	}
	if before != nil && after != nil {
		parts = append(parts, otherChanges(*before, *after)...)
		// systemd forgets the invocation of a unit that is inactive and that nothing wants.
		if e.Event == publish.UnitChanged && len(parts) == 1 && after.InvocationID != nil && deref(before.InvocationID) != *after.InvocationID {
			parts = append(parts, "started in between")
		}
	}
	return strings.Join(parts, ", ")
}

// stateChange is "active → failed", with the sub states where these alone make the difference.
func stateChange(event string, before, after *publish.UnitState) string {
	switch {
	case before == nil && after == nil:
		return event
	case after == nil:
		return unitWord(unitOf(*before)) + " → no longer listed"
	case before == nil:
		return "appeared, " + unitWord(unitOf(*after))
	}
	from, to := unitOf(*before), unitOf(*after)
	switch {
	case unitWord(from) != unitWord(to):
		return unitWord(from) + " → " + unitWord(to)
	case event == publish.UnitFailed:
		return "failed again"
	case event != publish.UnitRestarted && unitState(from) != unitState(to):
		return unitState(from) + " → " + unitState(to)
	}
	return unitWord(to)
}

func restartText(times int) string {
	if times > 1 {
		return fmt.Sprintf("restarted %d times", times)
	}
	return "restarted"
}

// otherChanges are those beside the states, of a unit that has a file.
func otherChanges(before, after publish.UnitState) []string {
	const loaded = "loaded"
	if before.LoadState != loaded || after.LoadState != loaded {
		return nil
	}
	var parts []string
	if from, to := deref(before.UnitFileState), deref(after.UnitFileState); from != to {
		parts = append(parts, fmt.Sprintf("unit file %s → %s", cmp.Or(from, "none"), cmp.Or(to, "none")))
	}
	reload := func(u publish.UnitState) bool { return u.NeedDaemonReload != nil && *u.NeedDaemonReload }
	switch {
	case reload(after) && !reload(before):
		parts = append(parts, "its file has changed: daemon-reload needed")
	case reload(before) && !reload(after):
		parts = append(parts, "its file was reloaded")
	}
	return parts
}

// unitOf is a unit as far as an event tells of it.
func unitOf(u publish.UnitState) publish.Unit {
	return publish.Unit{
		Name: u.Name, LoadState: u.LoadState, ActiveState: u.ActiveState, SubState: u.SubState, Result: u.Result,
		ExitCode: u.ExitCode, ExitStatus: u.ExitStatus,
	}
}

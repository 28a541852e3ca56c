package fleet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"service_manager/hosts/journalctl"
	"service_manager/hosts/systemctl"
)

// kept is from how long before the start of the simulation on a journal has what services log themselves. That is made up when it is asked
// for.
const kept = 6 * time.Hour

// begin is when the journal begins, but for what systemd logs.
func (h *host) begin() int64 { return h.start.Add(-kept).UnixMicro() }

// mostTransitions is how many of a unit the journal keeps.
const mostTransitions = 64

// A transition is a change of a unit's substate, of which systemd logs something.
type transition struct {
	at       int64 // in microseconds since 1970, as are all times in a journal
	pid      int32 // of the main process before, else after
	restarts int32
	from, to uint8 // places in substates
	code     uint8 // as unit.exitCode
	status   uint8
	silent   bool // the host went down
}

// substates are those that a transition knows.
func substates() [10]string {
	return [...]string{
		subDead, subStart, subRunning, subReload, subStopSigterm, subFailed, subAutoRestart, subWaiting, subListening, subMounted,
	}
}

func substate(sub string) uint8 {
	known := substates()
	return uint8(max(0, slices.Index(known[:], sub))) //nolint:gosec // G115: below 10.
}

// remember keeps a transition of u to a substate.
func (u *unit) remember(at time.Time, to string, silent bool) {
	if len(u.history) == mostTransitions {
		u.history = slices.Delete(u.history, 0, 1)
	}
	t := transition{
		at: at.UnixMicro(), pid: int32(u.mainPID), restarts: int32(u.restarts), from: substate(u.sub), to: substate(to), //nolint:gosec // G115: small.
		code: uint8(u.exitCode), status: uint8(u.exitStatus), silent: silent, //nolint:gosec // G115: as of a process.
	}
	if last := len(u.history) - 1; t.pid == 0 && last >= 0 {
		t.pid = u.history[last].pid
	}
	if last := len(u.history) - 1; last >= 0 {
		t.at = max(t.at, u.history[last].at) // Who boots a host by command does so in the past.
	}
	u.history = append(u.history, t)
}

// A place is where an entry stands in the journal of a host: entries of one moment are in the order of the units, and of each as they came.
type place struct {
	at    int64
	order int
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.order, q.order))
}

// parseCursor reads the place of a cursor; of one that is not this host's it is the beginning.
func parseCursor(cursor string) place {
	var p place
	for field := range strings.SplitSeq(cursor, ";") {
		name, value, _ := strings.Cut(field, "=")
		number, err := strconv.ParseInt(value, 16, 64)
		switch {
		case err != nil:
		case name == "t":
			p.at = number
		case name == "i":
			p.order = int(number)
		}
	}
	return p
}

// A logged is an entry and its place.
type logged struct {
	place
	journalctl.Entry
}

// journal is what the journal holds of what q asks for, from one moment up to, but not including, another.
func (h *host) journal(q journalctl.Query, from, to int64) []journalctl.Entry {
	var all []logged
	after := place{at: math.MinInt64}
	if q.After != "" {
		after = parseCursor(q.After)
	}
	low, high := priorities(q.Priority)
	isGlob := strings.ContainsAny(q.Unit, "*?[") // Matching one costs more than all the rest.
	for i, u := range h.units {
		if q.Unit != u.name && q.Unit != u.alias && (!isGlob || !systemctl.MatchGlob(q.Unit, u.name)) {
			continue
		}
		for _, e := range h.entries(u, i, from, to) {
			if low <= e.Priority && e.Priority <= high && e.compare(after) >= 0 {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b logged) int { return a.compare(b.place) })
	entries := make([]journalctl.Entry, len(all))
	for i, e := range all {
		entries[i] = h.complete(e)
	}
	return entries
}

// complete adds to an entry what it has from its host.
func (h *host) complete(e logged) journalctl.Entry {
	e.BootID = h.bootID
	if booted := h.booted.UnixMicro(); e.at < booted && h.formerBootID != "" {
		e.BootID = h.formerBootID
	}
	e.Time = time.UnixMicro(e.at)
	e.BootID = strings.ReplaceAll(e.BootID, "-", "") // As the journal writes it.
	e.Cursor = fmt.Sprintf("s=%032x;i=%x;b=%s;m=%x;t=%x;x=%x", h.voiceSeed, e.order, e.BootID, e.at, e.at,
		scramble(h.voiceSeed, uint64(e.at), uint64(e.order))) //nolint:gosec // G115: bits.
	return e.Entry
}

// newest are the last n entries before a moment.
func (h *host) newest(q journalctl.Query, n int, from, to int64) []journalctl.Entry {
	const most = 90 * 24 * time.Hour // longer than a host has been up
	var entries []journalctl.Entry
	for span := time.Minute; n > 0; span *= 2 {
		begin := max(from, to-span.Microseconds())
		if entries = h.journal(q, begin, to); len(entries) >= n || begin == from || span > most {
			break
		}
	}
	return entries[max(0, len(entries)-n):]
}

// entries are those of one unit, which is at that index.
func (h *host) entries(u *unit, index int, from, to int64) []logged {
	var all []logged
	last := place{at: math.MinInt64}
	add := func(at int64, e journalctl.Entry) {
		if at < from || at >= to {
			return
		}
		next := place{at, index << 16}
		if last.at == at {
			next.order = last.order + 1
		}
		last = next
		e.Unit = u.name
		all = append(all, logged{next, e})
	}
	speaks := func(since, until int64, pid int32) {
		since = max(since, from, h.begin())
		u.voice.speak(scramble(h.voiceSeed, uint64(index), 0), since, min(until, to), func(at int64, priority int, message string) { //nolint:gosec // G115: small.
			add(at, journalctl.Entry{Priority: priority, Identifier: u.voice.identifier, PID: strconv.Itoa(int(pid)), Message: message})
		})
	}
	since, pid := int64(math.MaxInt64), int32(0) // of the process that runs
	for i, t := range u.history {
		if i == 0 && t.isUp(t.from) {
			since = 0
		}
		if since < t.at {
			speaks(since, t.at, t.pid)
		}
		since = math.MaxInt64
		if t.isUp(t.to) {
			since, pid = t.at, t.pid
		}
		if t.at >= from && t.at < to {
			h.tell(u, t, add)
		}
	}
	if since < to {
		speaks(since, to, pid)
	}
	return all
}

// isUp reports whether a service has a process in that substate.
func (transition) isUp(sub uint8) bool {
	switch substates()[sub] {
	case subStart, subRunning, subReload, subStopSigterm:
		return true
	}
	return false
}

// The priorities that are logged with.
const (
	prioErr     = 3
	prioWarning = 4
	prioNotice  = 5
	prioInfo    = 6
)

// tell adds what is logged about a transition: by the service, if it is its end, and by systemd, as in its src/core/unit.c, job.c and service.c.
func (h *host) tell(u *unit, t transition, add func(at int64, e journalctl.Entry)) {
	systemd := func(priority int, format string, args ...any) {
		add(t.at, journalctl.Entry{Priority: priority, Identifier: "systemd", PID: "1", Message: fmt.Sprintf(format, args...)})
	}
	known := substates()
	from, to := known[t.from], known[t.to]
	named := u.name + " - " + u.description
	deactivated := "Deactivated successfully."
	if strings.HasPrefix(h.systemd, "247") {
		named, deactivated = u.description, "Succeeded."
	}
	switch {
	case t.silent:
	case from == subAutoRestart && to == subStart:
		systemd(prioInfo, "%s: Scheduled restart job, restart counter is at %d.", u.name, t.restarts)
		systemd(prioInfo, "Starting %s...", named)
	case to == subStart:
		systemd(prioInfo, "Starting %s...", named)
	case from == subStart && to == subRunning, to == subWaiting && from == subDead:
		systemd(prioInfo, "Started %s.", named)
	case to == subListening && from == subDead:
		systemd(prioInfo, "Listening on %s.", named)
	case to == subMounted:
		systemd(prioInfo, "Mounted %s.", named)
	case to == subReload:
		systemd(prioInfo, "Reloading %s...", named)
	case from == subReload && to == subRunning:
		systemd(prioInfo, "Reloaded %s.", named)
	case to == subStopSigterm:
		systemd(prioInfo, "Stopping %s...", named)
	case to == subDead && from == subStopSigterm:
		systemd(prioInfo, "%s: %s", u.name, deactivated)
		systemd(prioInfo, "Stopped %s.", named)
	case to == subDead && from == subStart:
		systemd(prioInfo, "%s: %s", u.name, deactivated)
		systemd(prioInfo, "Finished %s.", named)
	case to == subFailed, to == subAutoRestart && from != subFailed:
		h.tellFailure(u, t, add, systemd)
		if from == subStart {
			systemd(prioErr, "Failed to start %s.", named)
		}
	}
}

// tellFailure adds how the main process ended.
func (h *host) tellFailure(u *unit, t transition, add func(at int64, e journalctl.Entry), systemd func(priority int, format string, args ...any)) {
	code, priority, result := "exited", prioNotice, "exit-code"
	status := fmt.Sprintf("%d/FAILURE", t.status)
	switch int(t.code) {
	case cldKilled:
		code, priority, result, status = "killed", prioWarning, "signal", fmt.Sprintf("%d/KILL", t.status)
	case cldDumped:
		code, priority, result, status = "dumped", prioWarning, "core-dump", fmt.Sprintf("%d/SEGV", t.status)
	default:
		if u.voice.lastWords != "" {
			add(t.at, journalctl.Entry{
				Priority: prioErr, Identifier: u.voice.identifier, PID: strconv.Itoa(int(t.pid)), Message: u.voice.lastWords,
			})
		}
	}
	systemd(priority, "%s: Main process exited, code=%s, status=%s", u.name, code, status)
	systemd(prioWarning, "%s: Failed with result '%s'.", u.name, result)
}

// priorities are the lowest and highest number that a query's priority stands for.
func priorities(asked string) (low, high int) {
	number := func(word string) int { return slices.Index(journalctl.Priorities(), word) }
	from, to, isRange := strings.Cut(asked, "..")
	switch {
	case asked == "":
		return 0, math.MaxInt
	case isRange:
		return number(from), number(to)
	}
	return 0, number(from)
}

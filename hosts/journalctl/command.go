package journalctl

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"service_manager/hosts/systemctl"
)

// The command is run on the host as `sh -c SCRIPT sh FLAG...`, and its standard input is kept open: the end of that is how it learns
// that no one reads any more, whether the session was closed, the connection broke, or this program was killed. sshd tells a command
// nothing else, and journalctl --follow would notice only with the next line (before systemd 239), which may never come.
//
// Before journalctl asks, the script makes sure that the account may read what system services log: journalctl --unit keeps silent about that, and prints
// nothing. --system would not do for the question itself, since the lines of a service with a regular user are in that user's journal.
//
// What the login shell prints comes before a line with a nonce, as in package systemctl. The script is written for any login shell, as those
// are: no newline, no single quote, no backslash, and no exclamation mark that a csh would take for the history's.
const (
	script = `exec 3<&0 </dev/null; export LC_ALL=C TZ=UTC SYSTEMD_COLORS=0; n=$1; shift; ` +
		`k() { journalctl "$@" 3<&- & j=$!; { read -r x <&3; kill "$j"; } >/dev/null 2>&1 & w=$!; wait "$j"; r=$?; kill "$w" 2>/dev/null; return "$r"; }; ` +
		`k --quiet --system --lines=0 >/dev/null || exit; printf "\n--BEGIN-%s journal\n" "$n"; k "$@"; exit`
	commandStart = "exec sh -c '" + script + "' sh "
)

// section is what the answer is called in the line before it.
const section = "journal"

// The flags of journalctl.
const (
	fixedFlags = "--no-pager --output=export"
	fieldsFlag = "--output-fields=" + "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID,SYSLOG_PID,_SYSTEMD_UNIT,UNIT,COREDUMP_UNIT"

	unitFlag     = "--unit="
	followFlag   = "--follow"
	noTailFlag   = "--no-tail"
	linesFlag    = "--lines="
	sinceFlag    = "--since=@"
	untilFlag    = "--until=@"
	priorityFlag = "--priority="
	afterFlag    = "--cursor="
)

// All stands for no bound on the lines.
const All = -1

// A Query asks for log entries of units, oldest first.
type Query struct {
	Unit     string    // name with suffix, or a glob of such names
	Lines    int       // the newest so many, or All
	Follow   bool      // then those to come, without end
	Since    time.Time // by the host's clock; zero: from the beginning
	Until    time.Time // likewise; zero: to the end
	Priority string    // as ParsePriority returns it; empty: all
	// After is the cursor of an entry: what comes from there on, whatever Since says. The entry itself is the first of the answer, if the
	// journal still has it; journalctl's --after-cursor leaves out the first one whether it is that or not.
	After string
	// Nonce tells the answer from noise, as in a systemctl.Query.
	Nonce string

	// Old leaves out what journalctl learnt in systemd 236. The answer is longer.
	Old bool
}

// Command returns the command line to run on the host. The error says which part of q must not be sent.
func (q Query) Command() (string, error) {
	if err := q.check(); err != nil {
		return "", err
	}
	words := make([]string, 0, 8)
	add := func(is bool, word string) {
		if is {
			// A csh has no way to take an exclamation mark for what it is in all places; in brackets ^ means the same.
			words = append(words, systemctl.Escape(strings.ReplaceAll(word, "[!", "[^")))
		}
	}
	add(!q.Old, fieldsFlag)
	add(true, unitFlag+q.Unit)
	add(q.Lines >= 0, linesFlag+strconv.Itoa(q.Lines))
	add(q.Follow, followFlag)
	add(q.Follow && q.Lines < 0, noTailFlag)
	add(!q.Since.IsZero() && q.After == "", sinceFlag+formatTime(q.Since)) // journalctl takes one of them only.
	add(!q.Until.IsZero(), untilFlag+formatTime(q.Until))
	add(q.Priority != "", priorityFlag+q.Priority)
	add(q.After != "", afterFlag+q.After)
	return commandStart + q.Nonce + " " + fixedFlags + " " + strings.Join(words, " "), nil
}

func (q Query) check() error {
	if err := systemctl.CheckGlob(q.Unit); err != nil {
		return err
	}
	if !systemctl.IsNonce(q.Nonce) {
		return fmt.Errorf("nonce %q: not 32 characters of 0-9a-f", q.Nonce)
	}
	if q.Lines < All {
		return fmt.Errorf("%d lines: not a number of lines", q.Lines)
	}
	if q.Priority != "" {
		if known, err := ParsePriority(q.Priority); err != nil || known != q.Priority {
			return fmt.Errorf("priority %q: not written as ParsePriority does", q.Priority)
		}
	}
	if strings.Trim(q.After, cursorChars) != "" {
		return fmt.Errorf("cursor %q: not one of systemd's", q.After)
	}
	return nil
}

// cursorChars are those of a cursor such as s=…;i=4f;b=…;m=…;t=…;x=….
const cursorChars = "abcdefghijklmnopqrstuvwxyz0123456789=;"

// ParseCommand returns what cmd asks for. It takes what Query.Command writes and refuses everything else.
func ParseCommand(cmd string) (Query, error) {
	errOther := errors.New("not a question for the journal as this program asks it")
	line, ok := strings.CutPrefix(cmd, commandStart)
	nonce, line, fixed := strings.Cut(line, " "+fixedFlags+" ")
	if !ok || !fixed {
		return Query{}, errOther
	}
	q := Query{Lines: All, Old: true, Nonce: nonce}
	for word := range strings.SplitSeq(line, " ") {
		var err error
		if q, err = q.with(systemctl.Unescape(word)); err != nil {
			return Query{}, err
		}
	}
	if written, err := q.Command(); err != nil || written != cmd {
		return Query{}, errors.Join(errOther, err)
	}
	return q, nil
}

// with is the query with one more flag.
func (q Query) with(word string) (_ Query, err error) {
	flag, value, _ := strings.Cut(word, "=")
	switch flag + "=" {
	case unitFlag:
		q.Unit = value
	case linesFlag:
		q.Lines, err = strconv.Atoi(value)
	case priorityFlag:
		q.Priority = value
	case afterFlag:
		q.After = value
	case strings.TrimSuffix(sinceFlag, "@"):
		q.Since, err = parseTime(value)
	case strings.TrimSuffix(untilFlag, "@"):
		q.Until, err = parseTime(value)
	default:
		q.Old = q.Old && word != fieldsFlag
		q.Follow = q.Follow || word == followFlag
	}
	return q, err
}

// formatTime writes t in seconds, as systemd.time(7) has it behind an @.
func formatTime(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + fmt.Sprintf(".%06d", t.Nanosecond()/int(time.Microsecond))
}

func parseTime(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(s, "@"), ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	micros, err2 := strconv.ParseUint(fraction, 10, 32)
	if err := errors.Join(err, err2); err != nil || micros > math.MaxInt32 {
		return time.Time{}, fmt.Errorf("time %q: not a number of seconds", s)
	}
	return time.Unix(seconds, int64(micros)*int64(time.Microsecond)), nil
}

// Priorities are the words for 0 to 7 (syslog(3)).
func Priorities() []string {
	return []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
}

// ParsePriority reads a priority, which stands for itself and all graver ones, or a range FROM..TO, in words or numbers.
func ParsePriority(s string) (string, error) {
	from, to, isRange := strings.Cut(s, "..")
	low, high := priority(from), priority(to)
	switch {
	case low < 0 || isRange && high < 0:
		return "", fmt.Errorf("priority %q: write one of %s, or a range such as err..warning", s, strings.Join(Priorities(), ", "))
	case isRange:
		return Priorities()[min(low, high)] + ".." + Priorities()[max(low, high)], nil
	}
	return Priorities()[low], nil
}

// priority is the number of a priority, -1 where there is none of that name.
func priority(word string) int {
	if n, err := strconv.Atoi(word); err == nil && 0 <= n && n < len(Priorities()) {
		return n
	}
	if word == "error" || word == "warn" {
		word = map[string]string{"error": "err", "warn": "warning"}[word]
	}
	return slices.Index(Priorities(), word)
}

package systemctl

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The sections of an answer, in their order. There is one SectionUnits for each group.
const (
	SectionManager = "manager"
	SectionBoot    = "boot"
	SectionUnits   = "units"
)

// maxCommand leaves room below MAX_ARG_STRLEN of Linux, 128 KiB, since sshd hands the whole command to the login shell
// as one argument.
const maxCommand = 100 << 10

// script runs on the host as `sh -c script sh NONCE MANAGER-PROPERTIES GROUP...`, where a GROUP is
// PROPERTY,PROPERTY.../UNIT,UNIT... It never changes from poll to poll, so that a forced command can compare it byte by
// byte. It forks for nothing but systemctl, stops at the first systemctl that fails, and ends with its exit status.
//
// The trap makes it outlive SIGTERM for as long as systemctl does. Without, timeout(1) would see its child gone, never
// send SIGKILL, and leave behind a systemctl that ignores SIGTERM and holds the SSH session open. Behind a trap no END
// marker is printed, whatever systemctl had to say.
//
// It is quoted once more for a login shell that may be csh or fish: no newline, no single quote, no exclamation mark,
// no doubled backslash. Below 1,000 bytes it also fits into one word of an old csh.
const script = `trap "exit 124" TERM; exec </dev/null; set -f; IFS=,; export LC_ALL=C TZ=UTC SYSTEMD_COLORS=0 SYSTEMD_PAGER=; n=$1 i=; ` +
	`b() { printf "\n--BEGIN-%s %s\n" "$n" "$1"; }; ` +
	`e() { r=$?; printf "\n--END-%s %s %d\n" "$n" "$1" "$r"; [ "$r" = 0 ] || exit "$r"; }; ` +
	`s() { systemctl --no-pager --no-ask-password show "$@"; }; ` +
	`b manager; s "--property=$2"; e manager; ` +
	`b boot; { read -r i </proc/sys/kernel/random/boot_id; } 2>/dev/null; printf "%s\n" "$i"; e boot; shift 2; ` +
	`for g do b units; s "--property=${g%%/*}" -- ${g#*/}; e units; done`

// The fixed parts of a command. Of the login shell nothing is left (exec), and what still runs after the limit is
// ended with SIGTERM to its process group, a second later with SIGKILL.
const (
	commandStart  = "exec timeout -k 1 "
	commandScript = " sh -c '" + script + "' sh "
)

// BeginMarker returns the line, with the newline before it, that opens a section on stdout.
func BeginMarker(nonce, section string) string {
	return "\n--BEGIN-" + nonce + " " + section + "\n"
}

// EndMarker returns the line, with the newline before it, that closes a section on stdout.
func EndMarker(nonce, section string, exitCode int) string {
	return endMarkerStart(nonce, section) + strconv.Itoa(exitCode) + "\n"
}

func endMarkerStart(nonce, section string) string {
	return "\n--END-" + nonce + " " + section + " "
}

// A Group is one run of `systemctl show` over some units.
type Group struct {
	Properties []string
	Units      []string
}

// A Request is what a command asks for, as the far side sees it. It answers with the sections in their order, each
// between BeginMarker and EndMarker.
type Request struct {
	Nonce             string
	Limit             time.Duration
	ManagerProperties []string
	Groups            []Group
}

// command writes r as a command line. Its words need no quotes: nothing in them but the backslash means anything to a
// shell.
func (r Request) command() string {
	var line strings.Builder
	line.WriteString(commandStart)
	line.WriteString(formatSeconds(r.Limit))
	line.WriteString(commandScript)
	line.WriteString(r.Nonce)
	line.WriteByte(' ')
	line.WriteString(strings.Join(r.ManagerProperties, ","))
	for _, group := range r.Groups {
		line.WriteByte(' ')
		line.WriteString(strings.Join(group.Properties, ","))
		line.WriteByte('/')
		line.WriteString(strings.ReplaceAll(strings.Join(group.Units, ","), `\`, `\\`))
	}
	return line.String()
}

// formatSeconds writes limit as timeout(1) takes it: with a fraction, which GNU coreutils knows since before 8.21.
func formatSeconds(limit time.Duration) string {
	milliseconds := math.Ceil(float64(limit) / float64(time.Millisecond))
	return strconv.FormatFloat(milliseconds/1000, 'f', -1, 64)
}

// ParseCommand returns what cmd asks for. It is strict: it takes what Query.Command writes and refuses everything
// else, the same in other words included. Property names are only checked for their form, since another version of this
// program may ask for others; whoever answers decides which ones to tell.
func ParseCommand(cmd string) (Request, error) {
	timing, arguments, ok := strings.Cut(cmd, commandScript)
	seconds, startsSo := strings.CutPrefix(timing, commandStart)
	if !ok || !startsSo {
		return Request{}, errors.New("not a command of this program, or of another version of it")
	}
	limit, err := strconv.ParseFloat(seconds, 64)
	if err != nil || !(limit > 0 && limit < math.MaxInt32) {
		return Request{}, fmt.Errorf("time limit %q: not a number of seconds", seconds)
	}
	words := strings.Split(arguments, " ")
	if !isNonce(words[0]) || len(words) < 2 {
		return Request{}, errors.New("nonce or manager properties missing")
	}
	request := Request{
		Nonce:             words[0],
		Limit:             time.Duration(math.Round(limit*1000)) * time.Millisecond,
		ManagerProperties: strings.Split(words[1], ","),
	}
	if err := checkProperties(request.ManagerProperties); err != nil {
		return Request{}, err
	}
	for _, word := range words[2:] {
		group, err := parseGroup(word)
		if err != nil {
			return Request{}, err
		}
		request.Groups = append(request.Groups, group)
	}
	if request.command() != cmd {
		return Request{}, errors.New("not written as this program writes commands")
	}
	return request, nil
}

func parseGroup(word string) (Group, error) {
	properties, units, _ := strings.Cut(word, "/")
	group := Group{
		Properties: strings.Split(properties, ","),
		Units:      strings.Split(strings.ReplaceAll(units, `\\`, `\`), ","),
	}
	for _, name := range group.Units {
		if err := CheckUnitName(name); err != nil {
			return Group{}, err
		}
	}
	return group, checkProperties(group.Properties)
}

func checkProperties(names []string) error {
	for _, name := range names {
		if name == "" {
			return errors.New("a property has no name")
		}
		for _, char := range []byte(name) {
			if !isAlphanumeric(char) {
				return fmt.Errorf("property %q: not a name", name)
			}
		}
	}
	return nil
}

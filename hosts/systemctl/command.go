package systemctl

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The sections of the answer to a [Query], in their order. There is one SectionUnits for each group.
const (
	SectionManager = "manager"
	SectionBoot    = "boot"
	SectionUnits   = "units"
)

// The sections of the answer to a [Listing], in their order; each is called as the verb of systemctl that prints it.
const (
	SectionLoaded    = "list-units"
	SectionInstalled = "list-unit-files"
)

// maxCommand leaves room below MAX_ARG_STRLEN of Linux, 128 KiB, since sshd hands the whole command to the login shell
// as one argument.
const maxCommand = 100 << 10

var errOther = errors.New("not a command of this program, or of another version of it")

// The scripts run on the host as `sh -c SCRIPT sh NONCE ARGUMENT...`. They never change from poll to poll, so that a forced
// command can compare them byte by byte. They fork for nothing but systemctl, stop at the first systemctl that fails, and
// end with its exit status.
//
// The trap makes a script outlive SIGTERM for as long as systemctl does. Without, timeout(1) would see its child gone, never
// send SIGKILL, and leave behind a systemctl that ignores SIGTERM and holds the SSH session open. Behind a trap no END
// marker is printed, whatever systemctl had to say.
//
// They are quoted once more for a login shell that may be csh or fish: no newline, no single quote, no exclamation mark,
// no doubled backslash. Below 1,000 bytes they also fit into one word of an old csh.
const (
	prologue = `trap "exit 124" TERM; exec </dev/null; set -f; IFS=,; export LC_ALL=C TZ=UTC SYSTEMD_COLORS=0 SYSTEMD_PAGER=; n=$1; ` +
		`b() { printf "\n--BEGIN-%s %s\n" "$n" "$1"; }; ` +
		`e() { r=$?; printf "\n--END-%s %s %d\n" "$n" "$1" "$r"; [ "$r" = 0 ] || exit "$r"; }; `

	// showScript takes MANAGER-PROPERTIES and then GROUPs, each PROPERTY,PROPERTY.../UNIT,UNIT...
	showScript = prologue +
		`s() { systemctl --no-pager --no-ask-password show "$@"; }; ` +
		`b manager; s "--property=$2"; e manager; i=; ` +
		`b boot; { read -r i </proc/sys/kernel/random/boot_id; } 2>/dev/null; printf "%s\n" "$i"; e boot; shift 2; ` +
		`for g do b units; s "--property=${g%%/*}" -- ${g#*/}; e units; done`

	// listScript takes GLOB,GLOB... It asks for shutdown.target too, which every host has, since systemctl >= 247 ends with
	// exit status 1 where it finds no unit file.
	listScript = prologue +
		`g=$2; l() { b "$1"; systemctl --no-pager --no-ask-password --no-legend --full --plain --all "$1" -- shutdown.target $g; e "$1"; }; ` +
		`l list-units; l list-unit-files`
)

// The fixed parts of a command around its time limit and its script. Of the login shell nothing is left (exec), and what
// still runs after the limit is ended with SIGTERM to its process group, a second later with SIGKILL.
const (
	commandStart = "exec timeout -k 1 "
	scriptStart  = " sh -c '"
	scriptEnd    = "' sh "
)

// BeginMarker returns the line, with the newline before it, that opens a section on stdout.
func BeginMarker(nonce, section string) string {
	return string(appendBeginMarker(nil, nonce, section))
}

func appendBeginMarker(to []byte, nonce, section string) []byte {
	to = append(append(to, "\n--BEGIN-"...), nonce...)
	return append(append(append(to, ' '), section...), '\n')
}

// EndMarker returns the line, with the newline before it, that closes a section on stdout.
func EndMarker(nonce, section string, exitCode int) string {
	return string(append(strconv.AppendInt(appendEndMarker(nil, nonce, section), int64(exitCode), 10), '\n'))
}

// appendEndMarker appends it up to the exit code.
func appendEndMarker(to []byte, nonce, section string) []byte {
	to = append(append(to, "\n--END-"...), nonce...)
	return append(append(append(to, ' '), section...), ' ')
}

// A Group is one run of `systemctl show` over some units.
type Group struct {
	Properties []string
	Units      []string
}

// A Request is what a command asks for, as the far side sees it. It answers with the sections in their order, each
// between BeginMarker and EndMarker. Where there are Globs, it is that of a [Listing], else that of a [Query].
type Request struct {
	Nonce             string
	Limit             time.Duration
	ManagerProperties []string
	Groups            []Group
	Globs             []string
}

// command writes r as a command line.
func (r Request) command() string {
	if r.Globs != nil {
		return commandLine(r.Limit, listScript, r.Nonce, Escape(strings.Join(r.Globs, ",")))
	}
	return commandLine(r.Limit, showScript, r.Nonce, Escape(r.words()))
}

// words writes what r asks for, of a [Query]: nothing in it but names of units has special characters.
func (r Request) words() string {
	words := []string{strings.Join(r.ManagerProperties, ",")}
	for _, group := range r.Groups {
		words = append(words, strings.Join(group.Properties, ",")+"/"+strings.Join(group.Units, ","))
	}
	return strings.Join(words, " ")
}

// commandLine writes a command line.
func commandLine(limit time.Duration, script, nonce, words string) string {
	return commandStart + formatSeconds(limit) + scriptStart + script + scriptEnd + nonce + " " + words
}

// special are the characters of unit names, globs and journal cursors that mean something to a login shell. A backslash before each of
// them makes it plain to sh, csh and fish alike.
const special = `\*?[]^;`

// Escape makes a word of such characters plain to any login shell.
func Escape(word string) string {
	if !strings.ContainsAny(word, special) {
		return word
	}
	var escaped strings.Builder
	for _, char := range []byte(word) {
		if strings.IndexByte(special, char) >= 0 {
			escaped.WriteByte('\\')
		}
		escaped.WriteByte(char)
	}
	return escaped.String()
}

// Unescape undoes Escape. What else it is given comes out as something that Escape writes in another way.
func Unescape(word string) string {
	if !strings.Contains(word, `\`) {
		return word
	}
	plain := make([]byte, 0, len(word))
	for i := 0; i < len(word); i++ {
		if word[i] == '\\' && i+1 < len(word) {
			i++
		}
		plain = append(plain, word[i])
	}
	return string(plain)
}

// formatSeconds writes limit as timeout(1) takes it: with a fraction, which GNU coreutils knows since before 8.21.
func formatSeconds(limit time.Duration) string {
	milliseconds := math.Ceil(float64(limit) / float64(time.Millisecond))
	return strconv.FormatFloat(milliseconds/1000, 'f', -1, 64)
}

// ParseCommand returns what cmd asks for. It is strict: it takes what Query.Command and Listing.Command write and refuses
// everything else, the same in other words included. Property names are only checked for their form, since another version
// of this program may ask for others; whoever answers decides which ones to tell.
func ParseCommand(cmd string) (Request, error) {
	line, startsSo := strings.CutPrefix(cmd, commandStart)
	seconds, line, ok := strings.Cut(line, scriptStart)
	if !ok || !startsSo {
		return Request{}, errOther
	}
	limit, err := strconv.ParseFloat(seconds, 64)
	if err != nil || !(limit > 0 && limit < math.MaxInt32) {
		return Request{}, fmt.Errorf("time limit %q: not a number of seconds", seconds)
	}
	request, err := parseQuestion(line)
	request.Limit = time.Duration(math.Round(limit*1000)) * time.Millisecond
	if err == nil && request.command() != cmd {
		err = errors.New("not written as this program writes commands")
	}
	if err != nil {
		return Request{}, err
	}
	return request, nil
}

// parseQuestion reads a script and what stands behind it.
func parseQuestion(line string) (Request, error) {
	if arguments, ok := strings.CutPrefix(line, showScript+scriptEnd); ok {
		return parseShow(strings.Split(arguments, " "))
	}
	if arguments, ok := strings.CutPrefix(line, listScript+scriptEnd); ok {
		return parseList(strings.Split(arguments, " "))
	}
	return Request{}, errOther
}

func parseShow(words []string) (Request, error) {
	if !IsNonce(words[0]) || len(words) < 2 {
		return Request{}, errors.New("nonce or manager properties missing")
	}
	request := Request{Nonce: words[0], ManagerProperties: strings.Split(words[1], ",")}
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
	return request, nil
}

func parseList(words []string) (Request, error) {
	if !IsNonce(words[0]) || len(words) != 2 {
		return Request{}, errors.New("nonce or globs missing, or more behind them")
	}
	request := Request{Nonce: words[0], Globs: strings.Split(Unescape(words[1]), ",")}
	for _, glob := range request.Globs {
		if err := CheckGlob(glob); err != nil {
			return Request{}, err
		}
	}
	return request, nil
}

func parseGroup(word string) (Group, error) {
	properties, units, _ := strings.Cut(word, "/")
	group := Group{
		Properties: strings.Split(properties, ","),
		Units:      strings.Split(Unescape(units), ","),
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

package systemctl

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

var (
	// ErrUnitName is wrapped by the error for a unit name that must not be sent to a host, because systemctl would
	// take it for something else or would stop there and lose the units behind it.
	ErrUnitName = errors.New("not a unit name that can be asked for")

	// ErrProtocol is wrapped by every error that says that the output is not a whole answer to the command:
	// a marker or record is missing, there are too many, a key is repeated, or a unit came that was not asked for.
	ErrProtocol = errors.New("not a whole answer")

	// ErrCutOff wraps ErrProtocol: the answer began and stopped before the end of a section. With exit status 124 or
	// 137 of the remote command, its time limit ran out on the host.
	ErrCutOff = fmt.Errorf("%w: cut off", ErrProtocol)
)

// A CommandError says that systemctl ran, or could not be started, and ended badly. ExitCode 0 means that it claimed
// success and printed nothing at all, as it does in a chroot.
type CommandError struct {
	Section  string // what was asked for
	ExitCode int    // of systemctl, or 126 and 127 of the shell that did not find it
	Stderr   string // the last lines on stderr, trimmed, separated by "\n", at most 512 bytes; may be empty
}

// Error gives the exit status and what systemctl said, on one line.
func (e *CommandError) Error() string {
	said := strings.ReplaceAll(e.Stderr, "\n", "; ")
	ran := "systemctl show (" + e.Section + ")"
	switch {
	case e.Section == SectionLoaded || e.Section == SectionInstalled:
		ran = "systemctl " + e.Section
		said = cmp.Or(said, "no message")
	case said == "":
		said = "no message (before systemd 233 this is a property that the host's version does not know)"
	}
	if e.ExitCode == 0 {
		return fmt.Sprintf("%s printed nothing: %s", ran, said)
	}
	return fmt.Sprintf("%s ended with exit status %d: %s", ran, e.ExitCode, said)
}

// A NoAnswerError says that the script on the host never began: there is no marker of this poll in the output. What is
// there instead (a nologin text, a forced command's output, a shell's complaint) tells why. It wraps ErrProtocol.
type NoAnswerError struct {
	Stdout string // the first lines, trimmed, separated by "\n", at most 512 bytes
	Stderr string // the last lines, likewise
}

// Error quotes what came instead of an answer, on one line.
func (e *NoAnswerError) Error() string {
	var said []string
	for _, text := range []string{e.Stdout, e.Stderr} {
		if text != "" {
			said = append(said, strings.ReplaceAll(text, "\n", "; "))
		}
	}
	if len(said) == 0 {
		return "the command did not start, and nothing was printed"
	}
	return "the command did not start: " + strings.Join(said, "; ")
}

// Unwrap makes errors.Is(err, ErrProtocol) true.
func (e *NoAnswerError) Unwrap() error { return ErrProtocol }

const (
	excerptLines = 4
	excerptBytes = 512
)

// firstLines returns the beginning of text, short enough for a message.
func firstLines(text []byte) string {
	lines := excerptOf(text)
	return shorten(lines[:min(len(lines), excerptLines)])
}

// lastLines returns the end of text. The script stops at the first systemctl that fails, so what that one said comes
// last on stderr, behind whatever the login shell had to say.
func lastLines(text []byte) string {
	lines := excerptOf(text)
	return shorten(lines[max(0, len(lines)-excerptLines):])
}

func excerptOf(text []byte) []string {
	var lines []string
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, printable(line))
		}
	}
	return lines
}

// printable keeps what a host said from doing anything to the terminal that shows it.
func printable(line []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '·'
	}, strings.ToValidUTF8(string(line), "?"))
}

func shorten(lines []string) string {
	text := strings.Join(lines, "\n")
	if len(text) <= excerptBytes {
		return text
	}
	return strings.ToValidUTF8(text[:excerptBytes-len("…")], "") + "…"
}

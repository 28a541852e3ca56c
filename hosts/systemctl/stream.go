package systemctl

import (
	"fmt"
	"strings"
)

// streamScript answers questions until its standard input ends: a line each, a nonce and what Query.Words writes, or a nonce alone for the
// same words again. The shell reads a line byte by byte, so a short one is worth while. An answer is that of showScript, and then a line
// that says it is whole. Where systemctl fails it ends, without a word: who asked then asks by a command of its own, whose
// end tells why. What bounds a systemctl here is its own limit on D-Bus, 25 s; a systemctl that hangs holds up only itself.
const streamScript = `exec 2>/dev/null; set -f; export LC_ALL=C TZ=UTC SYSTEMD_COLORS=0 SYSTEMD_PAGER=; ` +
	`b() { printf "\n--BEGIN-%s %s\n" "$n" "$1"; }; ` +
	`e() { r=$?; printf "\n--END-%s %s %d\n" "$n" "$1" "$r"; [ "$r" = 0 ] || exit "$r"; }; ` +
	`s() { systemctl --no-pager --no-ask-password show "$@" </dev/null; }; ` +
	`while IFS=" " read -r n m q; do [ -z "$m" ] || { p=$m; w=$q; }; IFS=" "; set -- $w; IFS=,; b manager; s "--property=$p"; e manager; i=; ` +
	`b boot; { read -r i </proc/sys/kernel/random/boot_id; }; printf "%s\n" "$i"; e boot; ` +
	`for g do b units; s "--property=${g%%/*}" -- ${g#*/}; e units; done; printf "\n--DONE-%s\n" "$n"; done`

// StreamCommand is the command line for a host that is to answer questions for as long as its standard input lasts.
const StreamCommand = streamStart + streamScript + streamEnd

const (
	streamStart = "exec sh -c '"
	streamEnd   = "' sh"
)

// ParseLine returns what a line asks for, where before is what the one before it did. Like [ParseCommand] it takes what this program writes
// and refuses everything else. The request has no limit.
func ParseLine(line string, before Request) (Request, error) {
	line, whole := strings.CutSuffix(line, "\n")
	nonce, words, more := strings.Cut(line, " ")
	switch {
	case !whole || !IsNonce(nonce) || !more && before.ManagerProperties == nil:
		return Request{}, errOther
	case !more:
		before.Nonce = nonce
		return before, nil
	}
	escaped := strings.Split(words, " ")
	for i, word := range escaped {
		escaped[i] = Escape(word) // As parseShow has them.
	}
	request, err := parseShow(append([]string{nonce}, escaped...))
	if err != nil {
		return Request{}, fmt.Errorf("a line: %w", err)
	}
	return request, nil
}

// DoneMarker returns the line, with the newline before it, that ends the answer to a line.
func DoneMarker(nonce string) string { return "\n--DONE-" + nonce + "\n" }

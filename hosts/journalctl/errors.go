package journalctl

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotPermitted says that the account sees no more of the journal than what it has logged itself.
	ErrNotPermitted = errors.New("the account may not read the journal")
	// ErrNoJournal says that the host keeps no journal.
	ErrNoJournal = errors.New("there is no journal; it keeps one unless Storage=none in its journald.conf")
	// ErrKilled says that a signal ended journalctl, as a shutdown does.
	ErrKilled = errors.New("journalctl was ended by a signal there")
	// ErrOld says that journalctl is older than systemd 236: ask again with Query.Old.
	ErrOld = errors.New("journalctl does not know --output-fields")
)

// Explain says what is wrong by how the command ended and what it said, nil where nothing is: an exit status of -1 stands for a command
// that still runs. It knows the texts of systemd 219 to 260, which are not translated.
func Explain(exit int, stderr string) error {
	has := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(stderr, text) {
				return true
			}
		}
		return false
	}
	switch {
	case has("due to insufficient permissions", "not seeing messages from other users", "Unprivileged users cannot access messages",
		"Failed to open journal: Permission denied"):
		return ErrNotPermitted
	case has("unrecognized option '--output-fields"):
		return ErrOld
	case has("No journal files were found", "No journal files found"):
		return ErrNoJournal
	case exit <= 0:
		return nil
	case exit > 128:
		return fmt.Errorf("%w (exit status %d)", ErrKilled, exit)
	}
	return fmt.Errorf("journalctl ended with exit status %d%s", exit, said(stderr))
}

// said is the last line of stderr that says something, short enough for a message.
func said(stderr string) string {
	const most = 200
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	switch {
	case last == "":
		return ", and not a word"
	case len(last) > most:
		last = strings.ToValidUTF8(last[:most], "") + "…"
	}
	return ": " + last
}

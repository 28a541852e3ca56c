package journalctl

import (
	"errors"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		exit   int
		stderr string
		is     error
		tells  string
	}{
		{0, "", nil, ""},
		{-1, "", nil, ""},
		{1, "Hint: You are currently not seeing messages from other users and the system.\n      Users in groups 'adm', 'systemd-journal' can see all messages.\n" +
			"      Pass -q to turn off this notice.\nNo journal files were opened due to insufficient permissions.\n", ErrNotPermitted, "may not read"},
		{-1, "Hint: You are currently not seeing messages from other users and the system.\n", ErrNotPermitted, "may not read"},
		{1, "journalctl: unrecognized option '--output-fields=MESSAGE'\n", ErrOld, ""},
		{1, "No journal files were found.\n", ErrNoJournal, "no journal"},
		{0, "Journal file /var/log/journal/x/system.journal is truncated, ignoring file.\n", nil, ""},
		{143, "Terminated\n", ErrKilled, "by a signal there (exit status 143)"},
		{127, "sh: 1: journalctl: not found\n", nil, "exit status 127: sh: 1: journalctl: not found"},
		{1, "first\nlast " + strings.Repeat("x", 500) + "\n", nil, "exit status 1: last x"},
		{2, "", nil, "exit status 2, and not a word"},
	} {
		err := Explain(test.exit, test.stderr)
		if test.is == nil && test.tells == "" {
			if err != nil {
				t.Errorf("%d %q: %v", test.exit, test.stderr, err)
			}
			continue
		}
		if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.tells) || len(err.Error()) > 300 {
			t.Errorf("%d %q: %v; want %v, %q", test.exit, test.stderr, err, test.is, test.tells)
		}
	}
}

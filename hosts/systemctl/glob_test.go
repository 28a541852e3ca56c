package systemctl

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckGlobRefuses(t *testing.T) {
	t.Parallel()
	for glob, problem := range map[string]string{
		"":                         "it is empty",
		strings.Repeat("*", 256):   "longer than 255",
		"-*":                       "begins with a dash",
		"--root=*":                 "begins with a dash",
		"a b*":                     "are allowed",
		"a,b*":                     "are allowed",
		"*;reboot":                 "are allowed",
		"$(id)*":                   "are allowed",
		"`id`*":                    "are allowed",
		"*\n":                      "are allowed",
		"café*":                    "are allowed",
		"a!b*":                     "are allowed",
		"a^b*":                     "are allowed",
		"*]":                       "are allowed",
		"/dev/*":                   "are allowed",
		"app-[":                    "do not match",
		"app-[ab":                  "do not match",
		"[]":                       "do not match",
		"[!]":                      "do not match",
		"[]a]":                     "do not match",
		"[[:digit:]]*":             "no unit name has",
		"[a b]*":                   "no unit name has",
		"[a'b]*":                   "no unit name has",
		"[a,b]*":                   "no unit name has",
		"[!!]*":                    "no unit name has",
		"[z-a]*":                   "ends before it begins",
		"[a-b-A]*" + "[b-\xff]":    "no unit name has",
		strings.Repeat("?", 300):   "longer than 255",
		"worker@[1-4].service\x00": "are allowed",
	} {
		if err := CheckGlob(glob); !errors.Is(err, ErrUnitName) || !strings.Contains(err.Error(), problem) {
			t.Errorf("CheckGlob(%q) = %v, want ErrUnitName and %q", glob, err, problem)
		}
		if MatchGlob(glob, glob) {
			t.Errorf("%q matches itself", glob)
		}
	}
}

// globMatches says which names match which globs, as fnmatch(3) with FNM_NOESCAPE has it.
func globMatches() []struct {
	glob, name string
	want       bool
} {
	return []struct {
		glob, name string
		want       bool
	}{
		{"*", "a.service", true},
		{"*", "-.mount", true},
		{"nginx.service", "nginx.service", true},
		{"nginx.service", "nginxxservice", false},
		{"nginx*", "nginx.service", true},
		{"nginx*", "my-nginx.service", false},
		{"nginx", "nginx.service", false},
		{"*.service", "a.services", false},
		{"*.service", ".service", true}, // No FNM_PERIOD.
		{"a?c.service", "abc.service", true},
		{"a?c.service", "ac.service", false},
		{"a**c.service", "abbc.service", true},
		{"worker@[1-4].service", "worker@3.service", true},
		{"worker@[1-4].service", "worker@5.service", false},
		{"worker@[!1-4].service", "worker@5.service", true},
		{"worker@[^1-4].service", "worker@5.service", true},
		{"worker@[!1-4].service", "worker@1.service", false},
		{"worker@[^1-4].service", "worker@1.service", false},
		{"[abc]*", "b.service", true},
		{"[abc]*", "B.service", false},
		{"[-]*", "-.mount", true},
		{"[a-]*", "-.mount", true},
		{"[-a]*", "a.mount", true},
		{"[!-]*", "-.mount", false},
		{"[a-c-x]*", "-.mount", true},
		{"[a-c-x]*", "x.mount", true},
		{"[a-c-x]*", "d.mount", false},
		{"[.]*", ".service", true},
		{"a.b*", "axb.service", false},
		{`system-a\x2d*`, `system-a\x2db.slice`, true}, // No escape.
		{`system-a\x2d*`, `system-ax2db.slice`, false},
		{`a\*`, `a\b.slice`, true},
		{`a\*`, `a*`, false},
		{`a[\]b.slice`, `a\b.slice`, true},
		{`*[\]x2d*`, `system-a\x2db.slice`, true},
		{"*a*a*a*a*a*a*a*a*a*a*a*b.service", strings.Repeat("a", 240) + ".service", false},
	}
}

func TestMatchGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range globMatches() {
		if got := MatchGlob(tt.glob, tt.name); got != tt.want || CheckGlob(tt.glob) != nil {
			t.Errorf("MatchGlob(%q, %q) = %v (%v)", tt.glob, tt.name, got, CheckGlob(tt.glob))
		}
	}
}

// TestMatchGlobAsShellsDo compares with the shell, whose backslash escapes unless it is quoted.
func TestMatchGlobAsShellsDo(t *testing.T) {
	t.Parallel()
	for _, tt := range globMatches() {
		// In the pattern of a case a backslash escapes, also one out of a variable.
		glob := strings.ReplaceAll(strings.ReplaceAll(tt.glob, `\`, `\\`), "[^", "[!")
		out, err := exec.CommandContext(t.Context(), "bash", "-c", `LC_ALL=C; case $1 in $2) echo true;; *) echo false;; esac`, "bash", tt.name, glob).Output()
		if got := strings.TrimSpace(string(out)) == "true"; err != nil || got != tt.want {
			t.Errorf("%q matches %q: %v (%v), want %v", tt.glob, tt.name, got, err, tt.want)
		}
	}
}

// FuzzMatchGlob compares with filepath.Match, where that knows the same.
func FuzzMatchGlob(f *testing.F) {
	for _, tt := range globMatches() {
		f.Add(tt.glob, tt.name)
	}
	f.Fuzz(func(t *testing.T, glob, name string) {
		if err := CheckGlob(glob); err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %v", err)
			}
			return
		}
		if CheckUnitName(name) != nil {
			return
		}
		want, err := filepath.Match(strings.NewReplacer(`\`, `\\`, "[!", "[^").Replace(glob), name)
		if got := MatchGlob(glob, name); err == nil && got != want {
			t.Errorf("MatchGlob(%q, %q) = %v, filepath.Match says %v", glob, name, got, want)
		}
	})
}

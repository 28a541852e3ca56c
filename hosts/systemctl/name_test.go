package systemctl

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckUnitName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, problem string }{
		{"", "it is empty"},
		{strings.Repeat("a", 248) + ".service", "longer than 255"},
		{"1234", "job id"},
		{"foo", "unit type"},
		{"foo.", "unit type"},
		{"foo.bogus", "unit type"},
		{"old.snapshot", "unit type"},
		{"foo.Service", "unit type"},
		{"service", "unit type"},
		{".service", "nothing stands before"},
		{"@.service", "nothing stands before"},
		{"@x.service", "nothing stands before"},
		{"tmpl@.service", "template"},
		{"-foo.service", "dash"},
		{"--all.service", "dash"},
		{"-.service", "dash"},
		{"foo bar.service", "only letters"},
		{"foo\n.service", "only letters"},
		{"/home", "only letters"},
		{"foo/bar.service", "only letters"},
		{"foo*.service", "only letters"},
		{"foo?.service", "only letters"},
		{"[ab].service", "only letters"},
		{"$(id).service", "only letters"},
		{"a'b.service", "only letters"},
		{"a,b.service", "only letters"},
		{"café.service", "only letters"},
		{"a\x00b.service", "only letters"},
		{"a!b.service", "only letters"},

		{strings.Repeat("a", 247) + ".service", ""},
		{"1234.service", ""},
		{"-.mount", ""},
		{"-.slice", ""},
		{`system-a\x2db.slice`, ""},
		{`dev-disk-by\x2duuid-1.swap`, ""},
		{"getty@tty1.service", ""},
		{"a@b@.service", ""},
		{"a@.b.service", ""},
		{"user@1000.service", ""},
		{"a:b_c.d-e.socket", ""},
		{"a.target", ""},
		{"a.device", ""},
		{"a.automount", ""},
		{"a.timer", ""},
		{"a.path", ""},
		{"a.scope", ""},
	} {
		err := CheckUnitName(tt.name)
		switch {
		case tt.problem == "" && err != nil:
			t.Errorf("CheckUnitName(%q) = %v", tt.name, err)
		case tt.problem != "" && (!errors.Is(err, ErrUnitName) || !strings.Contains(err.Error(), tt.problem)):
			t.Errorf("CheckUnitName(%q) = %v, want ErrUnitName and %q", tt.name, err, tt.problem)
		}
	}
}

func TestNamesInclude(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value, name string
		want        bool
	}{
		{"", "a.service", false},
		{"aa.service", "a.service", false},
		{"a.service.service", "a.service", false},
		{`"a.service`, "a.service", false},
		{`"`, "a.service", false},
		{`"system-a\\x2db.slice"`, `system-a\\x2db.slice`, false},
		{"a.service", "a.service", true},
		{"b.service a.service", "a.service", true},
		{"b.service a.service c.service", "a.service", true},
		{`x.slice system-a\x2db.slice`, `system-a\x2db.slice`, true},    // up to 245
		{`x.slice "system-a\\x2db.slice"`, `system-a\x2db.slice`, true}, // from 246
	} {
		if got := namesInclude([]byte(tt.value), tt.name); got != tt.want {
			t.Errorf("namesInclude(%s, %s) = %v", tt.value, tt.name, got)
		}
	}
}

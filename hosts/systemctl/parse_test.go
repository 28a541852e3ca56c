package systemctl

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testNonce  = "0123456789abcdef0123456789abcdef"
	otherNonce = "fedcba9876543210fedcba9876543210"
	testBootID = "117cfdf7-9ffb-4ca5-bb99-d5d4215d5f66"
)

const manager252 = `Version=252.39-1~deb12u1
NFailedUnits=1
NJobs=0
SystemState=degraded
UserspaceTimestamp=Sun 2026-11-22 20:00:10 UTC
UserspaceTimestampMonotonic=10500000
`

const manager219 = `Version=219
NFailedUnits=0
NJobs=0
SystemState=running
UserspaceTimestamp=Sun 2026-11-22 20:00:10 UTC
UserspaceTimestampMonotonic=10500000
`

// testQuery asks for units, all in one group.
func testQuery(units ...string) Query {
	return Query{Nonce: testNonce, Units: units, Version: 252, Limit: time.Second}
}

// mark puts content between the markers of a section.
func mark(section, content string, exitCode int) string {
	return BeginMarker(testNonce, section) + content + EndMarker(testNonce, section, exitCode)
}

// answer is what a host prints that says manager and one text for each group.
func answer(manager string, groups ...string) string {
	sections := []string{mark(SectionManager, manager, 0), mark(SectionBoot, testBootID+"\n", 0)}
	for _, group := range groups {
		sections = append(sections, mark(SectionUnits, group, 0))
	}
	return strings.Join(sections, "")
}

// shown is a record with just what every record has, and more lines if wanted.
func shown(name string, more ...string) string {
	lines := append([]string{"Id=" + name, "Names=" + name, "LoadState=loaded", "ActiveState=active", "SubState=running"}, more...)
	return strings.Join(lines, "\n") + "\n"
}

// parseOne parses record as the answer about the unit name, and fails the test unless it is fine.
func parseOne(t *testing.T, name, record string) Unit {
	t.Helper()
	got, err := testQuery(name).Parse([]byte(answer(manager252, record)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return got.Units[0]
}

func utc(hour, minute, second int) *time.Time {
	return new(time.Date(2026, 11, 22, hour, minute, second, 0, time.UTC))
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	a, b := shown("a.service"), shown("b.service")
	units := func(content string) string { return answer(manager252, content) }
	for name, tt := range map[string]struct {
		stdout string
		want   error
		says   string
	}{
		"manager without end":          {BeginMarker(testNonce, SectionManager) + manager252, ErrCutOff, "manager"},
		"manager end cut":              {BeginMarker(testNonce, SectionManager) + manager252 + "\n--END-" + testNonce + " manager 0", ErrCutOff, "manager"},
		"manager end of another nonce": {BeginMarker(testNonce, SectionManager) + manager252 + EndMarker(otherNonce, SectionManager, 0), ErrCutOff, "manager"},
		"exit status is no number":     {BeginMarker(testNonce, SectionManager) + manager252 + "\n--END-" + testNonce + " manager x\n", ErrProtocol, `"x"`},
		"no version":                   {answer("SystemState=running\n", a+"\n"+b), ErrProtocol, "Version"},
		"manager key twice":            {answer(manager252+"Version=219\n", a+"\n"+b), ErrProtocol, "Version is there twice"},
		"no boot section":              {mark(SectionManager, manager252, 0), ErrCutOff, "boot"},
		"no units section":             {answer(manager252), ErrCutOff, "units"},
		"units without end":            {answer(manager252) + BeginMarker(testNonce, SectionUnits) + a + "\n" + b, ErrCutOff, "units"},
		"sections in another order":    {mark(SectionUnits, a+"\n"+b, 0) + answer(manager252), ErrCutOff, "units"},

		"no record at all":    {units(""), ErrProtocol, `"a.service"`},
		"first record only":   {units(a), ErrProtocol, `"b.service"`},
		"second record only":  {units(b), ErrProtocol, `"a.service"`},
		"in another order":    {units(b + "\n" + a), ErrProtocol, `"a.service"`},
		"one record too many": {units(a + "\n" + b + "\n" + shown("c.service")), ErrProtocol, `"b.service"`},
		"same record twice":   {units(a + "\n" + a), ErrProtocol, `"b.service"`},
		"empty record":        {units("\n" + b), ErrProtocol, `"a.service"`},
		"record without Id":   {units("Names=a.service\nLoadState=loaded\n\n" + b), ErrProtocol, `"a.service"`},
		"empty Id":            {units("Id=\nNames=a.service\n\n" + b), ErrProtocol, `"a.service"`},
		"Id that is no name":  {units("Id=x y\nNames=a.service\n\n" + b), ErrProtocol, `"a.service"`},
		"Id of another unit":  {units(shown("c.service") + "\n" + b), ErrProtocol, `"c.service"`},
		"escaped Id":          {units(shown(`a\x20.service`) + "\n" + b), ErrProtocol, `"a.service"`},
		"key twice":           {units(a + "SubState=dead\n\n" + b), ErrProtocol, `"a.service": not a whole answer: SubState is there twice`},
		"key twice the same":  {units(a + "SubState=running\n\n" + b), ErrProtocol, "SubState is there twice"},
		"key twice, one empty": {
			units("Result=\n" + a + "Result=success\n\n" + b), ErrProtocol, "Result is there twice",
		},
		"shell noise instead of records": {units("hello\nworld\n"), ErrProtocol, `"a.service"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := testQuery("a.service", "b.service").Parse([]byte(tt.stdout), nil)
			if !errors.Is(err, tt.want) || !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v and %s", err, tt.want, tt.says)
			}
			if got.Units != nil {
				t.Errorf("units %v beside an error", got.Units)
			}
		})
	}
}

func TestParseNoAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stdout, stderr string
		want           NoAnswerError
		says           string
	}{
		"nothing": {"", "", NoAnswerError{}, "nothing was printed"},
		"nologin": {
			"This account is currently not available.\n", "",
			NoAnswerError{Stdout: "This account is currently not available."},
			"currently not available",
		},
		"no timeout": {
			"\n  motd \r\n\n", "sh: 1: exec: timeout: not found\n",
			NoAnswerError{Stdout: "motd", Stderr: "sh: 1: exec: timeout: not found"},
			"motd; sh: 1: exec: timeout: not found",
		},
		"other nonce": {
			strings.ReplaceAll(answer(manager252, shown("a.service")), testNonce, otherNonce), "",
			NoAnswerError{Stdout: "--BEGIN-" + otherNonce + " manager\nVersion=252.39-1~deb12u1\nNFailedUnits=1\nNJobs=0"},
			"Version=252",
		},
		"marker not on a line of its own": {
			"x--BEGIN-" + testNonce + " manager\n" + manager252, "",
			NoAnswerError{Stdout: "x--BEGIN-" + testNonce + " manager\nVersion=252.39-1~deb12u1\nNFailedUnits=1\nNJobs=0"},
			"x--BEGIN",
		},
		"the command itself": {
			"\n" + showScript, "", NoAnswerError{Stdout: shorten([]string{showScript})}, "exec",
		},
		"escape sequences": {
			"\x1b]0;title\a\x1b[2Jhello,\tworld\r\n", "\u202esdrawkcab\n",
			NoAnswerError{Stdout: "·]0;title··[2Jhello, world", Stderr: "·sdrawkcab"},
			"·[2J",
		},
		"long and not UTF-8": {
			strings.Repeat("é", 300) + "\xff\n", "\xff", NoAnswerError{Stdout: strings.Repeat("é", 254) + "…", Stderr: "?"}, "é…; ?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := testQuery("a.service").Parse([]byte(tt.stdout), []byte(tt.stderr))
			got, ok := errors.AsType[*NoAnswerError](err)
			if !ok || !errors.Is(err, ErrProtocol) || errors.Is(err, ErrCutOff) {
				t.Fatalf("error %v, want a *NoAnswerError", err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
			if says := err.Error(); !strings.Contains(says, tt.says) || strings.Contains(says, "\n") {
				t.Errorf("Error() = %q, want %q in one line", says, tt.says)
			}
		})
	}
}

func TestParseCommandError(t *testing.T) {
	t.Parallel()
	notBooted := "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down"
	for name, tt := range map[string]struct {
		stdout, stderr string
		want           CommandError
		says           string
	}{
		"not booted": {
			mark(SectionManager, "", 1), "bash: warning: setlocale: LC_ALL: cannot change locale (xx)\n\n" + notBooted + "\n",
			CommandError{
				Section: SectionManager, ExitCode: 1,
				Stderr: "bash: warning: setlocale: LC_ALL: cannot change locale (xx)\n" + notBooted,
			},
			"show (manager) ended with exit status 1: ",
		},
		"no systemctl": {
			mark(SectionManager, "", 127), "sh: 1: systemctl: not found\n",
			CommandError{Section: SectionManager, ExitCode: 127, Stderr: "sh: 1: systemctl: not found"},
			"exit status 127: sh: 1: systemctl: not found",
		},
		"chroot": {
			answer("", ""), "Running in chroot, ignoring command 'show'\n",
			CommandError{Section: SectionManager, Stderr: "Running in chroot, ignoring command 'show'"},
			"show (manager) printed nothing: Running in chroot, ignoring command 'show'",
		},
		"chatty login": {
			mark(SectionManager, "", 1), strings.Repeat("noise\n", 9) + "Failed to connect to bus: Connection refused\n",
			CommandError{Section: SectionManager, ExitCode: 1, Stderr: "noise\nnoise\nnoise\nFailed to connect to bus: Connection refused"},
			"noise; Failed to connect to bus: Connection refused",
		},
		// reference 7, the template example: 257 stops there, and no separator follows the record.
		"stopped at a bad name": {
			mark(SectionManager, manager252, 0) + mark(SectionBoot, "\n", 0) +
				mark(SectionUnits, "Id=demo.service\nActiveState=active\n", 1),
			"Failed to get properties: Unit name tmpl@.service is neither a valid invocation ID nor unit name.\n",
			CommandError{
				Section: SectionUnits, ExitCode: 1,
				Stderr: "Failed to get properties: Unit name tmpl@.service is neither a valid invocation ID nor unit name.",
			},
			"show (units) ended with exit status 1: Failed to get properties",
		},
		"partial record (239)": {
			mark(SectionManager, manager252, 0) + mark(SectionBoot, "\n", 0) + mark(SectionUnits, "Id=demo.service\nActi", 1),
			"Failed to parse bus message: Invalid argument\n",
			CommandError{Section: SectionUnits, ExitCode: 1, Stderr: "Failed to parse bus message: Invalid argument"},
			"Failed to parse bus message",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := testQuery("demo.service", "ntf.service").Parse([]byte(tt.stdout), []byte(tt.stderr))
			got, ok := errors.AsType[*CommandError](err)
			if !ok || errors.Is(err, ErrProtocol) {
				t.Fatalf("error %v, want a *CommandError", err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
			if says := err.Error(); !strings.Contains(says, tt.says) || strings.Contains(says, "\n") {
				t.Errorf("Error() = %q, want %q in one line", says, tt.says)
			}
		})
	}
}

func TestParseKeepsWhatCameBeforeAnError(t *testing.T) {
	t.Parallel()
	got, err := testQuery("a.service").Parse([]byte(answer(manager252)), nil)
	if !errors.Is(err, ErrCutOff) || got.Manager.VersionNumber != 252 || got.BootID != testBootID {
		t.Errorf("Parse = %+v, %v", got, err)
	}
}

func TestParseIgnoresNoise(t *testing.T) {
	t.Parallel()
	clean := answer(manager252, shown("a.service"))
	for name, stdout := range map[string]string{
		"none":                         clean,
		"motd":                         "Welcome!\n\nId=x.service\n" + clean,
		"without a newline":            "prompt> " + clean,
		"behind":                       clean + "bye\nId=x.service\n\n\n",
		"between":                      strings.Replace(clean, "\n--BEGIN-"+testNonce+" units", "job 1 done\n\n--BEGIN-"+testNonce+" units", 1),
		"older answer":                 strings.ReplaceAll(answer(manager219, shown("x.service")), testNonce, otherNonce) + clean,
		"marker that does not count":   "--BEGIN-" + testNonce + " manager\n" + clean,
		"marker of another section":    BeginMarker(testNonce, "units ") + clean,
		"markers of the command line":  "+ " + showScript + clean,
		"bytes that are not UTF-8":     "\xff\x00\r\n" + clean,
		"lines that are no properties": strings.Replace(clean, "Names=", "no property\n=\n=x\nX\nFuture=1\nFuture=2\nNames=", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := testQuery("a.service").Parse([]byte(stdout), []byte("sudo: unable to resolve host vm\n"))
			if err != nil {
				t.Fatal(err)
			}
			want := []Unit{{Name: "a.service", LoadState: "loaded", ActiveState: "active", SubState: "running"}}
			if diff := cmp.Diff(want, got.Units); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseManager(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want Manager
	}{
		"only a version":    {"Version=257\n", Manager{Version: "257", VersionNumber: 257}},
		"no value anywhere": {"Version=\nSystemState=\nNFailedUnits=\nNJobs=[not set]\nUserspaceTimestamp=\nUserspaceTimestampMonotonic=0\n", Manager{}},
		"no number":         {"Version=git\n", Manager{}},
		"from git":          {"Version=v258-rc1-12-gabcdef\n", Manager{Version: "258", VersionNumber: 258}},
		"absurd number":     {"Version=99999999999999999999\n", Manager{}},
		"rhel":              {"Version=252-51.el9\nSystemState=word-of-2030\n", Manager{Version: "252", VersionNumber: 252, State: "word-of-2030"}},
		"whole, and more": {
			manager252 + "Tainted=a=b\n",
			Manager{
				Version: "252", VersionNumber: 252, State: "degraded", FailedUnits: new(1), QueuedJobs: new(0),
				UserspaceTime: utc(20, 0, 10), UserspaceMonotonic: new(10500 * time.Millisecond),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := testQuery().Parse([]byte(answer(tt.text)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Answer{Manager: tt.want, BootID: testBootID, Units: []Unit{}}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseBootID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                       "",
		"\n":                                     "", // no /proc
		"117cfdf7-9ffb-4ca5-bb99-d5d4215d5f6\n":  "",
		"117cfdf7-9ffb-4ca5-bb99-d5d4215d5f6g\n": "",
		"117cfdf79-ffb-4ca5-bb99-d5d4215d5f66\n": "",
		"117cfdf7-9ffb-4ca5-bb99-d5d4215d5f66\nx":   "",
		testBootID + "\n":                           testBootID,
		"\n\t 117cfdf7-9ffb-4ca5-bb99-d5d4215d5f66": testBootID,
	} {
		got, err := testQuery().Parse([]byte(mark(SectionManager, manager252, 0)+mark(SectionBoot, text, 0)), nil)
		if err != nil || got.BootID != want {
			t.Errorf("boot id of %q = %q, %v", text, got.BootID, err)
		}
	}
}

// TestParseForgedText feeds what a service can smuggle into a value: up to 233 any string with a newline, later only
// Exec* (systemd#40079), which is never asked for.
func TestParseForgedText(t *testing.T) {
	t.Parallel()
	a, c := shown("a.service"), shown("c.service")
	for name, tt := range map[string]struct {
		forged  string // what follows in the record of b.service
		version string
		says    string // "" if it must parse, and change nothing
	}{
		"record with a changed key": {"Description=x\n\nId=spoof.service\nNames=spoof.service\n", "233", `"c.service"`},
		"record of the next unit":   {"Description=x\n\n" + shown("c.service", "SubState=dead"), "233", `"c.service"`},
		"whole next record":         {"Description=x\n\n" + strings.TrimSuffix(c, "\n"), "233", `"c.service"`},
		"own record again":          {"Description=x\n\n" + shown("b.service"), "233", `"c.service"`},
		"empty lines":               {"Description=x\n\n\n\ny\n", "233", `"c.service"`},
		"second value":              {"Description=x\nMainPID=666\nMainPID=7\n", "233", `"b.service": not a whole answer: MainPID is there twice`},
		"other Id":                  {"Description=x\nId=c.service\n", "233", `"b.service": not a whole answer: Id is there twice`},
		"argv, reference 7": {
			"ExecStart={ path=/bin/sh ; argv[]=/bin/sh -c echo a\nMainPID=666\n\nId=spoof.service\nsleep 1000 ; ignore_errors=no }\nMainPID=7\n",
			"257", `"c.service"`,
		},
		"value that only 235 has":     {"Description=x\nNRestarts=666\n", "233", ""},
		"value that only timers have": {"Description=x\nLastTriggerUSec=@1795392000\n", "233", ""},
		"end marker":                  {"Description=x\n--END-" + otherNonce + " units 0\n", "233", ""},
		"begin marker":                {"Description=x\n--BEGIN-" + otherNonce + " units\n", "233", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout := answer("Version="+tt.version+"\n", a+"\n"+shown("b.service")+tt.forged+"\n"+c)
			got, err := testQuery("a.service", "b.service", "c.service").Parse([]byte(stdout), nil)
			if tt.says != "" {
				if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v, want %s", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := Unit{Name: "b.service", Description: "x", LoadState: "loaded", ActiveState: "active", SubState: "running"}
			if diff := cmp.Diff(want, got.Units[1]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseAliases(t *testing.T) {
	t.Parallel()
	broker := strings.Replace(shown("dbus-broker.service"), "Names=dbus-broker.service", "Names=dbus-broker.service dbus.service", 1)
	slice := shown(`system-a\x2db.slice`)
	slice246 := strings.Replace(slice, `Names=system-a\x2db.slice`, `Names="x.slice" "system-a\\x2db.slice"`, 1)
	root := shown("-.mount")
	query := testQuery("dbus.service", "dbus-broker.service", "dbus.service", `system-a\x2db.slice`, "x.slice", "-.mount")
	stdout := answer(manager252, strings.Join([]string{broker, broker, broker, slice, slice246, root}, "\n"))
	answer, err := query.Parse([]byte(stdout), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]string
	for _, unit := range answer.Units {
		got = append(got, [2]string{unit.RequestedAs, unit.Name})
	}
	want := [][2]string{
		{"dbus.service", "dbus-broker.service"},
		{"", "dbus-broker.service"},
		{"dbus.service", "dbus-broker.service"},
		{"", `system-a\x2db.slice`},
		{"x.slice", `system-a\x2db.slice`},
		{"", "-.mount"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

package systemctl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCommandRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, 6000)
	for i := range many {
		many[i] = fmt.Sprintf("unit-%06d.service", i)
	}
	for name, tt := range map[string]struct {
		query Query
		says  string
	}{
		"no nonce":           {Query{Limit: time.Second}, "nonce"},
		"short nonce":        {Query{Nonce: testNonce[1:], Limit: time.Second}, "nonce"},
		"upper-case nonce":   {Query{Nonce: strings.ToUpper(testNonce), Limit: time.Second}, "nonce"},
		"nonce with a quote": {Query{Nonce: testNonce[1:] + "'", Limit: time.Second}, "nonce"},
		"no limit":           {Query{Nonce: testNonce}, "limit"},
		"negative limit":     {Query{Nonce: testNonce, Limit: -1}, "limit"},
		"template":           {testQuery("a.service", "tmpl@.service"), "tmpl@.service"},
		"option":             {testQuery("--root=x.service"), "--root"},
		"glob":               {testQuery("*.service"), "*.service"},
		"shell":              {testQuery("a.service;reboot.service"), "reboot"},
		"too many":           {testQuery(many...), "6000 units"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command, err := tt.query.Command()
			if err == nil || command != "" || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Command() = %q, %v; want an error that says %s", command, err, tt.says)
			}
			if aboutUnit := len(tt.query.Units) == 1 || name == "template"; errors.Is(err, ErrUnitName) != aboutUnit {
				t.Errorf("error %v, ErrUnitName wanted: %v", err, aboutUnit)
			}
		})
	}
	if command, err := testQuery(many[:4000]...).Command(); err != nil || len(command) > maxCommand {
		t.Errorf("4000 units: %d bytes, %v", len(command), err)
	}
}

// TestScript keeps the scripts such that every login shell passes them on as they are.
func TestScript(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"show": showScript, "list": listScript} {
		for _, bad := range []string{"\n", "'", "!", "`", `\\`} {
			if strings.Contains(script, bad) {
				t.Errorf("the script %s contains %q", name, bad)
			}
		}
		if len(script) > 1000 {
			t.Errorf("the script %s has %d bytes", name, len(script))
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		query Query
		start string
		end   string
	}{
		"no units": {
			Query{Nonce: testNonce, Limit: 7200 * time.Millisecond},
			"exec timeout -k 1 7.2 sh -c '",
			"' sh " + testNonce + " Version,SystemState,NFailedUnits,NJobs,UserspaceTimestamp,UserspaceTimestampMonotonic",
		},
		"units": {
			Query{Nonce: testNonce, Limit: time.Nanosecond, Units: []string{`system-a\x2db.slice`, "-.mount"}},
			"exec timeout -k 1 0.001 sh -c '", `LastTriggerUSec/system-a\\x2db.slice,-.mount`,
		},
		"groups": {
			Query{Nonce: testNonce, Limit: 2 * time.Minute, Units: []string{"a.device", "b.path", "c.device"}, Version: 219},
			"exec timeout -k 1 120 sh -c '", "NeedDaemonReload/a.device,c.device Id,Names,Description,LoadState,ActiveState,SubState," +
				"UnitFileState,ActiveEnterTimestamp,ActiveExitTimestamp,InactiveEnterTimestamp,InactiveExitTimestamp,NeedDaemonReload,Result/b.path",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command, err := tt.query.Command()
			if err != nil || !strings.HasPrefix(command, tt.start) || !strings.HasSuffix(command, tt.end) || strings.Contains(command, "\n") {
				t.Errorf("Command() = %s, %v; want %s...%s", command, err, tt.start, tt.end)
			}
		})
	}
}

func TestNewNonce(t *testing.T) {
	t.Parallel()
	first, second := NewNonce(), NewNonce()
	if !IsNonce(first) || !IsNonce(second) || first == second {
		t.Errorf("nonces %q and %q", first, second)
	}
}

func TestParseCommandRefuses(t *testing.T) {
	t.Parallel()
	good, err := testQuery("a.service", `b\x2d.slice`).Command()
	if err != nil {
		t.Fatal(err)
	}
	beforeNonce, _, _ := strings.Cut(good, testNonce)
	replace := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %q in %s", from, good)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, command := range map[string]string{
		"empty":                 "",
		"a shell":               "sh",
		"other start":           " " + good,
		"no exec":               strings.TrimPrefix(good, "exec "),
		"another script":        replace("manager", "Manager"),
		"no limit":              replace(" 1 sh -c", "  sh -c"),
		"endless":               replace(" 1 sh -c", " 0 sh -c"),
		"negative":              replace(" 1 sh -c", " -1 sh -c"),
		"infinite":              replace(" 1 sh -c", " inf sh -c"),
		"not a number":          replace(" 1 sh -c", " NaN sh -c"),
		"limit in other words":  replace(" 1 sh -c", " 1.0 sh -c"),
		"limit with a unit":     replace(" 1 sh -c", " 1d sh -c"),
		"more options":          replace(" 1 sh -c", " 1 -s KILL sh -c"),
		"no arguments":          beforeNonce,
		"no manager properties": beforeNonce + testNonce,
		"bad nonce":             replace(testNonce, "x"),
		"space doubled":         replace(testNonce+" ", testNonce+"  "),
		"quoted word":           replace("Version,", "'Version',"),
		"empty property":        replace("Version,", ","),
		"no property at all":    replace("NeedDaemonReload,", ",NeedDaemonReload"),
		"bad property":          replace("Version,", "--all,"),
		"property not ASCII":    replace("Version,", "Versiön,"),
		"bad group property":    replace("Names,", "Na/mes,"),
		"no slash":              replace("/", ","),
		"no unit":               good[:strings.LastIndex(good, "/")+1],
		"bad unit":              replace("a.service", "a"),
		"unit with a dollar":    replace("a.service", "$a.service"),
		"empty unit":            replace("a.service", ""),
		"backslash alone":       replace(`b\\x2d`, `b\x2d`),
		"command behind":        good + ";reboot",
		"space behind":          good + " ",
		"newline behind":        good + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := ParseCommand(command); err == nil {
				t.Errorf("ParseCommand(%q) = %+v", command, got)
			}
		})
	}
}

func TestParseCommand(t *testing.T) {
	t.Parallel()
	query := Query{
		Nonce: testNonce, Limit: 7200*time.Millisecond - 1, Version: 219,
		Units: []string{`system-a\x2db.slice`, "a.target", `odd\\name\.slice`},
	}
	command, err := query.Command()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseCommand(command)
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		Nonce: testNonce, Limit: 7200 * time.Millisecond,
		ManagerProperties: []string{"Version", "SystemState", "NFailedUnits", "NJobs", "UserspaceTimestamp", "UserspaceTimestampMonotonic"},
		Groups: []Group{
			{Properties: query.propertiesOf(slice), Units: []string{`system-a\x2db.slice`, `odd\\name\.slice`}},
			{Properties: query.propertiesOf(target), Units: []string{"a.target"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

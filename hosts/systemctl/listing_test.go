package systemctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testListing(globs ...string) Listing {
	return Listing{Nonce: testNonce, Globs: globs, Limit: time.Second}
}

func TestListingCommand(t *testing.T) {
	t.Parallel()
	command, err := testListing("*.service", "a[!b-c]?@*", `a\x2d*`).Command()
	if err != nil {
		t.Fatal(err)
	}
	if want := "exec timeout -k 1 1 sh -c '" + listScript + "' sh " + testNonce + ` \*.service,a\[\^b-c\]\?@\*,a\\x2d\*`; command != want {
		t.Errorf("Command() = %s, want %s", command, want)
	}
	got, err := ParseCommand(command)
	want := Request{Nonce: testNonce, Limit: time.Second, Globs: []string{"*.service", "a[^b-c]?@*", `a\x2d*`}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("ParseCommand: %v\n%s", err, diff)
	}
}

func TestListingCommandRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		listing Listing
		says    string
	}{
		"no nonce":    {Listing{Globs: []string{"*"}, Limit: time.Second}, "nonce"},
		"no limit":    {Listing{Nonce: testNonce, Globs: []string{"*"}}, "limit"},
		"no glob":     {testListing(), "no glob"},
		"empty glob":  {testListing("*", ""), "empty"},
		"option":      {testListing("--root=*"), "dash"},
		"shell":       {testListing("*;reboot"), "allowed"},
		"two in one":  {testListing("a*,b*"), "allowed"},
		"too long":    {testListing(slices.Repeat([]string{strings.Repeat("a", 200) + "*"}, 600)...), "600 globs"},
		"a linefeed":  {testListing("*\n"), "allowed"},
		"two words":   {testListing("a* b*"), "allowed"},
		"no brackets": {testListing("[a"), "brackets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if command, err := tt.listing.Command(); err == nil || command != "" || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Command() = %q, %v; want an error that says %s", command, err, tt.says)
			}
		})
	}
}

func TestParseCommandRefusesListings(t *testing.T) {
	t.Parallel()
	good, err := testListing("a*", `b\x2d*`).Command()
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]string{
		"no globs":          strings.TrimSuffix(good, ` a\*,b\\x2d\*`),
		"empty globs":       strings.TrimSuffix(good, `a\*,b\\x2d\*`),
		"empty glob":        good + ",",
		"glob not quoted":   strings.Replace(good, `a\*`, "a*", 1),
		"backslash alone":   strings.Replace(good, `\\x2d`, `\x2d`, 1),
		"backslash behind":  good + `\`,
		"another argument":  good + " x*",
		"a group":           good + " Id/a.service",
		"exclamation mark":  good + `,\[!a]`,
		"command behind":    good + ";id",
		"the other script":  strings.Replace(good, listScript, showScript, 1),
		"bad nonce":         strings.Replace(good, testNonce, testNonce[1:], 1),
		"quoted apostrophe": good + `,\'`,
	} {
		if got, err := ParseCommand(command); err == nil {
			t.Errorf("%s: ParseCommand(%q) = %+v", name, command, got)
		}
	}
}

// listed is an answer to a listing.
func listed(loaded, installed string) string {
	return mark(SectionLoaded, loaded, 0) + mark(SectionInstalled, installed, 0)
}

const (
	shutdownLoaded    = "shutdown.target loaded inactive dead Shutdown\n"
	shutdownInstalled = "shutdown.target static -\n"
)

func TestListingParse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		globs             []string
		loaded, installed string
		want              []string
	}{
		"nothing":          {[]string{"a*"}, shutdownLoaded, shutdownInstalled, nil},
		"what it asks for": {[]string{"shut*"}, shutdownLoaded, shutdownInstalled, []string{"shutdown.target"}},
		"both lists": {
			[]string{"a*"},
			"a2.service loaded active running A\na1.service loaded inactive dead A\n" + shutdownLoaded,
			"a3.service disabled\na1.service enabled enabled\n" + shutdownInstalled,
			[]string{"a1.service", "a2.service", "a3.service"},
		},
		"filtered": {
			[]string{"a*.service", "b?.timer"},
			"ab.timer loaded active running A\nb1.timer loaded inactive dead A\nb12.timer loaded inactive dead A\n" + shutdownLoaded,
			"a.service disabled\nba.service enabled\n" + shutdownInstalled,
			[]string{"a.service", "b1.timer"},
		},
		"marks of older versions": {
			[]string{"*.service"},
			"● a.service loaded failed failed A\n  b.service loaded active running B\n* c.service masked inactive dead C\n",
			shutdownInstalled,
			[]string{"a.service", "b.service", "c.service"},
		},
		"jobs and no description": {
			[]string{"*"},
			"a.service loaded activating start-pre start A unit\nb.mount                loaded active     mounted \n",
			shutdownInstalled,
			[]string{"a.service", "b.mount", "shutdown.target"},
		},
		"only referred to": {
			[]string{"*"},
			"a.service not-found inactive dead a.service\nb.service not-found active running B\nc.service not-found failed failed C\n",
			shutdownInstalled,
			[]string{"b.service", "c.service", "shutdown.target"},
		},
		"states": {
			[]string{"*.service"},
			shutdownLoaded,
			"a.service alias -\nb.service masked enabled\nc.service indirect enabled\nd.service bad -\ne.service linked-runtime\nf.service generated -\n",
			[]string{"a.service", "b.service", "c.service", "d.service", "e.service", "f.service"},
		},
		"templates and other types": {
			[]string{"*"},
			"old.snapshot loaded active active my.service loaded a b\nbus.busname loaded active running\n" + shutdownLoaded,
			"a@.service indirect enabled\na@b.service enabled\n@.timer static\n",
			[]string{"a@b.service", "shutdown.target"},
		},
		"escapes": {
			[]string{`*\x2d*`},
			`system-a\x2db.slice loaded active active A` + "\n" + `a-b.slice loaded active active A`, shutdownInstalled,
			[]string{`system-a\x2db.slice`},
		},
		"a description that looks like units": {
			[]string{"a*"}, "b.service loaded active running a1.service loaded active running\n" + shutdownLoaded, shutdownInstalled, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := testListing(tt.globs...).Parse([]byte("noise"+listed(tt.loaded, tt.installed)), []byte("more noise\n"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListingParseRefuses(t *testing.T) {
	t.Parallel()
	said := []byte("Failed to list units: Access denied\n")
	for name, tt := range map[string]struct {
		stdout string
		want   string
		is     error
	}{
		"nothing":         {"", "the command did not start: Failed to list units", ErrProtocol},
		"another's":       {strings.ReplaceAll(listed("", ""), testNonce, otherNonce), "did not start", ErrProtocol},
		"failed":          {mark(SectionLoaded, "", 1), "systemctl list-units ended with exit status 1: Failed to list", nil},
		"second failed":   {mark(SectionLoaded, shutdownLoaded, 0) + mark(SectionInstalled, "", 1), "systemctl list-unit-files ended", nil},
		"cut off":         {mark(SectionLoaded, shutdownLoaded, 0), "cut off", ErrCutOff},
		"nothing at all":  {listed("", shutdownInstalled), "list-units printed nothing", nil},
		"no unit files":   {listed(shutdownLoaded, "\n"), "list-unit-files printed nothing", nil},
		"another's order": {mark(SectionInstalled, shutdownInstalled, 0) + mark(SectionLoaded, shutdownLoaded, 0), "cut off", ErrCutOff},
	} {
		names, err := testListing("*").Parse([]byte(tt.stdout), said)
		if err == nil || names != nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: Parse = %v, %v; want an error that says %s", name, names, err, tt.want)
		}
		if _, failed := errors.AsType[*CommandError](err); failed != (tt.is == nil) {
			t.Errorf("%s: error %T %v", name, err, err)
		}
	}
	if _, err := testListing("[").Parse([]byte(listed("", "")), nil); !errors.Is(err, ErrUnitName) {
		t.Errorf("error %v for a glob that is none", err)
	}
}

func TestListingCaptures(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"mount*":                   "mount-controller.service mount_controller.service", // The first is an alias.
		"worker*":                  "worker@1.service",                                  // Without worker@.service.
		"[bm]*.timer":              "backup.timer",
		"back*":                    "backup.service backup.timer",
		"masked*":                  "masked.service",
		"*ghost*":                  "",
		"auditd*":                  "", // Other units refer to it.
		"crash*.service":           "crashloop.service",
		"metrics.*":                "metrics.service metrics.socket",
		"?.slice":                  "-.slice",
		"user@.service":            "", // A template.
		"dbus-org*.login1.service": "dbus-org.freedesktop.login1.service",
	}
	for _, version := range captured() {
		answer := []byte(listed(capture(t, version, "list-units.txt"), capture(t, version, "list-unit-files.txt")))
		for glob, want := range want {
			got, err := testListing(glob).Parse(answer, nil)
			if err != nil || strings.Join(got, " ") != want {
				t.Errorf("%s: %s is %v (%v), want %s", version, glob, got, err, want)
			}
		}
		all, err := testListing("*").Parse(answer, nil)
		if err != nil || len(all) < 150 || len(all) > 300 || !slices.IsSorted(all) {
			t.Errorf("%s: %d units in all, %v", version, len(all), err)
		}
		for _, name := range all {
			if CheckUnitName(name) != nil {
				t.Errorf("%s: %q cannot be asked for", version, name)
			}
		}
	}
}

// FuzzListing checks that what comes back matches and can be asked for.
func FuzzListing(f *testing.F) {
	for _, version := range captured() {
		f.Add("*.service\nw*", capture(f, version, "list-units.txt")[:1000], capture(f, version, "list-unit-files.txt")[:500])
	}
	f.Add("[!a]*\n"+`a\x2d*`, shutdownLoaded, "● a@.service\n")
	f.Fuzz(func(t *testing.T, globs, loaded, installed string) {
		listing := testListing(strings.Split(globs, "\n")...)
		command, err := listing.Command()
		if err != nil {
			return
		}
		if request, err := ParseCommand(command); err != nil || fmt.Sprint(request.Globs) != strings.ReplaceAll(fmt.Sprint(listing.Globs), "!", "^") {
			t.Errorf("ParseCommand(%s) = %+v, %v", command, request, err)
		}
		names, err := listing.Parse([]byte(listed(loaded, installed)), nil)
		if err != nil {
			return
		}
		for _, name := range names {
			matches := func(glob string) bool { return MatchGlob(glob, name) }
			if CheckUnitName(name) != nil || !slices.ContainsFunc(listing.Globs, matches) {
				t.Errorf("%q is not what %q stands for", name, listing.Globs)
			}
		}
	})
}

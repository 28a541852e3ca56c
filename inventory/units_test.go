package inventory

import (
	"strings"
	"testing"
)

func TestUnitName(t *testing.T) {
	good := map[string]string{
		"nginx": "nginx.service", "nginx.service": "nginx.service", "apt-daily.timer": "apt-daily.timer", "-.mount": "-.mount",
		"-.slice": "-.slice", "worker@1": "worker@1.service", "getty@tty1.service": "getty@tty1.service", "a@b@c": "a@b@c.service",
		`home-a\x20b.mount`: `home-a\x20b.mount`, "app-1.2": "app-1.2.service", "my.app": "my.app.service", "12.service": "12.service",
		"dev-sda1.device": "dev-sda1.device", "dbus-:1.2-org.x@0.service": "dbus-:1.2-org.x@0.service", "x.automount": "x.automount",
		strings.Repeat("a", 247): strings.Repeat("a", 247) + ".service",
	}
	bad := []string{
		"", "1", "0123", "/home", "dev/sda", "a b", "a\nb", "a'b", `a"b`, "a;b", "$a", "`a`", "é", "\xff", "x@", "x@.service",
		"@", "@x", "@x.service", ".service", ".timer", "-a", "-", "-.service", "--all", "a.sevice", "a.timers", "a*", "a?", "[a]",
		strings.Repeat("a", 248), strings.Repeat("a", 256), "a\x00b",
	}
	for _, name := range bad {
		if got, err := UnitName(name); err == nil {
			t.Errorf("UnitName(%q) is %q, want an error", name, got)
		}
	}
	for name, want := range good {
		if got, err := UnitName(name); got != want || err != nil {
			t.Errorf("UnitName(%q) is %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestCheckGlob(t *testing.T) {
	for _, glob := range []string{"*", "nginx*", "app-[ab]*.service", "app-[!a].timer", `a\x2d*`, "worker@*", "worker@[1-4].service", "[-]*", "[^a-]*"} {
		if err := checkGlob(glob); err != nil {
			t.Error(err)
		}
	}
	for _, glob := range []string{
		"-*", "a b*", "$(a)*", "a[", "a[01-20]", "[1-10]*", "*'", strings.Repeat("*", 256), "a!b*", "[]", "[!]*", "[[:digit:]]*",
		"[a!]*", "a]*", "[]a]*",
	} {
		if err := checkGlob(glob); err == nil {
			t.Errorf("%q is accepted", glob)
		}
	}
}

// FuzzUnitName holds what is accepted to be what a shell and systemctl take for one unit, unchanged.
func FuzzUnitName(f *testing.F) {
	for _, seed := range []string{"nginx", "x@.service", "-.mount", "a.sevice", `a\x20.mount`, "1", "a*", "@", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := UnitName(name)
		if err != nil {
			if msg := err.Error(); strings.ContainsAny(msg, "\n\x00") || msg == "" {
				t.Errorf("the error is not one line: %q", msg)
			}
			return
		}
		if strings.Trim(got, `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\@-`) != "" || len(got) > 255 {
			t.Errorf("UnitName(%q) is %q", name, got)
		}
		if again, err := UnitName(got); again != got || err != nil {
			t.Errorf("UnitName(%q) is %q, of which UnitName is %q, %v", name, got, again, err)
		}
	})
}

package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"service_manager/publish"
)

// watched is what is seen when the hosts of testFleet are read again after one has failed, one has come back and a unit was started anew.
func watched(t *testing.T, width, height int, options ...func(*watchView)) *watchView {
	t.Helper()
	units, err := newUnitChoice(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &watchView{seen: newSightings(), units: units, table: table{width: width}, height: height}
	for _, s := range testFleet() {
		s.System = &publish.System{}
		v.seen.observe(s)
		v.names = append(v.names, s.Host.Name)
	}
	v.table.hosts = len(v.names)
	fleet := testFleet()
	fleet[4].Units[1].InvocationID = new("another")
	fleet[5].Units[0] = testUnit("mount_controller.service", 2*time.Second, exited(2))
	fleet[3].Outcome, fleet[3].Error = "ok", nil
	for _, i := range []int{3, 4, 5} {
		v.seen.observe(fleet[i])
	}
	for what := range v.seen.changes {
		v.seen.changes[what] = noon()
	}
	for _, option := range options {
		option(v)
	}
	return v
}

func TestWatchFrames(t *testing.T) {
	for name, v := range map[string]*watchView{
		"watch.80x24":    watched(t, 80, 24),
		"watch.200x50":   watched(t, 200, 50),
		"watch.coloured": watched(t, 80, 24, func(v *watchView) { v.table.coloured = true }),
		"watch.wide":     watched(t, 200, 24, func(v *watchView) { v.table.wide = true }),
		"watch.down":     watched(t, 80, 12, func(v *watchView) { v.top = 5 }),
		"watch.end":      watched(t, 80, 12, func(v *watchView) { v.top = 1000 }),
		"watch.failed":   watched(t, 80, 12, func(v *watchView) { v.onlyFailed = true }),
		"watch.start": watched(t, 80, 12, func(v *watchView) {
			v.seen = newSightings()
			v.seen.observe(testFleet()[0])
		}),
		"watch.unit": watched(t, 80, 12, func(v *watchView) {
			var err error
			if v.units, err = newUnitChoice([]string{"nginx", "ngnix"}); err != nil {
				t.Fatal(err)
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, strings.Join(v.frame(noon()), "\n")+"\n")
		})
	}
}

// However small the terminal, the frame is never greater.
func TestWatchFramesFit(t *testing.T) {
	for _, width := range []int{0, 1, 2, 10, 79, 80, 200} {
		for height := range 40 {
			v := watched(t, width, height)
			v.table.wide = height%2 == 0
			v.top = height
			frame := v.frame(noon())
			if len(frame) > height {
				t.Errorf("%d lines on a terminal of %d", len(frame), height)
			}
			for _, line := range frame {
				if w := ansi.StringWidth(line); w > width {
					t.Errorf("%d columns on a terminal of %d: %q", w, width, line)
				}
			}
		}
	}
}

// What changes is marked for a while, in a host that was read before.
func TestSightings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newSightings()
		sight := func(outcome string, units ...publish.Unit) {
			s := testStatus("web", "web-01", units...)
			s.Outcome, s.System = outcome, &publish.System{}
			seen.observe(s)
		}
		expect := func(when string, want ...sighted) {
			t.Helper()
			changed := seen.changedSince(time.Now().Add(-highlightFor))
			wanted := make(map[sighted]bool)
			for _, what := range want {
				wanted[what] = true
			}
			for _, unit := range []string{"", "a.service", "b.service"} {
				what := sighted{"web-01", unit}
				if got := changed(what.host, what.unit); got != wanted[what] {
					t.Errorf("%s: %v changed is %v", when, what, got)
				}
			}
		}
		calm := testUnit("a.service", time.Hour)
		sight("ok", calm)
		expect("the first look")
		sight("ok", testUnit("a.service", time.Minute, saying("busy"))) // No event of its own.
		expect("another text")
		sight("ok", testUnit("a.service", 0, exited(1)))
		expect("failed", sighted{"web-01", "a.service"})
		time.Sleep(highlightFor)
		expect("failed a while ago", sighted{"web-01", "a.service"})
		time.Sleep(time.Nanosecond)
		expect("failed too long ago")
		sight("unreachable", testUnit("a.service", 0, exited(1)))
		expect("unreachable", sighted{"web-01", ""})
		time.Sleep(time.Minute)
		sight("ok", calm, testUnit("b.service", 0))
		expect("back", sighted{"web-01", ""}, sighted{"web-01", "a.service"}, sighted{"web-01", "b.service"})
		time.Sleep(time.Minute)
		sight("ok", calm, testUnit("b.service", 0, restarted(1)))
		expect("restarted", sighted{"web-01", "b.service"})
		time.Sleep(time.Minute)
		sight("ok", calm)
		expect("dropped from the inventory")
	})
}

func TestWatchKeys(t *testing.T) {
	m := &watchModel{view: *watched(t, 80, 24)}
	m.view.table.wide = true
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 13})
	const last = 52 - 9 // rows, and those that fit
	for _, c := range []struct {
		key tea.Key
		top int
	}{
		{tea.Key{Code: tea.KeyUp}, 0},
		{tea.Key{Code: tea.KeyDown}, 1},
		{tea.Key{Code: 'j', Text: "j"}, 2},
		{tea.Key{Code: tea.KeyPgDown}, 12},
		{tea.Key{Code: 'k', Text: "k"}, 11},
		{tea.Key{Code: tea.KeySpace, Text: " "}, 21},
		{tea.Key{Code: tea.KeyPgUp}, 11},
		{tea.Key{Code: tea.KeyEnd}, last},
		{tea.Key{Code: tea.KeyDown}, last},
		{tea.Key{Code: tea.KeyHome}, 0},
		{tea.Key{Code: 'x', Text: "x"}, 0},
	} {
		if _, next := m.Update(tea.KeyPressMsg(c.key)); next != nil || m.view.top != c.top {
			t.Errorf("%v: row %d, want %d", c.key, m.view.top, c.top)
		}
	}
	for _, key := range []tea.Key{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		_, next := m.Update(tea.KeyPressMsg(key))
		if next == nil || fmt.Sprintf("%T", next()) != "tea.QuitMsg" {
			t.Errorf("%v does not end it", key)
		}
	}
}

func TestWatchInterval(t *testing.T) {
	for value, want := range map[string]time.Duration{"auto": 0, "1s": time.Second, "1m30s": 90 * time.Second} {
		if got, err := watchInterval(value); got != want || err != nil {
			t.Errorf("%s is %v (%v), want %v", value, got, err, want)
		}
	}
	for _, value := range []string{"5", "100ms", "-5s", "48h", "often"} {
		if _, err := watchInterval(value); exitOf(err) != exitUsage {
			t.Errorf("%s: %v", value, err)
		}
	}
}

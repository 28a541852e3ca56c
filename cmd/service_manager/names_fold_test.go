package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"service_manager/inventory"
)

func TestFoldNames(t *testing.T) {
	for given, want := range map[string]string{
		"":                                    "",
		"web-01":                              "web-01",
		"web-01 web-02":                       "web-01 web-02",
		"web-01 web-02 web-03":                "web-[01-03]",
		"db-9 db-10 db-11 db-12":              "db-9 db-[10-12]",
		"a-08 a-09 a-10 a-11 b-12 b-13":       "a-[08-11] b-12 b-13",
		"n1 n2 n4 n5 n6 x y z":                "n1 n2 n[4-6] x y z",
		"7 8 9":                               "[7-9]",
		"a-99999999999999999999999 a-1 a-2":   "a-99999999999999999999999 a-1 a-2",
		"web-1.example web-2.example web-3.x": "web-1.example web-2.example web-3.x",
	} {
		if got := foldNames(strings.Fields(given)); strings.Join(got, " ") != want {
			t.Errorf("%q: %q; want %q", given, got, want)
		}
	}
}

// What is folded selects the same hosts of an inventory.
func TestFoldedNamesSelectTheSame(t *testing.T) {
	inv, err := inventory.Parse("inventory.toml", []byte("[[hosts]]\nname = \"web-[001-120]\"\n[[hosts]]\nname = \"db[8-12]\"\n"), inventory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	all := hostNames(inv.Hosts)
	for step := range 7 {
		var names []string
		for i, name := range all {
			if i%(step+3) > 0 {
				names = append(names, name)
			}
		}
		selected, err := inv.Select(foldNames(names))
		if got := hostNames(selected); err != nil || !slices.Equal(got, names) {
			t.Errorf("%v: %v; want %v", err, got, names)
		}
	}
}

// A plan for many hosts fits a screen, and still names each.
func TestPlanOfManyHosts(t *testing.T) {
	var batch []target
	for i := range 40 {
		h := target{host: inventory.Host{Name: fmt.Sprintf("web-%02d", i+1)}}
		h.before.LoadState, h.before.ActiveState, h.before.SubState = "loaded", "active", "running"
		if i == 6 {
			h.before.ActiveState, h.before.SubState = "failed", "failed"
		}
		batch = append(batch, h)
	}
	var out strings.Builder
	plan{verb: "restart", unit: "nginx.service", batches: [][]target{batch}}.print(&out)
	const want = "batch 1 of 1: web-[01-06], web-[08-40] (now active/running); web-07 (now failed/failed)\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s; want %s", &out, want)
	}
}

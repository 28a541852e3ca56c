package inventory

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpand(t *testing.T) {
	tests := map[string][]string{ // what is refused is in testdata/bad/ranges.toml
		"":                 {""},
		"web":              {"web"},
		"web-[8-11]":       {"web-8", "web-9", "web-10", "web-11"},
		"web-[08-11]":      {"web-08", "web-09", "web-10", "web-11"},
		"[0-2]":            {"0", "1", "2"},
		"db-[a,b].x":       {"db-a.x", "db-b.x"},
		"db-[a-c]":         {"db-a", "db-b", "db-c"},
		"[X-Z]":            {"X", "Y", "Z"},
		"x[5]":             {"x5"},
		"[1-2,9,a, eu-w]z": {"1z", "2z", "9z", "az", "eu-wz"},
		"r[1-2]-[a,b]":     {"r1-a", "r1-b", "r2-a", "r2-b"},
		"[1-2][01-02]":     {"101", "102", "201", "202"},
		"[000-001]":        {"000", "001"},
	}
	for pattern, want := range tests {
		got, err := expand(pattern, 100)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", pattern, err, diff)
		}
	}
	for _, pattern := range []string{"[1-101]", "[1-10][1-11]", "[1-50,1-51]", strings.Repeat("[a]", 256), strings.Repeat("[0-9]", 80)} {
		if got, err := expand(pattern, 100); err == nil {
			t.Errorf("%q is %d names", pattern, len(got))
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"web-[01-20]", "db-[a,b]", "r[1-4,x]-[a-c]", "[", "]", "[]", "[1-]", "[-1]", "[z-a]", "[,]", "[1..3]", "[1-3-5]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		const limit = 1000
		got, err := expand(pattern, limit)
		if err == nil && (len(got) == 0 || len(got) > limit) {
			t.Errorf("%q is %d names", pattern, len(got))
		}
		for _, name := range got {
			if strings.ContainsAny(name, "[]") || len(name) > maxExpandedName {
				t.Errorf("%q contains %q", pattern, name)
			}
		}
	})
}

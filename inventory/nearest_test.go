package inventory

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"interval", "parallel", "dials", "web-02", "web-01", "Dial"}
	for name, want := range map[string]string{
		"": "", "zzz": "", "intervall": "interval", "intreval": "interval", "INTERVAL": "interval", "web-03": "web-01",
		"dial": "Dial", "dails": "dials", "prallel": "parallel",
	} {
		if got := nearest(name, slices.Values(words), 2); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "abd", 1}, {"kitten", "sitting", 3}, {"abcdef", "zzzzzz", 4}, {"a", "abcdefgh", 4}} {
		if got, back := distance(test.a, test.b, 3), distance(test.b, test.a, 3); got != test.want || back != test.want {
			t.Errorf("distance of %q and %q is %d and %d, want %d", test.a, test.b, got, back, test.want)
		}
	}
}

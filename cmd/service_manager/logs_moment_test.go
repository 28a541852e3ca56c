package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	now := time.Date(2026, 3, 1, 14, 30, 15, 123, zone)
	for given, want := range map[string]time.Time{
		"now":                  now,
		"today":                time.Date(2026, 3, 1, 0, 0, 0, 0, zone),
		"yesterday":            time.Date(2026, 2, 28, 0, 0, 0, 0, zone),
		"10:00":                time.Date(2026, 3, 1, 10, 0, 0, 0, zone),
		"10:00:05":             time.Date(2026, 3, 1, 10, 0, 5, 0, zone),
		"2026-02-03":           time.Date(2026, 2, 3, 0, 0, 0, 0, zone),
		"2026-02-03 04:05":     time.Date(2026, 2, 3, 4, 5, 0, 0, zone),
		"2026-02-03 04:05:06":  time.Date(2026, 2, 3, 4, 5, 6, 0, zone),
		"2026-02-03T04:05":     time.Date(2026, 2, 3, 4, 5, 0, 0, zone),
		"2026-02-03T04:05:06Z": time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
		"@1764150000":          time.Unix(1764150000, 0),
		"2h30m":                now.Add(-150 * time.Minute),
		"-2h30m":               now.Add(-150 * time.Minute),
		" 15m ago ":            now.Add(-15 * time.Minute),
		"3d":                   now.AddDate(0, 0, -3),
		"2w ago":               now.AddDate(0, 0, -14),
		"0s":                   now,
		"1d12h":                now.Add(-36 * time.Hour),
		"5 min ago":            now.Add(-5 * time.Minute),
		"1.5h":                 now.Add(-90 * time.Minute),
	} {
		if got, err := parseMoment(given, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", given, got, err, want)
		}
	}
	for _, given := range []string{"", "soon", "25:00", "2026-13-01", "--1h", "1", "@x", "ago", "-d", "1x", "60000w", "9999999999999999h", "1h x"} {
		if got, err := parseMoment(given, now); err == nil || !strings.Contains(err.Error(), "write a time such as") {
			t.Errorf("%q: %v, %v", given, got, err)
		}
	}
}

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// parseMoment reads a time as a person writes it, before or at now: 10:00, "2026-11-26 10:00", 2h30m (ago), 3d, today, yesterday, now,
// RFC 3339, and @ with seconds since 1970. Times of day and dates are in the zone of now.
func parseMoment(s string, now time.Time) (time.Time, error) {
	text := strings.TrimSpace(s)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if seconds, ok := strings.CutPrefix(text, "@"); ok {
		if n, err := strconv.ParseInt(seconds, 10, 64); err == nil {
			return time.Unix(n, 0), nil
		}
	}
	if ago, ok := parseAgo(text); ok {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf(`%q: write a time such as 10:00, "2026-11-26 10:00", 2h30m or 3d (that long ago), today or yesterday`, s)
}

// parseAgo reads how long ago something is: "2h30m", "3d", "-1h", "15 min ago".
func parseAgo(text string) (time.Duration, bool) {
	const longest = 100 * 365 * 24 * time.Hour
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(text, "-"), "ago"))
	ago, found := time.Duration(0), false
	for rest := text; rest != ""; found = true {
		part := timePart().FindStringSubmatch(rest)
		if part == nil {
			return 0, false
		}
		n, err := strconv.ParseFloat(part[1], 64)
		length := n * float64(timeUnits()[part[2]])
		if err != nil || length == 0 && n != 0 || length > float64(longest-ago) {
			return 0, false
		}
		ago += time.Duration(length)
		rest = rest[len(part[0]):]
	}
	return ago, found
}

// timePart is a number and a unit, as systemd.time(7) has them.
func timePart() *regexp.Regexp {
	return regexp.MustCompile(`^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)`)
}

func timeUnits() map[string]time.Duration {
	units := make(map[string]time.Duration)
	for length, names := range map[time.Duration]string{
		time.Millisecond: "ms msec", time.Second: "s sec second seconds", time.Minute: "m min minute minutes", time.Hour: "h hr hour hours",
		24 * time.Hour: "d day days", 7 * 24 * time.Hour: "w week weeks",
	} {
		for name := range strings.FieldsSeq(names) {
			units[name] = length
		}
	}
	return units
}

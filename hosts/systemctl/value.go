package systemctl

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// parseCount reads a number. Every spelling of no value gives nil: "", "[not set]", "[no data]", "infinity", and 2^64-1,
// which systemd before 235 prints in digits.
func parseCount(value []byte) *uint64 {
	if number, ok := parseDigits(value, 64); ok && number != math.MaxUint64 {
		return &number
	}
	return nil
}

// parseInt reads a number of systemd's 32-bit types, of which none that is asked for is negative or beyond 31 bits.
func parseInt(value []byte) *int {
	if number, ok := parseDigits(value, 31); ok {
		return new(int(number)) //nolint:gosec // G115: it has 31 bits.
	}
	return nil
}

// parseDigits reads an unsigned number. It looks before strconv does, whose errors cost more than the numbers.
func parseDigits(value []byte, bits int) (uint64, bool) {
	if len(value) == 0 || value[0] < '0' || value[0] > '9' {
		return 0, false
	}
	number, err := strconv.ParseUint(string(value), 10, bits)
	return number, err == nil
}

func parseBool(value []byte) *bool {
	switch string(value) {
	case "yes":
		return new(true)
	case "no":
		return new(false)
	}
	return nil
}

// maxSeconds is the end of the year 9999, where systemd's own form of a timestamp, and RFC 3339, end.
const maxSeconds = 253402300799

// parseTimestamp reads a point in time: "Sun 2026-11-22 21:44:37 UTC", or "@1795383877". The weekday is skipped, since
// up to 231 it is in the host's language. nil is for unset ("", "n/a", "[n/a]", and "--- XXXX-XX-XX XX:XX:XX" beyond the
// year 9999), and for every zone but UTC: what an abbreviation such as CST means would be a guess.
func parseTimestamp(value []byte) *time.Time {
	if seconds, ok := bytes.CutPrefix(value, []byte("@")); ok {
		number, ok := parseDigits(seconds, 63)
		if !ok || number == 0 || number > maxSeconds {
			return nil
		}
		return new(time.Unix(int64(number), 0).UTC())
	}
	rest, ok := bytes.CutSuffix(value, []byte(" UTC"))
	if !ok {
		return nil
	}
	if weekday := len(rest) - len(" "+time.DateTime); weekday > 0 && rest[weekday] == ' ' {
		rest = rest[weekday+1:]
	}
	moment, err := time.Parse(time.DateTime, string(rest))
	if err != nil {
		return nil
	}
	return &moment
}

// parseTimerPoint reads a point in time of a timer, which systemd up to 236 prints as the timespan since the epoch.
func parseTimerPoint(value []byte) *time.Time {
	if moment := parseTimestamp(value); moment != nil {
		return moment
	}
	if span := parseTimespan(value); span > 0 {
		return new(time.Unix(0, 0).UTC().Add(span))
	}
	return nil
}

// parseTimespan reads a length of time such as "1h 9.646660s" or "45y 7month 1w 6d 10h 30min", in the units of
// format_timespan in systemd's src/basic/time-util.c. It returns 0 for none: "", "0", "infinity", more than 292 years,
// and what is no timespan.
func parseTimespan(value []byte) time.Duration {
	var microseconds float64 // Exact for whole microseconds over 285 years.
	for term := range bytes.SplitSeq(value, []byte(" ")) {
		digits := len(term) - len(bytes.TrimLeft(term, "0123456789."))
		if digits == 0 {
			return 0
		}
		number, err := strconv.ParseFloat(string(term[:digits]), 64)
		unit := timespanUnit(term[digits:])
		if err != nil || unit == 0 {
			return 0
		}
		microseconds += math.Round(number * unit)
	}
	if microseconds > math.MaxInt64/float64(time.Microsecond)-1 {
		return 0
	}
	return time.Duration(microseconds) * time.Microsecond
}

// timespanUnit returns the length of a unit in microseconds, 0 if it is none. A year has 365.25 days, a month is the
// 12th part of it.
func timespanUnit(unit []byte) float64 {
	const second = 1e6
	switch string(unit) {
	case "us":
		return 1
	case "ms":
		return 1e3
	case "s":
		return second
	case "min":
		return 60 * second
	case "h":
		return 3600 * second
	case "d":
		return 86400 * second
	case "w":
		return 7 * 86400 * second
	case "month":
		return 2629800 * second
	case "y":
		return 31557600 * second
	}
	return 0
}

// parseMonotonic reads microseconds since boot; nil is for 0, which means unset.
func parseMonotonic(value []byte) *time.Duration {
	microseconds := parseCount(value)
	if microseconds == nil || *microseconds == 0 || *microseconds > math.MaxInt64/uint64(time.Microsecond) {
		return nil
	}
	return new(time.Duration(*microseconds) * time.Microsecond)
}

// word returns value as a string, without allocating for those that nearly every record has.
func word(value []byte) string {
	switch string(value) {
	case "":
		return ""
	case "loaded":
		return "loaded"
	case "active":
		return "active"
	case "inactive":
		return "inactive"
	case "running":
		return "running"
	case "exited":
		return "exited"
	case "dead":
		return "dead"
	case "waiting":
		return "waiting"
	case "listening":
		return "listening"
	case "mounted":
		return "mounted"
	case "enabled":
		return "enabled"
	case "static":
		return "static"
	case "success":
		return "success"
	}
	return string(value)
}

package systemctl

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// parseCount reads a number. Every spelling of no value is none: "", "[not set]", "[no data]", "infinity", and 2^64-1,
// which systemd before 235 prints in digits.
func parseCount(value []byte) (uint64, bool) {
	number, ok := parseDigits(value, 64)
	return number, ok && number != math.MaxUint64
}

// parseDigits reads an unsigned number. It looks before strconv does, whose errors cost more than the numbers.
func parseDigits(value []byte, bits int) (uint64, bool) {
	if len(value) == 0 || value[0] < '0' || value[0] > '9' {
		return 0, false
	}
	number, err := strconv.ParseUint(string(value), 10, bits)
	return number, err == nil
}

// shared returns before if that is the same, else now in memory of its own.
func shared[T comparable](before *T, now T) *T {
	if before != nil && *before == now {
		return before
	}
	own := new(T) // Not now: that would take memory in any case.
	*own = now
	return own
}

// sharedText is value as a string, before if that is the same.
func sharedText(before string, value []byte) string {
	if string(value) == before {
		return before
	}
	return word(value)
}

// sharedInt reads a number of systemd's 32-bit types, of which none that is asked for is negative or beyond 31 bits.
func sharedInt(before *int, value []byte) *int {
	if number, ok := parseDigits(value, 31); ok {
		return shared(before, int(number)) //nolint:gosec // G115: it has 31 bits.
	}
	return nil
}

func sharedBool(before *bool, value []byte) *bool {
	switch string(value) {
	case "yes":
		return shared(before, true)
	case "no":
		return shared(before, false)
	}
	return nil
}

// sharedTime takes what has been read of a point in time.
func sharedTime(before *time.Time, moment time.Time, ok bool) *time.Time {
	if !ok {
		return nil
	}
	return shared(before, moment)
}

// sharedTimestamp reads a point in time, see parseTimestamp.
func sharedTimestamp(before *time.Time, value []byte) *time.Time {
	moment, ok := parseTimestamp(value)
	return sharedTime(before, moment, ok)
}

// sharedTimerPoint reads a point in time of a timer, see parseTimerPoint.
func sharedTimerPoint(before *time.Time, value []byte) *time.Time {
	moment, ok := parseTimerPoint(value)
	return sharedTime(before, moment, ok)
}

// maxSeconds is the end of the year 9999, where systemd's own form of a timestamp, and RFC 3339, end.
const maxSeconds = 253402300799

// parseTimestamp reads a point in time: "Sun 2026-11-22 21:44:37 UTC", or "@1795383877". The weekday is skipped, since
// up to 231 it is in the host's language. There is none where it is unset ("", "n/a", "[n/a]", and "--- XXXX-XX-XX XX:XX:XX" beyond
// the year 9999), and in every zone but UTC: what an abbreviation such as CST means would be a guess.
func parseTimestamp(value []byte) (moment time.Time, ok bool) {
	if seconds, ok := bytes.CutPrefix(value, []byte("@")); ok {
		number, ok := parseDigits(seconds, 63)
		if !ok || number == 0 || number > maxSeconds {
			return moment, false
		}
		return time.Unix(int64(number), 0).UTC(), true
	}
	rest, ok := bytes.CutSuffix(value, []byte(" UTC"))
	if !ok {
		return moment, false
	}
	if weekday := len(rest) - len(" "+time.DateTime); weekday > 0 && rest[weekday] == ' ' {
		rest = rest[weekday+1:]
	}
	if len(rest) != len(time.DateTime) || rest[len(time.DateOnly)] != ' ' {
		return moment, false
	}
	var text [len(time.DateTime) + len("Z")]byte // RFC 3339, which package time reads three times as fast.
	copy(text[:], rest)
	text[len(time.DateOnly)], text[len(rest)] = 'T', 'Z'
	moment, err := time.Parse(time.RFC3339, string(text[:]))
	return moment, err == nil
}

// parseTimerPoint reads a point in time of a timer, which systemd up to 236 prints as the timespan since the epoch.
func parseTimerPoint(value []byte) (moment time.Time, ok bool) {
	if moment, ok = parseTimestamp(value); ok {
		return moment, true
	}
	span := parseTimespan(value)
	return time.Unix(0, 0).UTC().Add(span), span > 0
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
	microseconds, ok := parseCount(value)
	if !ok || microseconds == 0 || microseconds > math.MaxInt64/uint64(time.Microsecond) {
		return nil
	}
	return new(time.Duration(microseconds) * time.Microsecond)
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

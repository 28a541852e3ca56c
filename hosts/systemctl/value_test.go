package systemctl

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// checkValues compares what parse makes of each text with the wanted value, nil for none.
func checkValues[T any](t *testing.T, parse func([]byte) (T, bool), want map[string]any) {
	t.Helper()
	for text, value := range want {
		var got any
		if is, ok := parse([]byte(text)); ok {
			got = is
		}
		if diff := cmp.Diff(value, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// fresh is for what parses to a pointer, and knows no value before.
func fresh[T any](parse func(before *T, value []byte) *T) func([]byte) (T, bool) {
	return func(value []byte) (is T, ok bool) {
		pointer := parse(nil, value)
		if pointer != nil {
			is = *pointer
		}
		return is, pointer != nil
	}
}

func TestParseCount(t *testing.T) {
	t.Parallel()
	checkValues(t, parseCount, map[string]any{
		"": nil, "[not set]": nil, "[no data]": nil, "[unprintable]": nil, "infinity": nil, "n/a": nil, "-1": nil, "1.5": nil, "+1": nil, "1 ": nil,
		"18446744073709551615":  nil, // no value on CentOS 7
		"99999999999999999999":  nil,
		"18446744073709551614":  uint64(18446744073709551614),
		"0":                     uint64(0),
		"8658944":               uint64(8658944),
		"000000000000000000012": uint64(12),
	})
}

func TestParseInt(t *testing.T) {
	t.Parallel()
	checkValues(t, fresh(sharedInt), map[string]any{
		"": nil, "[not set]": nil, "infinity": nil, "-1": nil, "4294967295": nil, "18446744073709551615": nil,
		"0": 0, "203": 203, "2147483647": 2147483647,
	})
}

func TestParseBool(t *testing.T) {
	t.Parallel()
	checkValues(t, fresh(sharedBool), map[string]any{"": nil, "true": nil, "1": nil, "Yes": nil, "yes": true, "no": false})
}

func TestParseMonotonic(t *testing.T) {
	t.Parallel()
	checkValues(t, fresh(func(_ *time.Duration, value []byte) *time.Duration { return parseMonotonic(value) }), map[string]any{
		"": nil, "0": nil, "18446744073709551615": nil, "18446744073709551614": nil, "1min 30s": nil,
		"4294967": 4294967 * time.Microsecond,
	})
}

func TestParseTimestamp(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 22, 21, 44, 37, 0, time.UTC)
	checkValues(t, parseTimestamp, map[string]any{
		"": nil, "n/a": nil, "[n/a]": nil, "0": nil, "infinity": nil, "UTC": nil, " UTC": nil,
		"--- XXXX-XX-XX XX:XX:XX":         nil,
		"--- XXXX-XX-XX XX:XX:XX UTC":     nil,
		"Sun 2026-11-22 21:44:37":         nil, // of which zone?
		"Sun 2026-11-22 21:44:37 CST":     nil,
		"Sun 2026-11-22 21:44:37 +08":     nil,
		"Sun 2026-11-22 21:44:37 GMT":     nil,
		"Sun 2026-11-22 21:44:37 XUTC":    nil,
		"Sun 2026-13-22 21:44:37 UTC":     nil,
		"Sun 2026-02-30 21:44:37 UTC":     nil,
		"Sun 2026-11-22 25:44:37 UTC":     nil,
		"Sun2026-11-22 21:44:37 UTC":      nil,
		"2026-11-22T21:44:37Z":            nil,
		"2026-11-22T21:44:37 UTC":         nil,
		"Sun 2026-11-22 21:44:37.5 UTC":   nil,
		"@":                               nil,
		"@0":                              nil,
		"@-1":                             nil,
		"@253402300800":                   nil, // the year 10000
		"@1795383877.5":                   nil,
		"@99999999999999999999":           nil,
		"1w 2d":                           nil,
		"Tue 2028-02-29 00:00:00 UTC":     time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC),
		"Sun 2026-11-22 21:44:37 UTC":     want,
		"dim. 2026-11-22 21:44:37 UTC":    want, // 219, French
		"Вс 2026-11-22 21:44:37 UTC":      want,
		"日 2026-11-22 21:44:37 UTC":       want,
		"CN th 8 2026-11-22 21:44:37 UTC": want,
		"2026-11-22 21:44:37 UTC":         want,
		"@1795383877":                     want,
	})
}

func TestParseTimespan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		// None, or no timespan.
		"": 0, "0": 0, "infinity": 0, "n/a": 0, "[not set]": 0, "s": 0, "5": 0, "5 s": 0, "5x": 0, "1.2.3s": 0, "-5s": 0, "+5s": 0, "1e3s": 0, "5s ": 0,
		"5s  5ms": 0, "0x5s": 0, "Infs": 0, "584542y": 0, "293y": 0, "1h 584542y": 0, "5m": 0,

		"1us":                        time.Microsecond,
		"100ms":                      100 * time.Millisecond,
		"1min 30s":                   90 * time.Second,
		"1h 9.646660s":               time.Hour + 9646660*time.Microsecond,
		"1month":                     2629800 * time.Second,
		"1w 2d 3h":                   (9*24 + 3) * time.Hour,
		"292y":                       292 * 31557600 * time.Second,
		"45y 7month 1w 6d 10h 30min": 1439661600 * time.Second,
	} {
		if got := parseTimespan([]byte(text)); got != want {
			t.Errorf("parseTimespan(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestParseTimerPoint(t *testing.T) {
	t.Parallel()
	checkValues(t, parseTimerPoint, map[string]any{
		"": nil, "0": nil, "n/a": nil, "infinity": nil, "Mon 2026-11-23 00:00:00 CET": nil,
		"Mon 2026-11-23 00:00:00 UTC": time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
		"@1795392000":                 time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
		"45y 7month 1w 6d 10h 30min":  time.Date(2015, 8, 15, 18, 0, 0, 0, time.UTC), // up to 236
	})
}

func TestWord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "loaded", "active", "inactive", "running", "exited", "dead", "waiting", "listening", "mounted", "enabled", "static", "success",
		"never-heard-of", "Active", "[not set]",
	} {
		if got := word([]byte(text)); got != text {
			t.Errorf("word(%q) = %q", text, got)
		}
	}
}

package inventory

import (
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for _, s := range []string{"", "B", "1 GiB", "-1", "1.5GB", "1gb", "1GiBB", "1e3", "0x10", "9223372036854775808", "9000000TiB", "k", "1K"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
	for s, want := range map[string]byteCount{
		"0": 0, "7": 7, "7B": 7, "1kB": 1e3, "1KB": 1e3, "2MB": 2e6, "1GB": 1e9, "1TB": 1e12, "1KiB": 1 << 10, "3MiB": 3 << 20,
		"1GiB": 1 << 30, "1TiB": 1 << 40, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := parseSize(s); got != want || err != nil {
			t.Errorf("%q is %d, %v, want %d", s, got, err, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for _, s := range []string{"", "10", "10 s", "-1s", "+1s", "1d", "s", "1min", "10000000h"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
	for s, want := range map[string]time.Duration{"0": 0, "1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond} {
		if got, err := parseDuration(s); got != want || err != nil {
			t.Errorf("%q is %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 24 * time.Hour: "24h", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m", 100 * time.Second: "1m40s",
		100 * time.Millisecond: "100ms", 20 * time.Hour: "20h",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

package publish

import (
	"crypto/rand"
	"strings"
	"time"
)

// NewEpoch names a new series of event numbers: its time of creation, so that of two the greater is the newer, and a random suffix,
// so that no two are the same.
func NewEpoch(now time.Time) string {
	return now.UTC().Format(epochTime) + "-" + strings.ToLower(rand.Text()[:8])
}

// NextEpoch is NewEpoch for a series that comes after the one named last: the greater one, also where the clock was put back since. A
// last that names none is passed over.
func NextEpoch(last string, now time.Time) string {
	created, _, _ := strings.Cut(last, "-")
	if t, err := time.Parse(epochTime, created); err == nil && now.Before(t.Add(time.Millisecond)) {
		now = t.Add(time.Millisecond)
	}
	return NewEpoch(now)
}

const epochTime = "20060102T150405.000Z"

package publish

import (
	"crypto/rand"
	"strings"
	"time"
)

// NewEpoch names a new series of event numbers: its time of creation, so that of two the greater is the newer, and a random suffix,
// so that no two are the same.
func NewEpoch(now time.Time) string {
	return now.UTC().Format("20060102T150405.000Z") + "-" + strings.ToLower(rand.Text()[:8])
}

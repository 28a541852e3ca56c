package publish

import (
	"context"
	"math/rand/v2"
	"time"
)

// The back-off between rounds over all brokers: full jitter above minBackoff, never longer than maxBackoff.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// maxPoisonPause bounds the pause after a session that a message has ended: the other messages wait meanwhile. Of such sessions there is
// one for each message that is found, and then few: see guiltyEvery.
const maxPoisonPause = 500 * time.Millisecond

// An ending says how a session ended.
type ending int

const (
	endedBadly     ending = iota + 1 // It came to nothing, or the broker refused what would only come again.
	endedWell                        // It did something before the connection was lost.
	endedByMessage                   // By one message, which is found now, or will be.
	endedToRenew                     // By us, though all was well.
)

// A pace says when the next session may begin.
type pace struct {
	brokers          int
	failed, poisoned int // Sessions in succession.
}

// after returns how long to wait after a session that ended so and lasted so long.
func (p *pace) after(end ending, lasted time.Duration) time.Duration {
	if end != endedByMessage || lasted >= maxBackoff {
		p.poisoned = 0
	}
	switch end {
	case endedByMessage:
		p.failed = 0
		p.poisoned++
		return min(backoff(p.poisoned-1), maxPoisonPause)
	case endedWell:
		p.failed = 0
	case endedToRenew:
		p.failed = 0
		return 0
	case endedBadly:
		p.failed++
		if p.failed%p.brokers != 0 {
			return 0 // The next broker may be well.
		}
	}
	return backoff(p.rounds())
}

// rounds is how many times in succession all brokers failed.
func (p *pace) rounds() int { return p.failed / p.brokers }

// backoff returns how long to wait after so many rounds without a good session.
func backoff(rounds int) time.Duration {
	limit := maxBackoff - minBackoff
	if rounds < 6 {
		limit = min(limit, minBackoff<<rounds)
	}
	return minBackoff + rand.N(limit) //nolint:gosec // spreads reconnects, keeps no secret
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

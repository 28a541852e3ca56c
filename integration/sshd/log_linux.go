package sshd

import (
	"strings"
	"sync"
	"time"
)

// startTimeout is longer than the slowest machine takes to start sshd.
const startTimeout = 30 * time.Second

// A log gathers what sshd logs, and may be read meanwhile.
type log struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed by the next Write; nil while no one waits
}

// Write implements [io.Writer].
func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// waitFor waits for a text to be there so many times. It reports false when ended is closed first, or the time is up.
func (l *log) waitFor(text string, times int, ended <-chan struct{}) bool {
	patience := time.NewTimer(startTimeout)
	defer patience.Stop()
	for {
		l.mu.Lock()
		found := strings.Count(l.text.String(), text) >= times
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-changed:
		case <-ended:
			return false
		case <-patience.C:
			return false
		}
	}
}

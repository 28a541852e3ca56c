package hosts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A command that hangs on a host cannot be ended from here: closing its session does not, nor does closing the connection, and
// timeout(1), which the collector's commands run under, cannot kill a process in uninterruptible sleep. So its session is left to
// sshd, and the connection is used further, but not so that such processes pile up.
const (
	// maxStuck is how many may be there before a poll asks no more. OpenSSH allows 10 sessions (sshd_config(5), MaxSessions).
	maxStuck = 3
	// cureAfter is the time after which a connection that is full of them is given up for a new one, should only the news of their
	// end be lost; so is one on which sshd refuses sessions, but that at most as often. It bounds what can pile up on a host
	// to 4 processes in this time.
	cureAfter = 10 * time.Minute
)

// countSession notes that a session was opened.
func (c *conn) countSession() {
	c.mu.Lock()
	c.used = true
	c.mu.Unlock()
}

// countStuck notes that one more session, or one less, is stuck.
func (c *conn) countStuck(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck += change
	c.pool.counts.stuck.Add(int64(change))
	if change > 0 {
		c.pool.counts.leftBehind.Add(int64(change))
	}
	switch {
	case c.stuck < maxStuck:
		c.full = time.Time{}
	case c.full.IsZero():
		c.full = time.Now()
	}
}

// sessions tells how many sessions are stuck, since when they are maxStuck, and whether there was ever one on the connection.
func (c *conn) sessions() (stuck int, full time.Time, used bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stuck, c.full, c.used
}

// ready sees to it that a connection on which an earlier command is stuck can be used: that its sshd lives, and that not too many are.
// The error is an [Error].
func (l *link) ready(ctx context.Context) error {
	if stuck, _, _ := l.conn.sessions(); stuck == 0 {
		return nil
	}
	if err := l.probe(ctx); err != nil {
		return err
	}
	stuck, full, _ := l.conn.sessions()
	switch {
	case stuck < maxStuck:
		return nil
	case time.Since(full) >= cureAfter:
		return l.cure("%s not ended for %v", earlier(stuck), since(full))
	}
	return fail(Timeout, "%s not ended there, so no other was sent; %s", earlier(stuck), lookThere)
}

// probe gives up a connection that shows no life within the time of a probe or half of what ctx leaves.
func (l *link) probe(ctx context.Context) error {
	limit := probeLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := l.conn.probe(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return fail(Timeout, "the poll was interrupted: %w", context.Cause(ctx))
	}
	l.drop()
	return fail(Timeout, "%w: after a command that did not end, sshd did not answer a probe within %v", ErrNotConnected, since(began))
}

// exec runs a command on the standing connection, which it gives up where that is of no more use. The error is an [Error].
func (l *link) exec(ctx context.Context, command string, limit int64) (output, error) {
	began := time.Now()
	out, err := l.conn.exec(ctx, command, limit)
	if errors.Is(err, errSessionRefused) && l.conn.endStream(ctx) { // It was in the way, as where MaxSessions is 1: there is no other then.
		l.conn.streamFailures = maxStreamFailures
		out, err = l.conn.exec(ctx, command, limit)
	}
	if errors.Is(err, errSessionRefused) && l.sessionEnds(ctx) {
		out, err = l.conn.exec(ctx, command, limit)
	}
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, errLate): // ready looks after it.
	case errors.Is(err, errSessionRefused):
		return out, l.refused(err)
	case errors.Is(err, errExecRefused): // The connection is well, and a new one would be told the same.
	default:
		l.drop()
	}
	return out, explainExec(err, since(began))
}

// sessionEnds waits a moment where the session before is all that can be in the way: sshd says that it is closed just before it has
// room for another one, which shows where MaxSessions is 1.
func (l *link) sessionEnds(ctx context.Context) bool {
	if stuck, _, used := l.conn.sessions(); !used || stuck > 0 {
		return false
	}
	select {
	case <-time.After(100 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

// refused decides what becomes of a connection on which sshd refused a session. Commands that did not end may have used up
// MaxSessions; a new connection has all of them again.
func (l *link) refused(err error) error {
	stuck, _, used := l.conn.sessions()
	switch {
	case used && time.Since(l.cured) >= cureAfter:
		return l.cure("%w", err)
	case used && stuck > 0:
		return fail(Timeout, "%w, and %s not ended there; %s", err, earlier(stuck), lookThere)
	case time.Since(l.cured) >= cureAfter: // To log in again each interval would be no better: sshd allows no session at all.
		l.cured = time.Now()
		l.drop()
	}
	return explainExec(err, 0)
}

const lookThere = "look on the host for systemctl processes, and whether PID 1 or a file system hangs"

func earlier(stuck int) string {
	if stuck == 1 {
		return "an earlier command has"
	}
	return fmt.Sprintf("%d earlier commands have", stuck)
}

// cure gives up a healthy connection because of its sessions.
func (l *link) cure(format string, args ...any) error {
	l.cured = time.Now()
	l.conn.pool.counts.reconnects.Add(1)
	l.drop()
	return fail(Timeout, "%w: "+format, append([]any{ErrNotConnected}, args...)...)
}

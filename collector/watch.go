package collector

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sourcegraph/conc/panics"

	"service_manager/hosts"
	"service_manager/inventory"
)

// persistentPause is how long a host is left alone whose trouble only a person can mend. Shorter would earn the collector's
// address a penalty from OpenSSH 9.8 on, which then hits every connection from it.
const persistentPause = 5 * time.Minute

// A watch is what the collector keeps about one host. It is handed from lane to lane; only its holder touches it.
type watch struct {
	host  inventory.Host
	phase time.Duration
	log   *slog.Logger
	due   time.Time
	begun time.Time // when the poll under way got its first worker; zero between polls
	fresh bool      // connected to in the poll under way

	outcome hosts.Outcome // of the last poll, empty before the first
	since   time.Time     // when outcome became what it is
	err     error         // of the last poll
	resume  time.Time     // no attempt before

	last   hosts.Snapshot // the last one read
	lastAt time.Time      // when that was; zero: never
}

// paused reports whether the host is to be left alone for now.
func (w *watch) paused(now time.Time) bool { return now.Before(w.resume) }

// work serves two lanes until ctx ends, the second only while nothing is in the first. Attempt reports false when the host went to
// another lane instead of being done with.
func (c *Collector) work(ctx context.Context, first, second <-chan *watch, l *lanes, attempt func(context.Context, *watch, *lanes) bool) {
	for {
		var w *watch
		select {
		case w = <-first:
		default:
			select {
			case <-ctx.Done():
				return
			case w = <-first:
			case w = <-second:
			}
		}
		if attempt(ctx, w, l) {
			l.done <- w
		}
	}
}

// pollStanding polls w on its standing connection. One that proves dead is no outcome yet: w goes on to be dialled, within the same poll.
func (c *Collector) pollStanding(ctx context.Context, w *watch, l *lanes) bool {
	w.begin()
	if w.paused(time.Now()) {
		c.conclude(ctx, w, hosts.Snapshot{}, w.err)
		return true
	}
	snapshot, err := guarded(func() (hosts.Snapshot, error) { return c.config.Pool.Poll(ctx, w.host) })
	if errors.Is(err, hosts.ErrNotConnected) && !w.fresh {
		l.dial(w)
		return false
	}
	c.conclude(ctx, w, snapshot, err)
	return true
}

// connect gives w a new connection, and sends it on to be polled: a dial's place is for dialling only.
func (c *Collector) connect(ctx context.Context, w *watch, l *lanes) bool {
	w.begin()
	_, err := guarded(func() (hosts.Snapshot, error) { return hosts.Snapshot{}, c.config.Pool.Connect(ctx, w.host) })
	if err != nil {
		c.conclude(ctx, w, hosts.Snapshot{}, err)
		return true
	}
	w.fresh = true
	l.polls <- w
	return false
}

func (w *watch) begin() {
	if w.begun.IsZero() {
		w.begun = time.Now()
	}
}

// guarded makes a panic the poll's error, with its stack.
func guarded(poll func() (hosts.Snapshot, error)) (snapshot hosts.Snapshot, err error) {
	if recovered := panics.Try(func() { snapshot, err = poll() }); recovered != nil {
		return hosts.Snapshot{}, recovered.AsError()
	}
	return snapshot, err
}

// conclude makes a status of a poll's result, and forgets a poll that ctx interrupted.
func (c *Collector) conclude(ctx context.Context, w *watch, snapshot hosts.Snapshot, err error) {
	begun, ended := w.begun, time.Now()
	w.begun, w.fresh = time.Time{}, false
	if ctx.Err() != nil {
		return
	}
	w.learn(ended, snapshot, err)
	status := c.status(w, begun, ended)
	if c.config.Observe != nil {
		c.config.Observe(status)
	}
	if c.config.Outbox == nil {
		return
	}
	message, err := status.Message()
	if err != nil { // The inventory lets no such name in; should one come, it must show.
		w.log.Error("a status cannot be sent", slog.Any("err", err))
		return
	}
	c.config.Outbox.PutStatus(w.host.Name, message)
}

// learn takes in a poll's result.
func (w *watch) learn(now time.Time, snapshot hosts.Snapshot, err error) {
	outcome := hosts.OutcomeOf(err)
	if outcome != w.outcome {
		w.logChange(outcome, err)
		w.outcome, w.since = outcome, now
	}
	if err == nil {
		w.last, w.lastAt = snapshot, now
	}
	if hosts.Persistent(err) && !w.paused(now) {
		w.resume = now.Add(persistentPause)
	}
	w.err = err
}

func (w *watch) logChange(outcome hosts.Outcome, err error) {
	log := w.log.With(slog.String("outcome", string(outcome)))
	switch {
	case err != nil:
		log.Warn("host cannot be read", slog.Any("err", err))
	case w.outcome != "":
		log.Info("host can be read again", slog.String("before", string(w.outcome)))
	default:
		log.Debug("host can be read")
	}
}

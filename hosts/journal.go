package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/hosts/journalctl"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// maxJournal bounds a reading of the journal for whoever does not.
const maxJournal = 365 * 24 * time.Hour

// How a host is watched while its journal is read.
const (
	journalLook  = time.Second
	journalProbe = 15 * time.Second // of silence, before the host is asked whether it still lives
)

var errJournalSilent = errors.New("the journal came to a halt")

// Journal calls each with what q asks of h's journal, over the host's standing connection, in the journal's order, and returns when it
// has ended, or ctx has: then the command on the host is ended too. silence is how long journalctl may take for the next entry, unless
// it follows; 0 is without end. each may block, which holds up the host; it must return when ctx ends, and is not called after Journal
// has returned. An error of it ends the reading, and is returned as it is.
//
// Any other error is an [Error]. It wraps [journalctl.ErrNotPermitted] or [journalctl.ErrNoJournal] where that is why, and
// [ErrNotConnected] where there was no connection, or it broke: after a [Pool.Connect] it can go on behind the last entry.
func (p *Pool) Journal(ctx context.Context, h inventory.Host, q journalctl.Query, silence time.Duration, each func(journalctl.Entry) error) error {
	ctx, cancel := p.within(ctx, maxJournal)
	defer cancel()
	l, err := p.take(ctx, h)
	if err != nil {
		return err
	}
	defer l.release()
	if err := l.stands(h); err != nil {
		l.drop()
		return at(h, err)
	}
	if err := l.ready(ctx); err != nil {
		return at(h, err)
	}
	if q.Follow {
		silence = 0
	}
	q.Nonce = systemctl.NewNonce()
	for {
		err := l.conn.journal(ctx, q, silence, each)
		if errors.Is(err, journalctl.ErrOld) && !q.Old {
			q.Old = true
			continue
		}
		if _, ours := errors.AsType[*Error](err); ours {
			return at(h, err)
		}
		return err
	}
}

// journal is Journal on one connection.
func (c *conn) journal(ctx context.Context, q journalctl.Query, silence time.Duration, each func(journalctl.Entry) error) error {
	command, err := q.Command()
	if err != nil {
		return fail(CommandFailed, "%w", err)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &journalReader{query: q, each: each, waiting: time.Now()} // From now on, also for the session to open.
	defer r.close()
	var watcher conc.WaitGroup
	defer watcher.Wait()
	defer end(nil)
	watcher.Go(func() { c.watchJournal(ctx, r, silence, end) })
	out, err := c.follow(ctx, command, listener{read: r.read, hear: func(stderr string) error { return journalctl.Explain(-1, stderr) }})
	return r.explain(ctx, out, err)
}

// watchJournal ends the reading where the host keeps silent for too long, and the connection where the host is dead.
func (c *conn) watchJournal(ctx context.Context, r *journalReader, silence time.Duration, end context.CancelCauseFunc) {
	ticker := time.NewTicker(journalLook)
	defer ticker.Stop()
	probed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			waits := r.waits(now)
			if silence > 0 && waits >= silence {
				end(fmt.Errorf("%w: not a line in %v", errJournalSilent, silence))
				return
			}
			if waits >= journalProbe && now.Sub(probed) >= journalProbe {
				probed = now
				_ = c.probe(ctx) // A host that does not answer has its connection aborted, which ends the reading.
			}
		}
	}
}

// A journalReader hands on entries, until it is closed. It knows how long it has waited for the host.
type journalReader struct {
	query journalctl.Query
	each  func(journalctl.Entry) error

	mu      sync.Mutex
	begun   bool      // an entry has come
	wrong   error     // of each
	over    bool      // each is not to be called any more
	waiting time.Time // since when the next byte is waited for; zero: it is not
}

func (r *journalReader) read(stdout io.Reader) error {
	return journalctl.Read(timed{stdout, r}, r.query.Nonce, r.pass)
}

var errJournalOver = errors.New("no one reads the journal any more")

func (r *journalReader) pass(e journalctl.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return errJournalOver
	}
	first := !r.begun
	if r.begun = true; first && r.query.After != "" && e.Cursor == r.query.After {
		return nil // It is known.
	}
	r.wrong = r.each(e)
	return r.wrong
}

func (r *journalReader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

// waits is for how long the host has kept silent while it was listened to. While each runs it is 0: that is no silence of the host.
func (r *journalReader) waits(now time.Time) time.Duration {
	if !r.mu.TryLock() {
		return 0
	}
	defer r.mu.Unlock()
	if r.waiting.IsZero() {
		return 0
	}
	return now.Sub(r.waiting)
}

// explain names the outcome of a reading.
func (r *journalReader) explain(ctx context.Context, out output, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong != nil {
		return r.wrong
	}
	known := journalctl.Explain(out.exit, string(out.stderr))
	switch {
	case errors.Is(err, journalctl.ErrNotPermitted), errors.Is(err, journalctl.ErrNoJournal), errors.Is(err, journalctl.ErrOld):
		known = err // It was heard while the command still ran.
	case errors.Is(context.Cause(ctx), errJournalSilent):
		return fail(Timeout, "%w; the disk may be slow there, or the journal large", context.Cause(ctx))
	case ctx.Err() != nil:
		return fail(Timeout, "interrupted while its journal was read: %w", context.Cause(ctx))
	case errors.Is(err, errLost):
		return fail(ProtocolError, "%w: %w", ErrNotConnected, err)
	case known != nil:
	case errors.Is(err, journalctl.ErrOutput):
		return fail(ProtocolError, "%w; look what its login shell prints", err)
	case err != nil:
		return explainExec(err, 0)
	}
	return explainJournal(out, known)
}

// explainJournal names the outcome of a journalctl that said what is wrong, if it did.
func explainJournal(out output, known error) error {
	stderr := string(out.stderr)
	outcome, line := recognise(stderr)
	switch {
	case errors.Is(known, journalctl.ErrNotPermitted):
		return fail(Denied, "%w", known)
	case systemctl.IsWrapperRefusal(stderr):
		return fail(Denied, "the key is bound to reporting status there (authorized-keys), so it cannot read the journal; "+
			"read it with an inventory that has another identity_file, or user")
	case outcome == Denied:
		return fail(Denied, "%s", line)
	case known != nil && out.exit == commandNotFound:
		return fail(NoSystemd, "journalctl is not there: %w", known)
	case known != nil:
		return fail(CommandFailed, "%w", known)
	case out.exit < 0:
		return fail(CommandFailed, "%w (%s)", journalctl.ErrKilled, out.signal)
	}
	return nil
}

// commandNotFound is the exit status of a shell that does not find a command.
const commandNotFound = 127

// timed notes when the reading waits.
type timed struct {
	io.Reader
	of *journalReader
}

func (t timed) Read(b []byte) (int, error) {
	t.note(time.Now())
	n, err := t.Reader.Read(b)
	t.note(time.Time{})
	return n, err
}

func (t timed) note(since time.Time) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.of.waiting = since
}

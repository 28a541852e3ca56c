package hosts

import (
	"context"
	"errors"
	"time"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// maxOperation bounds an operation for whoever does not. systemd has no bound of its own where a unit has none.
const maxOperation = 24 * time.Hour

// Operate has systemctl on h do something with a unit, over the host's standing connection, and waits for its end until ctx ends. It
// never tries twice: of a connection that broke meanwhile no one knows what the host has done. The error is an [Error] that wraps, where
// systemctl or sudo refused or failed, a [systemctl.OperationError]; of [ErrNotConnected] and the like [Unsent] tells whether the host
// was told anything. What was begun goes on on the host when ctx ends.
func (p *Pool) Operate(ctx context.Context, h inventory.Host, op systemctl.Operation) error {
	command, err := op.Command()
	if err != nil {
		return at(h, unsent(fail(CommandFailed, "%w", err)))
	}
	ctx, cancel := p.within(ctx, maxOperation)
	defer cancel()
	l, err := p.take(ctx, h)
	if err != nil {
		return unsent(err)
	}
	defer l.release()
	if err := l.stands(h); err != nil {
		l.drop()
		return at(h, unsent(err))
	}
	if err := l.ready(ctx); err != nil {
		return at(h, unsent(err))
	}
	if ctx.Err() != nil {
		return at(h, unsent(fail(Timeout, "%s was not begun: %w", op, context.Cause(ctx))))
	}
	began := time.Now()
	out, err := l.exec(ctx, command, maxStderr)
	if err != nil {
		return at(h, explainUnended(ctx, err, op, began))
	}
	return at(h, explainOperation(out, op))
}

// An unsentError is of an operation that was not sent to the host.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

func unsent(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Err = unsentError{e.Err}
	}
	return err
}

// Unsent reports whether an error of [Pool.Operate] says that the host was told nothing, so that nothing has happened there.
func Unsent(err error) bool {
	_, ok := errors.AsType[unsentError](err)
	return ok
}

// explainUnended names the outcome of an operation of which no end was heard.
func explainUnended(ctx context.Context, err error, op systemctl.Operation, began time.Time) error {
	switch {
	case errors.Is(err, errExecRefused):
		return unsent(err)
	case ctx.Err() != nil:
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return fail(Timeout, "%s had not ended after %v; what it began goes on there", op, since(began))
		}
		return fail(Timeout, "interrupted while %s ran; what it began goes on there", op)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return fail(e.Outcome, "the connection broke while %s ran, and whether it was done is not known: %w", op, e.Err)
	}
	return err
}

// explainOperation names the outcome of an operation that has ended.
func explainOperation(out output, op systemctl.Operation) error {
	if systemctl.IsWrapperRefusal(string(out.stderr)) {
		return fail(Denied, "the key is bound to reporting status there (authorized-keys), so it cannot %s anything; "+
			"operate with an inventory that has another identity_file, or user", op.Verb)
	}
	err := op.Parse(out.exit, out.stderr)
	if err == nil {
		return nil
	}
	failed, ok := errors.AsType[*systemctl.OperationError](err)
	if ok && (failed.Cause == systemctl.CauseNotPermitted || failed.Cause == systemctl.CauseNoSudo) {
		return fail(Denied, "%w", err)
	}
	outcome := CommandFailed
	if ok && failed.Cause == systemctl.CauseOther {
		if known, _ := recognise(string(out.stderr)); known != "" {
			outcome = known
		}
	}
	return fail(outcome, "%w%s", err, optional("; it was ended by signal ", out.signal))
}

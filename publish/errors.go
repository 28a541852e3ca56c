package publish

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"syscall"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A BrokerError says why there is no connection to a broker, and what to do about it. It never shows credentials.
type BrokerError struct {
	Broker string // Address without credentials.
	Remedy string // What to do, for people; may be empty.
	Err    error
}

// Error implements error.
func (e *BrokerError) Error() string {
	s := "broker " + e.Broker + ": " + plain(e.Err)
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

// Unwrap returns the cause: often an *amqp091.Error or a net.Error.
func (e *BrokerError) Unwrap() error { return e.Err }

// exception is how amqp091 prints an error, also when it is the cause of another.
var exception = regexp.MustCompile(`^Exception \(\d+\) Reason: "(.*)"$`)

// plain returns the error's text, of an AMQP error without "Exception (501) Reason:" where that is not the broker's own word.
func plain(err error) string {
	e, ok := errors.AsType[*amqp.Error](err)
	switch {
	case !ok:
		return err.Error()
	case e.Server:
		return fmt.Sprintf("%s (%d)", e.Reason, e.Code)
	}
	return exception.ReplaceAllString(e.Reason, "$1")
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprint(n, " ", thing, "s")
}

// refusal reports whether the broker ended a channel or login on purpose because of what it was asked. It would do so again.
func refusal(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || !e.Server {
		return false
	}
	switch e.Code {
	case amqp.NotFound, amqp.AccessRefused, amqp.PreconditionFailed, amqp.NotAllowed:
		return true
	}
	return false
}

// aboutMessage reports whether the broker ended the channel or the connection because of one message that was published.
func aboutMessage(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || !e.Server {
		return false
	}
	switch e.Code {
	case amqp.ContentTooLarge, amqp.PreconditionFailed, amqp.FrameError, amqp.SyntaxError, amqp.UnexpectedFrame:
		return true
	case amqp.AccessRefused:
		return toTopic(e)
	}
	return false
}

// toTopic tells a refusal of one routing key from that of the whole exchange.
func toTopic(e *amqp.Error) bool {
	return strings.Contains(e.Reason, "access to topic ")
}

// topicGrant is the command for the topic permissions that the configuration needs. To write is to publish, to read is to bind a queue,
// with any pattern: https://www.rabbitmq.com/docs/access-control#topic-authorisation
func topicGrant(b broker, user string, cfg Config) string {
	read := "'^$'"
	if cfg.Declare == DeclareActive && len(cfg.Queues) > 0 {
		read = "'.*'"
	}
	return fmt.Sprintf(`rabbitmqctl set_topic_permissions -p %s %s %s '^(status|event|collector)\.' %s`, shellWord(b.uri.Vhost), user,
		shellWord(cfg.Exchange), read)
}

// explain returns err, met in connecting or later, as a BrokerError with a remedy.
func explain(b broker, cfg Config, err error, connected bool) *BrokerError {
	var remedy string
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		remedy = amqpRemedy(e, b, cfg, connected)
	} else if !connected {
		remedy = networkRemedy(err, b)
	}
	return &BrokerError{Broker: b.addr, Remedy: remedy, Err: err}
}

const aboutPort = "is this RabbitMQ's AMQP port (5672, with amqps 5671)?"

func amqpRemedy(e *amqp.Error, b broker, cfg Config, connected bool) string {
	switch {
	case e.Code == amqp.AccessRefused && toTopic(e):
		return "allow the routing keys of all hosts: " + topicGrant(b, "USER", cfg)
	case e.Code == amqp.AccessRefused && strings.Contains(e.Reason, "exchange"):
		how := fmt.Sprintf(`grant it: rabbitmqctl set_permissions -p %s USER '^$' '^%s$' '^$'`, b.uri.Vhost, regexp.QuoteMeta(cfg.Exchange))
		if cfg.Declare == DeclareActive {
			return how + `; with these, set declare = "passive", for active also wants configure`
		}
		return how
	case errors.Is(e, amqp.ErrSASL):
		return "the broker offers no such way to log in: EXTERNAL needs its plugin rabbitmq_auth_mechanism_ssl"
	case e.Code == amqp.AccessRefused && cfg.External:
		return "EXTERNAL logs in as the user that the certificate names, by its subject or, with ssl_cert_login_from = common_name in the broker's " +
			"configuration, by its common name: make that user (rabbitmqctl add_user)"
	case e.Code == amqp.AccessRefused: // Or the broker hung up during the login, for which amqp091 knows no other cause.
		return "check user and password (guest may only log in on the broker's own machine)"
	case e.Code == amqp.NotAllowed:
		if strings.Contains(e.Reason, "not found") {
			return "check the last part of the URL, or make it: rabbitmqctl add_vhost " + b.uri.Vhost
		}
		return fmt.Sprintf(`grant it: rabbitmqctl set_permissions -p %s USER '^$' '^%s$' '^$'`, b.uri.Vhost, regexp.QuoteMeta(cfg.Exchange))
	case e.Code == amqp.NotFound:
		return fmt.Sprintf(`declare it (rabbitmqadmin declare exchange name=%s type=topic durable=true) or set declare = "active"`, cfg.Exchange)
	case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "inequivalent"):
		return "there is an exchange of this name that is no durable topic exchange: delete it or configure another name"
	case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "message size"):
		return "raise max_message_size in the broker's configuration, or watch fewer units on the host"
	case !e.Server && strings.Contains(e.Reason, "remote error: tls: "):
		return "the broker refuses the client certificate: renew cert_file, by a CA in the broker's ssl_options.cacertfile"
	case e.Server || connected:
		return ""
	}
	return aboutPort
}

func networkRemedy(err error, b broker) string {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Sprintf("is RabbitMQ running there, on port %d?", b.uri.Port)
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "check the host name in the URL"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "set ca_file to the certificate of the CA that signed the broker's"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "use a name from the broker's certificate in the URL"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "renew the broker's certificate, or correct this machine's clock"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "no TLS on this port: use its TLS port (5671) or an amqp:// URL"
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return "" // Of a certificate file: it says all.
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, errNoAnswer) {
		return "a firewall, or a broker that is frozen or overloaded; ask it, there: rabbitmq-diagnostics status"
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) {
		return aboutPort // It hung up in the middle of amqp091's greeting, which then fails in whatever it is at.
	}
	return ""
}

package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

// server reports the broker's product and version.
func (x *examination) server(conn *amqp.Connection) {
	product, _ := conn.Properties["product"].(string)
	version, _ := conn.Properties["version"].(string)
	said := printable(strings.TrimSpace(product + " " + version))
	switch {
	case product != "RabbitMQ":
		x.add(Finding{
			Step: "server", Code: "not_rabbitmq", Severity: SeverityWarning, Detail: fmt.Sprintf("it calls itself %q", said),
			Problem: "the broker is not RabbitMQ", Why: "nothing else is tested, and it may understand confirms, topics or alarms in another way",
			Remedy: "use RabbitMQ 3.13 or newer, or try this one thoroughly: mandatory messages, publisher confirms, and topic exchanges",
		})
	case beforeQuorumQueues(version):
		x.add(Finding{
			Step: "server", Code: "old_rabbitmq", Severity: SeverityWarning, Detail: said, Problem: "RabbitMQ is very old",
			Why:    "it is out of support, and has no quorum queues, in which events survive the loss of a node",
			Remedy: "upgrade it to 3.13 or 4: https://www.rabbitmq.com/docs/upgrade",
		})
	default:
		x.ok("server", "%s", said)
	}
}

// beforeQuorumQueues reports whether a version of RabbitMQ is older than 3.8.
func beforeQuorumQueues(version string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 { // What does not begin so is no release.
		return false
	}
	return major < 3 || major == 3 && minor < 8
}

// exchange reports whether the exchange is there, is the right one and may be declared as configured. It returns whether it makes
// sense to go on.
func (x *examination) exchange(ctx context.Context, conn *amqp.Connection) bool {
	name, active := x.cfg.Exchange, x.cfg.Declare == DeclareActive
	found := declareExchange(conn, name, DeclarePassive)
	missing := hasCode(found, amqp.NotFound)
	if found != nil && (!missing || !active) {
		x.refused(ctx, "exchange", found)
		return false
	}
	// RabbitMQ looks at type and durability only now. Where the exchange is there, this changes nothing.
	declared := declareExchange(conn, name, DeclareActive)
	switch {
	case declared == nil && missing:
		x.ok("exchange", "%s was missing, and has been declared as a durable topic exchange", name)
	case declared == nil:
		x.ok("exchange", "%s is a durable topic exchange", name)
	case active || !refusal(declared):
		x.refused(ctx, "exchange", declared)
		return false
	case hasCode(declared, amqp.AccessRefused):
		x.add(Finding{
			Step: "exchange", Code: "exchange_unseen", Severity: SeverityNote, Detail: name + " is there",
			Problem: "whether the exchange is a durable topic exchange cannot be told",
			Why: "the broker tells the type only to a user that may configure the exchange, which run need not; " +
				"with another type consumers could not bind to just the hosts or groups that they want",
			Remedy: "make sure: rabbitmqctl list_exchanges -p " + shellWord(x.broker.uri.Vhost) + " name type durable",
		})
	default:
		return x.unequal(ctx, declared)
	}
	return true
}

// unequal reports how an exchange that somebody else declares differs from what a Publisher would declare.
func (x *examination) unequal(ctx context.Context, err error) bool {
	switch code := codeOf(err); {
	case code == codeExchangeType || code == codeExchangeInternal:
		x.refused(ctx, "exchange", err)
		return false
	case strings.Contains(err.Error(), "'alternate-exchange'"):
		x.ok("exchange", "%s is a durable topic exchange with an alternate exchange", x.cfg.Exchange)
	default:
		f := Finding{Step: "exchange", Code: codeExchangeSettings, Severity: SeverityWarning, Detail: plain(err)}
		f.Problem, f.Why, f.Remedy = x.advice(f.Code)
		x.add(f)
	}
	return true
}

func hasCode(err error, code int) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == code
}

// alarmGrace is how long a refusal may follow the news that the broker is in alarm.
const alarmGrace = 500 * time.Millisecond

// write reports whether the user may publish, and whether the broker takes messages at present: RabbitMQ checks the permission when a
// message comes, and says only then that it is in alarm. hangUp must close the socket.
func (x *examination) write(ctx context.Context, conn *amqp.Connection, hangUp func()) {
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 4))
	answered := make(chan error, 1)
	var publishing conc.WaitGroup
	publishing.Go(func() { answered <- x.publishInVain(conn) })
	defer publishing.Wait()
	select {
	case err := <-answered:
		x.written(ctx, err)
		if err != nil && ctx.Err() != nil {
			return
		}
		select {
		case b, ok := <-blocked:
			x.alarm(b, ok)
		default:
			x.ok("alarm", "none: the broker takes messages")
		}
	case b, ok := <-blocked:
		grace := time.NewTimer(alarmGrace)
		defer grace.Stop()
		select {
		case err := <-answered:
			x.written(ctx, err)
		case <-grace.C: // A broker in alarm reads nothing more, the roll-back neither.
			x.ok("publish", "the user may publish")
		}
		x.alarm(b, ok)
		hangUp()
	}
}

// publishInVain publishes a message in a transaction and rolls it back, so that no queue ever sees it.
// https://www.rabbitmq.com/docs/semantics#tx
func (x *examination) publishInVain(conn *amqp.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Tx(); err != nil {
		return err
	}
	if err := ch.Publish(x.cfg.Exchange, "status.doctor.doctor", false, false, amqp.Publishing{AppId: AppID}); err != nil {
		return err
	}
	if err := ch.TxRollback(); err != nil {
		return reasonFor(err, closed)
	}
	return ch.Close()
}

// reasonFor is why a channel was closed, where err only says that it is: a refusal may have come before the call that waits for it.
func reasonFor(err error, closed <-chan *amqp.Error) error {
	if errors.Is(err, amqp.ErrClosed) {
		if reason := <-closed; reason != nil {
			return reason
		}
	}
	return err
}

// written reports what came of publishInVain.
func (x *examination) written(ctx context.Context, err error) {
	switch e, ok := errors.AsType[*amqp.Error](err); {
	case err == nil:
		x.ok("publish", "the user may publish")
	case ok && e.Server && e.Code == amqp.NotImplemented:
		x.add(Finding{
			Step: "publish", Code: "publish_untried", Severity: SeverityWarning, Detail: plain(err),
			Problem: "whether the user may publish cannot be told", Why: "this broker has no transactions, in which to try it without a trace",
			Remedy: "publish for once: service_manager run --once",
		})
	case ok && e.Server && e.Code == amqp.AccessRefused && strings.Contains(e.Reason, "access to topic"):
		x.add(Finding{
			Step: "publish", Code: "topic_permissions", Severity: SeverityWarning, Detail: plain(err),
			Problem: "the user has topic permissions, which do not allow every routing key",
			Why:     "the broker refuses messages with any other key, so that consumers miss hosts",
			Remedy: "allow all routing keys of this inventory (service_manager check --print shows them): " +
				topicGrant(x.broker, x.user(), x.cfg),
		})
	default:
		x.refused(ctx, "publish", err)
	}
}

func (x *examination) alarm(b amqp.Blocking, ok bool) {
	if !ok || !b.Active {
		return
	}
	x.add(Finding{
		Step: "alarm", Code: "alarm", Severity: SeverityError, Detail: b.Reason,
		Problem: "the broker is short of memory or disk, and takes no messages",
		Why:     "until it is not, events wait, and consumers see no status",
		Remedy: "see which: rabbitmq-diagnostics alarms, rabbitmq-diagnostics memory_breakdown, df -h; then let consumers empty the queues " +
			"(rabbitmqctl list_queues -p " + shellWord(x.broker.uri.Vhost) + " name messages message_bytes), or give the broker more",
	})
}

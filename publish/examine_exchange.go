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
		x.add("server", SeverityWarning, fmt.Sprintf("the broker is %q", said), "only RabbitMQ is tested; it needs publisher confirms and topic exchanges")
	case beforeQuorumQueues(version):
		x.add("server", SeverityWarning, said, "this version is out of support, and has no quorum queues, in which events survive the loss of a node: update to 3.13 or 4")
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
		x.failed(ctx, "exchange", found)
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
		x.failed(ctx, "exchange", declared)
		return false
	case hasCode(declared, amqp.AccessRefused):
		x.add("exchange", SeverityOK, name+" is there; its type cannot be seen without the permission to configure it",
			"to make sure that it is a durable topic exchange: rabbitmqctl list_exchanges -p "+shellWord(x.broker.uri.Vhost)+" name type durable")
	default:
		return x.unequal(ctx, declared)
	}
	return true
}

// unequal reports how an exchange that somebody else declares differs from what a Publisher would declare.
func (x *examination) unequal(ctx context.Context, err error) bool {
	switch {
	case strings.Contains(err.Error(), "'type'"):
		x.failed(ctx, "exchange", err)
		return false
	case strings.Contains(err.Error(), "'alternate-exchange'"):
		x.ok("exchange", "%s is a durable topic exchange with an alternate exchange", x.cfg.Exchange)
	default:
		x.add("exchange", SeverityWarning, plain(err), "the exchange should be durable, and not delete itself: else it is gone after a restart of the broker")
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
	if err := ch.Tx(); err != nil {
		return err
	}
	if err := ch.Publish(x.cfg.Exchange, "status.doctor.doctor", false, false, amqp.Publishing{AppId: AppID}); err != nil {
		return err
	}
	if err := ch.TxRollback(); err != nil {
		return err
	}
	return ch.Close()
}

// written reports what came of publishInVain.
func (x *examination) written(ctx context.Context, err error) {
	switch e, ok := errors.AsType[*amqp.Error](err); {
	case err == nil:
		x.ok("publish", "the user may publish")
	case ok && e.Server && e.Code == amqp.NotImplemented:
		x.add("publish", SeverityWarning, "whether the user may publish cannot be told: "+plain(err), "this broker has no transactions, in which to try it without a trace")
	case ok && e.Server && e.Code == amqp.AccessRefused && strings.Contains(e.Reason, "access to topic"):
		x.add("publish", SeverityWarning, plain(err), fmt.Sprintf("the user has topic permissions, which must allow all routing keys of this inventory "+
			"(service_manager check --print): rabbitmqctl set_topic_permissions -p %s %s %s '^(status|event|collector)\\.' '^$'",
			shellWord(x.broker.uri.Vhost), x.user(), shellWord(x.cfg.Exchange)))
	default:
		x.failed(ctx, "publish", err)
	}
}

func (x *examination) alarm(b amqp.Blocking, ok bool) {
	if ok && b.Active {
		x.add("alarm", SeverityError, "the broker takes no messages: "+b.Reason, "it is short of memory or disk; what is published waits until it is not: rabbitmqctl status shows which, and its limits")
	}
}

package publish

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rebindEvery is how often the bindings are made again. They go with an exchange that is deleted and stay away when it is declared anew,
// without a word from the broker; to repeat them is harmless.
const rebindEvery = 30 * time.Second

var errQueueDeleted = errors.New("the temporary queue was deleted")

// A feed is one connection to a broker with a bound queue that is consumed.
type feed struct {
	deliveries <-chan amqp.Delivery // Closed with the channel, and when the queue is deleted.
	deleted    <-chan string        // Has a value when the queue is deleted.
	closed     <-chan *amqp.Error   // Has the reason; then closed.
	bind       func() error
	// close ends the connection: politely or at once.
	close func(politely bool)
	// closeSoon closes the socket in closeTimeout, which frees every call that waits for it.
	closeSoon func()
}

func (s *Subscriber) dial(ctx context.Context, b broker) (f *feed, err error) {
	err = connect(ctx, s.cfg.Broker, b, func(conn *amqp.Connection, raw *rawConn) error {
		f, err = s.open(conn, raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// open declares, binds and consumes the queue. Who reads too slowly fills the inbox, not the broker: deliveries are taken at once, so
// they need no acknowledgements, for which a broker would wait half an hour and then end the channel. The limits of the queue are for a
// network that is too slow. When it is full, the oldest message goes: to refuse the newest would be told to its publisher.
func (s *Subscriber) open(conn *amqp.Connection, raw *rawConn) (*feed, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	limits := amqp.Table{"x-max-length": int32(inboxItems), "x-max-length-bytes": int64(inboxBytes), "x-overflow": "drop-head"}
	queue, err := ch.QueueDeclare("", false, true, true, false, limits)
	if err != nil {
		return nil, err
	}
	bind := func() error {
		for _, pattern := range s.cfg.Patterns {
			if err := ch.QueueBind(queue.Name, pattern, s.cfg.Broker.Exchange, false, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if err := bind(); err != nil {
		return nil, err
	}
	deleted := ch.NotifyCancel(make(chan string, 1))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	deliveries, err := ch.Consume(queue.Name, AppID, true, true, false, false, nil)
	if err != nil {
		return nil, err
	}
	closeSoon := func() {
		time.AfterFunc(closeTimeout, func() { _ = raw.Close() })
	}
	return &feed{
		deliveries: deliveries, deleted: deleted, closed: closed, bind: bind, closeSoon: closeSoon,
		close: func(politely bool) {
			if politely {
				closeSoon()
				_ = conn.Close() // What it fails with does not matter any more.
			}
			_ = raw.Close()
		},
	}, nil
}

// read puts what arrives into the inbox until ctx ends (nil) or there is no queue any more (why).
func (f *feed) read(ctx context.Context, in *inbox) (received bool, err error) {
	rebind := time.NewTicker(rebindEvery)
	defer rebind.Stop()
	for {
		select {
		case <-ctx.Done():
			return received, nil
		case e := <-f.closed:
			return received, ended(e)
		case d, ok := <-f.deliveries:
			if !ok {
				return received, f.reason()
			}
			received = true
			in.put(arrival{delivery: &Delivery{Key: d.RoutingKey, ID: d.MessageId, Time: d.Timestamp, Body: d.Body}})
		case <-rebind.C:
			if err := f.bind(); err != nil {
				return received, err
			}
		}
	}
}

// reason returns why the deliveries ended.
func (f *feed) reason() error {
	t := time.NewTimer(reasonWait)
	defer t.Stop()
	select {
	case <-f.deleted:
		return errQueueDeleted
	case e := <-f.closed:
		return ended(e)
	case <-t.C:
		return amqp.ErrClosed
	}
}

// explain returns err as a BrokerError whose remedy is for someone who receives.
func (s *Subscriber) explain(b broker, err error, connected bool) *BrokerError {
	e := explain(b, s.cfg.Broker, err, connected)
	refused, ok := errors.AsType[*amqp.Error](err)
	switch {
	case !ok || !refused.Server:
	case e.Forbidden():
		read := fmt.Sprintf(`^(%s$|amq\.gen-)`, regexp.QuoteMeta(s.cfg.Broker.Exchange))
		const own = `^amq\.gen-` // The queue, whose name the broker makes.
		e.Remedy = fmt.Sprintf("receive with an account that has these rights (the command replaces what it has): "+
			"rabbitmqctl set_permissions -p %s USER '%s' '%s' %s", shellWord(b.uri.Vhost), own, own, shellWord(read))
	case refused.Code == amqp.NotFound && strings.Contains(refused.Reason, "exchange"):
		e.Remedy = "a collector declares it when it first runs: does it publish to an exchange of this name, through this broker?"
	}
	return e
}

// Forbidden reports whether the account could log in, but lacks a permission.
func (e *BrokerError) Forbidden() bool {
	refused, ok := errors.AsType[*amqp.Error](e.Err)
	return ok && refused.Server && strings.Contains(refused.Reason, "access to") &&
		(refused.Code == amqp.AccessRefused || refused.Code == amqp.NotAllowed)
}

package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// unused is after how long the broker deletes a queue that an interrupted run has left.
const unused = 10 * time.Minute

// An exchange is one of our own on the broker, with a connection to see to its queues.
type exchange struct {
	name string
	conn *amqp.Connection
	ch   *amqp.Channel
}

// newExchange declares an exchange of a new name, as the publisher wants it. The caller must delete it.
func newExchange(url string) (*exchange, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connecting to the broker: %w", err)
	}
	x := &exchange{name: "bench." + uuid.NewString(), conn: conn}
	if x.ch, err = conn.Channel(); err == nil {
		err = x.ch.ExchangeDeclare(x.name, amqp.ExchangeTopic, true, false, false, false, nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("declaring an exchange: %w", err), conn.Close())
	}
	return x, nil
}

func (x *exchange) delete() error {
	return errors.Join(x.ch.ExchangeDelete(x.name, false, false), x.conn.Close())
}

// queueType is what is bound to an exchange: nothing, or a durable queue.
type queueType string

const (
	noQueue queueType = "no queue bound"
	classic queueType = "classic"
	quorum  queueType = "quorum"
)

func (t queueType) String() string {
	if t == noQueue {
		return string(t)
	}
	return string(t) + " queue"
}

// through binds a new queue, has send publish through it, and checks that it then holds as many messages as send says were confirmed.
func (x *exchange) through(t queueType, send func() (confirmed int, p pace, err error)) (p pace, err error) {
	if t == noQueue {
		_, p, err = send()
		return p, err
	}
	queue, drop, err := x.bind(t)
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	confirmed, p, err := send()
	if err != nil {
		return pace{}, err
	}
	return p, x.holds(queue, confirmed)
}

// bind binds a new queue, which the caller must drop.
func (x *exchange) bind(t queueType) (queue string, drop func() error, err error) {
	q, err := x.ch.QueueDeclare(x.name+"."+uuid.NewString(), true, false, false, false,
		amqp.Table{amqp.QueueTypeArg: string(t), amqp.QueueTTLArg: unused.Milliseconds()})
	if err != nil {
		return "", nil, fmt.Errorf("declaring a %v: %w", t, err)
	}
	drop = func() error {
		_, err := x.ch.QueueDelete(q.Name, false, false, false)
		return err
	}
	if err := x.ch.QueueBind(q.Name, "#", x.name, false, nil); err != nil {
		return "", nil, errors.Join(fmt.Errorf("binding a %v: %w", t, err), drop())
	}
	return q.Name, drop, nil
}

// holds wants as many messages in the queue as were confirmed.
func (x *exchange) holds(queue string, confirmed int) error {
	q, err := x.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err == nil && q.Messages != confirmed {
		err = fmt.Errorf("%d messages are in the queue, but %d were confirmed", q.Messages, confirmed)
	}
	return err
}

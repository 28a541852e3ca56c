//go:build integration

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/publish"
)

// A consumer takes what comes into one durable quorum queue, and tells an oracle of it. It connects again for ever. Events and statuses
// share the queue, so that their order can be judged.
type consumer struct {
	t      *testing.T
	broker *broker
	oracle *oracle

	mu     sync.Mutex
	number int             // of the queue: one that was deleted has a successor
	idle   time.Time       // when the last message came
	ready  map[string]bool // hosts that have been read
}

func newConsumer(t *testing.T, b *broker, o *oracle) *consumer {
	t.Helper()
	return &consumer{t: t, broker: b, oracle: o, ready: make(map[string]bool)}
}

func (c *consumer) queue() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("consumer.chaos.%d", c.number)
}

// keys are what the queue is bound for, the events first: a status must not come where they cannot.
func keys() []string { return []string{"event.#", "status.#", "collector.#"} }

// bind makes the queue, if it is not there, and binds it.
func (c *consumer) bind() error {
	return c.broker.admin(func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare(c.queue(), true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
			return err
		}
		for _, key := range keys() {
			if err := ch.QueueBind(c.queue(), key, exchange, false, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// remove lets nothing more into the queue, waits until it is empty, and deletes it. The next bind makes another.
func (c *consumer) remove() error {
	return c.broker.admin(func(ch *amqp.Channel) error {
		for _, key := range keys() {
			if err := ch.QueueUnbind(c.queue(), key, exchange, nil); err != nil {
				return err
			}
		}
		for {
			q, err := ch.QueueDeclarePassive(c.queue(), true, false, false, false, nil)
			if err != nil {
				return err
			}
			if q.Messages == 0 && c.quiet() > 500*time.Millisecond {
				break
			}
			if !sleep(c.broker.ctx, 100*time.Millisecond) {
				return c.broker.ctx.Err()
			}
		}
		_, err := ch.QueueDelete(c.queue(), false, false, false)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.number++
		return err
	})
}

// quiet is how long no message has come.
func (c *consumer) quiet() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.idle)
}

// run consumes until the context ends.
func (c *consumer) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = c.consume(ctx) // Broken by a fault, as a rule.
		sleep(ctx, 200*time.Millisecond)
	}
}

// consume consumes until something breaks.
func (c *consumer) consume(ctx context.Context) error {
	conn, err := dial(c.broker.URL("consumer"))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // It may be broken.
	defer func() {
		stop()
		_ = conn.CloseDeadline(time.Now().Add(time.Second)) // As above.
	}()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(100, 0, false); err != nil {
		return err
	}
	messages, err := ch.Consume(c.queue(), "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for d := range messages {
		c.take(d)
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return nil
}

// take hands a message to the oracle.
func (c *consumer) take(d amqp.Delivery) {
	now := time.Now()
	c.mu.Lock()
	c.idle = now
	c.mu.Unlock()
	switch d.Type {
	case publish.KindEvent:
		var e publish.Event
		c.decode(d, &e)
		if e.ID != d.MessageId {
			c.t.Errorf("message %s has an event with id %s", d.MessageId, e.ID)
		}
		c.oracle.event(now, e, d.Redelivered)
	case publish.KindStatus:
		var s publish.Status
		c.decode(d, &s)
		c.oracle.status(s, d.Redelivered)
		c.mu.Lock()
		c.ready[s.Host.Name] = c.ready[s.Host.Name] || s.Outcome == reachable
		c.mu.Unlock()
	}
}

func (c *consumer) decode(d amqp.Delivery, body any) {
	if err := json.Unmarshal(d.Body, body); err != nil {
		c.t.Errorf("message %s: %v: %s", d.MessageId, err, d.Body)
	}
}

// read is how many hosts have been read, as their statuses say.
func (c *consumer) read() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, is := range c.ready {
		if is {
			n++
		}
	}
	return n
}

//go:build integration

package integration

import (
	"encoding/json"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/publish"
)

// A received message is one that a consumer got from the broker.
type received struct {
	amqp.Delivery
	status publish.Status
}

// unit returns the status's unit of that name, its zero value where there is none.
func (r received) unit(name string) publish.Unit {
	for _, u := range r.status.Units {
		if u.Name == name {
			return u
		}
	}
	return publish.Unit{}
}

// A consumer has a queue of its own, bound to the exchange with some keys, as the stack's user "consumer".
type consumer struct {
	messages <-chan amqp.Delivery
}

func consume(t *testing.T, keys ...string) *consumer {
	t.Helper()
	conn, err := dialBroker(stack.url("consumer"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := ch.QueueBind(queue.Name, key, "service_manager", false, nil); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := ch.Consume(queue.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &consumer{messages: messages}
}

// next returns the next message, or fails the test.
func (c *consumer) next(t *testing.T, timeout <-chan time.Time, what string) received {
	t.Helper()
	select {
	case d, ok := <-c.messages:
		if !ok {
			t.Fatalf("waiting for %s: the broker closed the connection", what)
		}
		r := received{Delivery: d}
		if err := json.Unmarshal(d.Body, &r.status); err != nil {
			t.Fatalf("message %q: %v", d.Body, err)
		}
		return r
	case <-timeout:
		t.Fatalf("waiting for %s: it did not come", what)
	}
	return received{}
}

// wait returns the first message that match accepts.
func (c *consumer) wait(t *testing.T, what string, match func(received) bool) received {
	t.Helper()
	timeout := time.After(patience)
	var last received
	for {
		select {
		case <-timeout:
			t.Fatalf("waiting for %s: it did not come; the last message was %s", what, last.Body)
		default:
		}
		last = c.next(t, timeout, what)
		if match(last) {
			return last
		}
	}
}

// collect returns the messages of the given time.
func (c *consumer) collect(t *testing.T, d time.Duration) []received {
	t.Helper()
	var all []received
	until := time.After(d)
	for {
		select {
		case d, ok := <-c.messages:
			if !ok {
				t.Fatal("the broker closed the connection")
			}
			r := received{Delivery: d}
			if err := json.Unmarshal(d.Body, &r.status); err != nil {
				t.Fatalf("message %q: %v", d.Body, err)
			}
			all = append(all, r)
		case <-until:
			return all
		}
	}
}

// dialBroker connects, and tries again for a while: a broker that was just restarted is not there at once.
func dialBroker(url string) (*amqp.Connection, error) {
	deadline := time.Now().Add(patience)
	for {
		conn, err := amqp.Dial(url)
		if err == nil || time.Now().After(deadline) {
			return conn, err
		}
		<-time.After(200 * time.Millisecond)
	}
}

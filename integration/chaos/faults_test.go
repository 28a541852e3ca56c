//go:build integration

package chaos

import (
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/integration/proxy"
)

// A fault is one way in which the world fails, and how it is mended.
type fault struct {
	name string
	// long is how long it lasts at most in the long form; 0 is a fault that is over when it has begun.
	long  time.Duration
	begin func() error
	end   func() error // nil: nothing is left to mend
	// repeats says that it makes the consumer get events again and again.
	repeats bool
}

// faults are all there are.
func (w *world) faults() []fault {
	return []fault{
		{"broker killed (SIGKILL)", 15 * time.Second, w.killBroker, w.startBroker, false},
		{"broker frozen", 25 * time.Second, w.freeze, w.thaw, false},
		{"memory alarm", 30 * time.Second, w.memoryAlarm("absolute", "1MB"), w.memoryAlarm("0.6"), false},
		{"disk alarm", 30 * time.Second, w.diskAlarm("1000000GB"), w.diskAlarm("50MB"), false},
		{"all connections closed", 0, w.closeConnections, nil, false},
		{"exchange deleted", 15 * time.Second, w.deleteExchange, w.makeExchange, false},
		{"queue deleted", 15 * time.Second, w.consumer.remove, w.consumer.bind, false},
		{"a queue beside is full", 15 * time.Second, w.fill, w.unfill, true},
		{"partition, silent", 40 * time.Second, w.link(proxy.Blackhole), w.link(proxy.Forward), false},
		{"partition, refused", 15 * time.Second, w.link(proxy.Refuse), w.link(proxy.Forward), false},
		{"slow link", 30 * time.Second, w.link(proxy.Slow), w.link(proxy.Forward), false},
		{"collector killed (SIGKILL)", 0, w.killCollector, nil, false}, // Three times, since the moment matters.
		{"collector killed (SIGKILL)", 0, w.killCollector, nil, false},
		{"collector killed (SIGKILL)", 0, w.killCollector, nil, false},
		{"collector restarted (SIGTERM)", 0, w.restartCollector, nil, false},
	}
}

func (w *world) killBroker() error {
	return w.broker.docker("kill", "--signal=KILL")
}

// startBroker also deletes the full queue again: killed soon after it was deleted, the broker comes back with it, since the deletion had not
// reached the disk.
func (w *world) startBroker() error {
	if err := w.broker.docker("start"); err != nil {
		return err
	}
	return w.unfill()
}

func (w *world) freeze() error { return w.broker.docker("pause") }

func (w *world) thaw() error { return w.broker.docker("unpause") }

func (w *world) memoryAlarm(watermark ...string) func() error {
	return func() error {
		return w.broker.ctl(append([]string{"set_vm_memory_high_watermark"}, watermark...)...)
	}
}

func (w *world) diskAlarm(limit string) func() error {
	return func() error { return w.broker.ctl("set_disk_free_limit", limit) }
}

func (w *world) closeConnections() error {
	return w.broker.ctl("close_all_connections", "the chaos test wants it")
}

func (w *world) deleteExchange() error {
	return w.broker.admin(func(ch *amqp.Channel) error { return ch.ExchangeDelete(exchange, false, false) })
}

// makeExchange makes it again, and binds the queue again. In between the collector may publish to an exchange without queues.
func (w *world) makeExchange() error {
	if err := w.broker.admin(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil)
	}); err != nil {
		return err
	}
	return w.consumer.bind()
}

// full is a queue beside that of the consumer, which takes one message.
const full = "consumer.chaos.full"

func (w *world) fill() error {
	return w.broker.admin(func(ch *amqp.Channel) error {
		args := amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"}
		if _, err := ch.QueueDeclare(full, true, false, false, false, args); err != nil {
			return err
		}
		return ch.QueueBind(full, "event.#", exchange, false, nil)
	})
}

func (w *world) unfill() error {
	return w.broker.admin(func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(full, false, false, false)
		return err
	})
}

// link sets what becomes of the collector's connection to the broker.
func (w *world) link(m proxy.Mode) func() error {
	return func() error {
		w.proxy.SetMode(m)
		return nil
	}
}

// killCollector kills it, and now and then its successor while that comes up.
func (w *world) killCollector() error {
	if w.random.IntN(3) == 0 {
		if err := w.collector.restart(syscall.SIGKILL); err != nil {
			return err
		}
		sleep(w.ctx, w.between(0, 1500*time.Millisecond))
	}
	return w.collector.restart(syscall.SIGKILL)
}

func (w *world) restartCollector() error { return w.collector.restart(syscall.SIGTERM) }

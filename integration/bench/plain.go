package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"service_manager/publish"
)

// window is how many messages may be in flight, as the publisher has it by default.
const window = 1000

// plain publishes the messages in turn by amqp091-go alone, and returns how many were confirmed: the floor under any publisher.
func (r Run) plain(ctx context.Context, exchange string, mm []publish.Message) (confirmed int, p pace, err error) {
	conn, err := amqp.Dial(r.Broker)
	if err != nil {
		return 0, pace{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ch, err := conn.Channel()
	if err != nil {
		return 0, pace{}, err
	}
	if err := ch.Confirm(false); err != nil {
		return 0, pace{}, err
	}
	ready := make([]amqp.Publishing, len(mm))
	for i, m := range mm {
		ready[i] = publishing(m)
	}
	var inFlight []*amqp.DeferredConfirmation
	sent, m := 0, begin()
	for until := time.Now().Add(r.For); time.Now().Before(until); sent++ {
		i := sent % len(mm)
		c, err := ch.PublishWithDeferredConfirm(exchange, mm[i].Key, mm[i].Mandatory, false, ready[i])
		if err != nil {
			return 0, pace{}, err
		}
		if inFlight, err = await(ctx, append(inFlight, c), window-1); err != nil {
			return 0, pace{}, err
		}
	}
	if _, err := await(ctx, inFlight, 0); err != nil {
		return 0, pace{}, err
	}
	return sent, m.read(sent), nil
}

// await waits for the confirms of the oldest until no more than so many are in flight, and returns those.
func await(ctx context.Context, inFlight []*amqp.DeferredConfirmation, most int) ([]*amqp.DeferredConfirmation, error) {
	for len(inFlight) > most {
		acked, err := inFlight[0].WaitContext(ctx)
		if err != nil {
			return nil, err
		}
		if !acked {
			return nil, fmt.Errorf("message %d was not confirmed", inFlight[0].DeliveryTag)
		}
		inFlight = inFlight[1:]
	}
	return inFlight, nil
}

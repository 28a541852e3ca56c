//go:build integration

package chaos

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	rabbitmq "service_manager/integration/broker"
)

// exchange is the one that the test stack's accounts may use.
const exchange = "service_manager"

// A broker is that of docker-compose.yml, alone. What it has stored is kept when it is killed and started again.
type broker struct {
	*rabbitmq.Broker
	ctx context.Context //nolint:containedctx // It is the test's, and ends when that is interrupted.
}

// startBroker starts a broker. It is removed at the end of the test.
func startBroker(ctx context.Context, t *testing.T) *broker {
	t.Helper()
	started, err := rabbitmq.Start(ctx, "../stack", "service_manager_chaos")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return &broker{started, ctx}
}

// docker runs a Docker command on the container.
func (b *broker) docker(command ...string) error { return b.Docker(b.ctx, command...) }

// ctl runs rabbitmqctl.
func (b *broker) ctl(args ...string) error { return b.Ctl(b.ctx, args...) }

// logs is what the broker has logged last.
func (b *broker) logs() string { return b.Logs(b.ctx) }

// accepts waits until the broker accepts connections.
func (b *broker) accepts() error {
	return b.admin(func(*amqp.Channel) error { return nil })
}

// admin does something with a channel of its own, as one who may do all. It waits for the broker.
func (b *broker) admin(do func(*amqp.Channel) error) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		conn, err := dial(b.URL("admin"))
		if err == nil {
			defer func() { _ = conn.Close() }() // All is done.
			ch, err := conn.Channel()
			if err != nil {
				return err
			}
			return do(ch)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return errors.Join(fmt.Errorf("the broker on port %d does not accept: %w", b.Port, ctx.Err()), err)
		}
	}
}

func dial(url string) (*amqp.Connection, error) {
	return amqp.DialConfig(url, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second)})
}

// sleep reports whether the time has passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

//go:build integration

package chaos

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// exchange is the one that the test stack's accounts may use.
const exchange = "service_manager"

// A broker is that of docker-compose.yml, alone. What it has stored is kept when it is killed and started again.
type broker struct {
	ctx       context.Context //nolint:containedctx // It is the test's, and ends when that is interrupted.
	env       []string
	port      int // on loopback
	container string
}

// startBroker starts a broker, which does not accept at once. It is removed at the end of the test.
func startBroker(ctx context.Context, t *testing.T) *broker {
	t.Helper()
	port := freePort(ctx, t)
	b := &broker{ctx: ctx, port: port, env: append(os.Environ(),
		"COMPOSE_PROJECT_NAME="+cmp.Or(os.Getenv("COMPOSE_PROJECT_NAME"), "service_manager_chaos"),
		fmt.Sprint("BROKER_PORT=", port), fmt.Sprint("BROKER_TLS_PORT=", freePort(ctx, t)), fmt.Sprint("BROKER_UI_PORT=", freePort(ctx, t)))}
	compose := func(ctx context.Context, args ...string) string {
		out, err := b.run(ctx, "../stack/compose", args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// docker-compose 1.29 trips over containers of an earlier start.
	compose(ctx, "down", "--volumes", "--remove-orphans")
	t.Cleanup(func() {
		if os.Getenv("KEEP_STACK") != "" {
			t.Logf("the broker is left running on port %d", port)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_, _ = b.run(ctx, "docker", "unpause", b.container) // A test that failed may have left it frozen.
		compose(ctx, "down", "--volumes", "--remove-orphans")
	})
	compose(ctx, "up", "--detach", "broker")
	b.container = strings.TrimSpace(compose(ctx, "ps", "--quiet", "broker"))
	return b
}

// freePort finds a port for the broker. It stays the same when the broker is restarted, which one chosen by Docker would not.
func freePort(ctx context.Context, t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // Nothing is pending on it.
	return l.Addr().(*net.TCPAddr).Port
}

// run runs a command, and returns what it printed on stdout.
func (b *broker) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = b.env
	cmd.WaitDelay = 10 * time.Second // What it started may hold its output open.
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// docker runs a Docker command on the container.
func (b *broker) docker(command ...string) error {
	_, err := b.run(b.ctx, "docker", append(command, b.container)...)
	return err
}

// ctl runs rabbitmqctl.
func (b *broker) ctl(args ...string) error {
	_, err := b.run(b.ctx, "docker", append([]string{"exec", b.container, "rabbitmqctl", "--quiet"}, args...)...)
	return err
}

// logs is what the broker has logged last.
func (b *broker) logs() string {
	out, err := b.run(b.ctx, "docker", "logs", "--tail=40", b.container)
	if err != nil {
		return err.Error()
	}
	return out
}

// url is for one of the broker's users, whose password is the name.
func (b *broker) url(user string) string {
	return fmt.Sprintf("amqp://%s:%s@127.0.0.1:%d/", user, user, b.port)
}

// accepts waits until the broker accepts connections.
func (b *broker) accepts() error {
	return b.admin(func(*amqp.Channel) error { return nil })
}

// admin does something with a channel of its own, as one who may do all. It waits for the broker.
func (b *broker) admin(do func(*amqp.Channel) error) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		conn, err := dial(b.url("admin"))
		if err == nil {
			defer func() { _ = conn.Close() }() // All is done.
			ch, err := conn.Channel()
			if err != nil {
				return err
			}
			return do(ch)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return errors.Join(fmt.Errorf("the broker on port %d does not accept: %w", b.port, ctx.Err()), err)
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

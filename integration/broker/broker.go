// Package broker starts the RabbitMQ of the test stack alone, for tests and benchmarks that need none of its hosts.
package broker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	startLimit = 25 * time.Minute // The first time its image may have to be made.
	stopLimit  = 2 * time.Minute
	// acceptLimit is how long a container that runs may take until RabbitMQ accepts connections.
	acceptLimit = 2 * time.Minute
)

// A Broker is the one of docker-compose.yml, in a container. What it has stored is kept when that is restarted.
type Broker struct {
	Port      int    // On loopback. A restart does not change it.
	Container string // Docker's id.
	compose   string
	env       []string
}

// Start starts a broker with the files of the stack in the folder stack (integration/stack), and returns when it accepts connections. Project
// names its containers unless COMPOSE_PROJECT_NAME does; what is left of an earlier one of that name is removed. The caller must stop it.
func Start(ctx context.Context, stack, project string) (*Broker, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	b := &Broker{compose: filepath.Join(stack, "compose"), env: append(os.Environ(),
		"COMPOSE_PROJECT_NAME="+cmp.Or(os.Getenv("COMPOSE_PROJECT_NAME"), project))}
	for _, name := range []string{"BROKER_TLS_PORT", "BROKER_UI_PORT", "BROKER_PORT"} {
		var err error
		if b.Port, err = FreePort(ctx); err != nil {
			return nil, err
		}
		b.env = append(b.env, name+"="+strconv.Itoa(b.Port))
	}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.remove(ctx))
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context) error {
	// docker-compose 1.29 trips over containers of an earlier start.
	if _, err := b.run(ctx, b.compose, "down", "--volumes", "--remove-orphans"); err != nil {
		return err
	}
	if _, err := b.run(ctx, b.compose, "up", "--detach", "broker"); err != nil {
		return err
	}
	id, err := b.run(ctx, b.compose, "ps", "--quiet", "broker")
	if err != nil {
		return err
	}
	b.Container = strings.TrimSpace(id)
	if err := b.accepts(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, b.Logs(ctx))
	}
	return nil
}

// Docker runs a Docker command on the container, such as "pause".
func (b *Broker) Docker(ctx context.Context, command ...string) error {
	_, err := b.run(ctx, "docker", append(command, b.Container)...)
	return err
}

// Ctl runs rabbitmqctl in the container.
func (b *Broker) Ctl(ctx context.Context, args ...string) error {
	_, err := b.run(ctx, "docker", append([]string{"exec", b.Container, "rabbitmqctl", "--quiet"}, args...)...)
	return err
}

// Logs is what RabbitMQ has logged last, or why that is not known.
func (b *Broker) Logs(ctx context.Context) string {
	out, err := b.run(ctx, "docker", "logs", "--tail=40", b.Container)
	if err != nil {
		return err.Error()
	}
	return out
}

// Stop removes all that Start has made but the image, also after the end of ctx. KEEP_STACK=1 leaves it, to look at.
func (b *Broker) Stop(ctx context.Context) error {
	if os.Getenv("KEEP_STACK") != "" {
		fmt.Fprintln(os.Stderr, "the broker is left running on port", b.Port)
		return nil
	}
	return b.remove(ctx)
}

func (b *Broker) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	_ = b.Docker(ctx, "unpause") // A test that failed may have left it frozen.
	_, err := b.run(ctx, b.compose, "down", "--volumes", "--remove-orphans")
	return err
}

// URL is for one of the stack's users (collector, consumer, admin), whose password is the name.
func (b *Broker) URL(user string) string {
	return fmt.Sprintf("amqp://%s:%s@127.0.0.1:%d/", user, user, b.Port)
}

// accepts waits until RabbitMQ accepts connections.
func (b *Broker) accepts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, acceptLimit)
	defer cancel()
	for {
		conn, err := amqp.DialConfig(b.URL("admin"), amqp.Config{Dial: amqp.DefaultDial(5 * time.Second)})
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the broker on port %d does not accept connections: %w", b.Port, errors.Join(ctx.Err(), err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// run runs a command, and returns what it printed on stdout.
func (b *Broker) run(ctx context.Context, name string, args ...string) (string, error) {
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

// FreePort finds a TCP port of loopback for a container. It stays the same when that is restarted, which one chosen by Docker would not.
// It is below those that the kernel gives to connections (ip_local_port_range), of which the tests make many: one of them could take it
// before the container does.
func FreePort(ctx context.Context) (int, error) {
	const lowest, highest = 20_000, 32_000
	for range 100 {
		port := lowest + rand.IntN(highest-lowest) //nolint:gosec // G404: not a secret
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d", lowest, highest)
}

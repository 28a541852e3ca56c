package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	dialTimeout = 5 * time.Second
	// connectTimeout bounds all from the dial to the open channel. RabbitMQ waits three seconds before it hangs up on a wrong password.
	connectTimeout = 8 * time.Second
	// closeTimeout bounds the farewell.
	closeTimeout = 2 * time.Second
)

var errNoAnswer = fmt.Errorf("no answer within %v", connectTimeout)

// A link is one connection to a broker with a channel in confirm mode.
type link struct {
	wire wire
	// declare sees to a queue. It has no timeout, and ends with the connection.
	declare func(Queue) error
	// close ends the connection: politely, so that confirms under way still arrive, or at once.
	close func(politely bool)
	// closeSoon closes the socket in closeTimeout, which frees every call that waits for it.
	closeSoon func()
}

// dial connects, sees to the exchange and opens the channel to publish on.
func (p *Publisher) dial(ctx context.Context, b broker) (l *link, err error) {
	err = connect(ctx, p.cfg, b, func(conn *amqp.Connection, raw *rawConn) error {
		l, err = p.open(conn, raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// connect connects to b and opens with the connection what is wanted of it. When the end comes before that, such as by a TLS alert about our
// certificate, it may be that amqp091 has no reason to tell but its own, that the connection is not open. The broker tells it once more.
func connect(ctx context.Context, cfg Config, b broker, open func(*amqp.Connection, *rawConn) error) error {
	began := false
	try := func() error {
		return connectOnce(ctx, cfg, b, func(conn *amqp.Connection, raw *rawConn) error {
			began = true
			return open(conn, raw)
		})
	}
	err := try()
	if errors.Is(err, amqp.ErrClosed) && !began && ctx.Err() == nil {
		err = try()
	}
	return err
}

// connectOnce is one try. Config, TLS and SASL are new each time: amqp091 writes into them, and files may have changed.
func connectOnce(ctx context.Context, cfg Config, b broker, open func(*amqp.Connection, *rawConn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errNoAnswer)
	defer cancel()
	tlsConfig, err := cfg.tlsConfig(b)
	if err != nil {
		return err
	}
	var raw *rawConn
	config := amqp.Config{
		Vhost:           b.uri.Vhost,
		Heartbeat:       cfg.Heartbeat,
		TLSClientConfig: tlsConfig,
		Properties:      cfg.properties(),
		Dial: func(network, addr string) (net.Conn, error) {
			raw, err = dialRaw(ctx, network, addr, cfg.WriteTimeout)
			if err != nil {
				return nil, err
			}
			return raw, nil
		},
	}
	if cfg.External {
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	conn, err := amqp.DialConfig(b.url, config)
	if raw == nil {
		return err
	}
	if err == nil {
		err = open(conn, raw)
	}
	// No call of amqp091 above has a timeout of its own; ctx ends them by closing the socket.
	if !raw.unwatch() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close()
	}
	return err
}

// open sees to the exchange and opens the channel.
func (p *Publisher) open(conn *amqp.Connection, raw *rawConn) (*link, error) {
	if err := declareExchange(conn, p.cfg.Exchange, p.cfg.Declare); err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	closeSoon := func() {
		time.AfterFunc(closeTimeout, func() { _ = raw.Close() })
	}
	return &link{
		declare:   func(q Queue) error { return declareQueue(conn, q, p.cfg.Exchange, p.cfg.Declare) },
		closeSoon: closeSoon,
		close: func(politely bool) {
			if politely {
				closeSoon()
				_ = conn.Close() // What it fails with does not matter any more.
			}
			_ = raw.Close()
		},
		wire: wire{
			publish: func(m Message) (confirmation, error) {
				return ch.PublishWithDeferredConfirm(p.cfg.Exchange, m.Key, m.Mandatory, false, m.publishing())
			},
			hold:    raw.hold,
			release: raw.release,
			returns: ch.NotifyReturn(make(chan amqp.Return, p.cfg.Window)),
			blocked: conn.NotifyBlocked(make(chan amqp.Blocking, 32)),
			// The end of the connection ends the channel, with the same reason.
			closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
		},
	}, nil
}

// declareExchange works on a channel of its own, because a refusal closes the channel.
func declareExchange(conn *amqp.Connection, exchange string, how Declare) error {
	if how == DeclareNone {
		return nil
	}
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	declare := ch.ExchangeDeclare
	if how == DeclarePassive {
		declare = ch.ExchangeDeclarePassive
	}
	if err := declare(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	return ch.Close()
}

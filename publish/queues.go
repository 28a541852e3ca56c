package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"
)

// QueueType is RabbitMQ's x-queue-type.
type QueueType string

// The types of queue.
const (
	QueueQuorum  QueueType = "quorum"
	QueueClassic QueueType = "classic"
	QueueStream  QueueType = "stream"
)

// A Queue is a durable queue that a Publisher sees to, for consumers that come later. With DeclareActive it is declared and bound at
// every connect, with DeclarePassive it is only looked for. Whatever goes wrong about it is logged, once, and does not stop publishing.
type Queue struct {
	Name string
	Type QueueType
	// Bindings are topic patterns of routing keys. Others that the queue has are left as they are.
	Bindings []string
	// MaxMessages, MaxBytes and MaxAge bound the queue, whose oldest messages go first; 0 is no bound. A stream has no MaxMessages.
	MaxMessages, MaxBytes int64
	MaxAge                time.Duration // In whole milliseconds, of a stream in whole seconds.
}

// queuesPatience is how long a session's first message waits for the queues: what comes before them would be lost to them.
const queuesPatience = 3 * time.Second

func (q Queue) validate() error {
	switch {
	case q.Name == "" || len(q.Name) > maxProperty:
		return fmt.Errorf("queue %q: a name has 1 to %d bytes", q.Name, maxProperty)
	case q.Type != QueueQuorum && q.Type != QueueClassic && q.Type != QueueStream:
		return fmt.Errorf("queue %q: its type is %q, it must be quorum, classic or stream", q.Name, q.Type)
	case q.MaxMessages < 0 || q.MaxBytes < 0 || q.MaxAge < 0:
		return fmt.Errorf("queue %q: its bounds must not be negative", q.Name)
	case q.Type == QueueStream && q.MaxMessages > 0:
		return fmt.Errorf("queue %q: a stream cannot be bounded by messages", q.Name)
	}
	return nil
}

// arguments are those of queue.declare. https://www.rabbitmq.com/docs/queues#optional-arguments
func (q Queue) arguments() amqp.Table {
	args := amqp.Table{"x-queue-type": string(q.Type)}
	if q.MaxMessages > 0 {
		args["x-max-length"] = q.MaxMessages
	}
	if q.MaxBytes > 0 {
		args["x-max-length-bytes"] = q.MaxBytes
	}
	switch {
	case q.MaxAge <= 0:
	case q.Type == QueueStream:
		args["x-max-age"] = fmt.Sprintf("%ds", max(int64(q.MaxAge/time.Second), 1))
	default:
		args["x-message-ttl"] = max(q.MaxAge.Milliseconds(), 1)
	}
	return args
}

// declareQueue works on a channel of its own, because a refusal closes the channel.
func declareQueue(conn *amqp.Connection, q Queue, exchange string, how Declare) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if how == DeclarePassive {
		_, err = ch.QueueDeclarePassive(q.Name, true, false, false, false, nil)
	} else {
		_, err = ch.QueueDeclare(q.Name, true, false, false, false, q.arguments())
	}
	if err != nil {
		return err
	}
	if how == DeclareActive {
		for _, pattern := range q.Bindings {
			if err := ch.QueueBind(q.Name, pattern, exchange, false, nil); err != nil {
				return err
			}
		}
	}
	return ch.Close()
}

// A steward sees to the queues of the configuration, at each connect anew.
type steward struct {
	cfg Config
	log *slog.Logger
	// told is what was last logged of a queue that is not as it should be, so that it is not logged again at every connect.
	told map[string]string
	// shunned queues are not asked for again, since the broker has ended a whole connection because of them.
	shunned map[string]bool
}

// start sees to the queues in the background, and returns when that is done, after queuesPatience, or when ctx ends. The caller must
// call wait when it has closed the connection, which frees whatever is still waiting for the broker.
func (s *steward) start(ctx context.Context, b broker, declare func(Queue) error) (wait func()) {
	if s.cfg.Declare == DeclareNone || len(s.cfg.Queues) == 0 {
		return func() {}
	}
	var work conc.WaitGroup
	done := make(chan struct{})
	work.Go(func() {
		defer close(done)
		for _, q := range s.cfg.Queues {
			if !s.shunned[q.Name] && !s.see(ctx, b, q, declare(q)) {
				return
			}
		}
	})
	timer := time.NewTimer(queuesPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.log.WarnContext(ctx, "the broker is slow to declare the queues, publishing meanwhile")
	case <-ctx.Done():
	}
	return work.Wait
}

// see logs what has become of a queue, if that is news, and reports whether the connection still stands.
func (s *steward) see(ctx context.Context, b broker, q Queue, err error) (stands bool) {
	if err == nil {
		if _, ok := s.told[q.Name]; ok {
			delete(s.told, q.Name)
			s.log.InfoContext(ctx, "the queue is as it should be now", slog.String("queue", q.Name))
		}
		return true
	}
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || !e.Server {
		return false
	}
	if soft := e.Recover; !soft { // The whole connection has ended.
		if e.Code == amqp.ConnectionForced || aboutMessage(err) {
			return false // Not because of the queue.
		}
		s.shunned[q.Name] = true
	}
	if text := plain(err); s.told[q.Name] != text {
		s.told[q.Name] = text
		s.log.ErrorContext(ctx, "a queue is not as it should be", slog.String("queue", q.Name),
			slog.Any("err", &BrokerError{Broker: b.addr, Remedy: s.remedy(e, b, q), Err: err}))
	}
	return e.Recover
}

func (s *steward) remedy(e *amqp.Error, b broker, q Queue) string {
	switch {
	case s.shunned[q.Name]:
		return "the broker has ended the whole connection because of it, so the queue is left alone until the next start"
	case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "inequivalent"):
		return fmt.Sprintf("a queue cannot be changed: give it the type and the bounds that it has, or another name, or, once it is empty, "+
			"delete it: rabbitmqctl delete_queue -p %s %s --if-empty", shellWord(b.uri.Vhost), shellWord(q.Name))
	case e.Code == amqp.AccessRefused && toTopic(e):
		return "allow binding too: " + topicGrant(b, "USER", s.cfg)
	case e.Code == amqp.AccessRefused && s.cfg.Declare == DeclareActive:
		return "allow it: " + s.grant(b) + `; or declare the queues with another account, and set declare = "passive"`
	case e.Code == amqp.AccessRefused:
		return `the user needs some permission on a queue to see it; declare = "none" does not look`
	case e.Code == amqp.NotFound && s.cfg.Declare == DeclarePassive:
		return `declare it, or set declare = "active"`
	}
	return ""
}

// grant is the command for what declaring and binding takes: configure exchange and queues, write to both, read from the exchange.
// https://www.rabbitmq.com/docs/access-control#authorisation
func (s *steward) grant(b broker) string {
	exchange := regexp.QuoteMeta(s.cfg.Exchange)
	all := []string{exchange}
	for _, q := range s.cfg.Queues {
		all = append(all, regexp.QuoteMeta(q.Name))
	}
	return fmt.Sprintf("rabbitmqctl set_permissions -p %s USER %s %[2]s %s",
		shellWord(b.uri.Vhost), shellWord("^("+strings.Join(all, "|")+")$"), shellWord("^"+exchange+"$"))
}

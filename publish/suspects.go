package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Suspects are the messages that may have made the broker end a channel. It does so because of one message, and all that came after
// that one is lost with it: were they sent again as before, one message that the broker does not take would end every session to come.
// So a suspect is sent when no other message waits to be sent and the broker has let pass all that is in flight, and nothing else until
// its fate is known.
//
// They are told by routing key: the next with the key of a rejected one, such as the newer status of the same host, is likely to be
// rejected too, and goes alone from the start. Each of these costs the connection, so that all of them together have one try in a while.
type suspects struct {
	charges   map[string]charge // By routing key.
	incidents int
	notBefore time.Time // The next try of a guilty one.
	accusals  linesPerMinute
	verdicts  linesPerMinute
	pardons   linesPerMinute
}

// guiltyEvery is how long no guilty message is sent after one that was rejected.
const guiltyEvery = 5 * time.Second

// A charge is why a message is suspected.
type charge struct {
	incident int  // The latest that it was part of.
	proven   bool // The broker has rejected it.
}

// standing is that of a message by what has become of those before it with the same key.
func (p *Publisher) standing(m Message) standing {
	c, charged := p.suspects.charges[m.Key]
	switch {
	case c.proven:
		return guilty
	case charged:
		return suspected
	case p.withheld.has(m):
		return unanswered
	}
	return unsuspected
}

// retry reports whether a guilty message may be sent.
func (s *suspects) retry() bool { return !time.Now().Before(s.notBefore) }

// accuse charges those of mm that err may be about: all, unless err names some.
func (s *suspects) accuse(ctx context.Context, log *slog.Logger, mm []pending, err error) {
	var named []pending
	for _, m := range mm {
		if names(err, m.Message) {
			named = append(named, m)
		}
	}
	if len(named) > 0 {
		mm = named
	}
	s.incidents++
	for _, m := range mm {
		s.charges[m.Key] = charge{incident: s.incidents, proven: s.charges[m.Key].proven}
	}
	if more, ok := s.accusals.next(); ok {
		log.WarnContext(ctx, "the broker rejects one of several messages, the suspects are sent one by one",
			slog.Int("suspects", len(mm)), slog.Any("err", err), slog.Int("not_logged", more))
	}
}

// names reports whether the broker's words name m: as RabbitMQ does by the routing key or the size, which saves sending the others one
// by one. It is no proof.
func names(err error, m Message) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && (strings.Contains(e.Reason, "'"+m.Key+"'") || strings.Contains(e.Reason, fmt.Sprintf("message size %d ", len(m.Body))))
}

// acquit clears m, of which the broker did not end the channel, and logs it where it did so before.
func (s *suspects) acquit(ctx context.Context, log *slog.Logger, m Message) {
	mended := s.charges[m.Key].proven
	delete(s.charges, m.Key)
	if !mended {
		return
	}
	if more, ok := s.pardons.next(); ok {
		log.InfoContext(ctx, "the broker takes again what it rejected", slog.String("routing_key", m.Key), slog.Int("not_logged", more))
	}
}

// convict notes that it was m, which clears the others of the same incident.
func (s *suspects) convict(ctx context.Context, log *slog.Logger, m Message, err error) {
	known, ok := s.charges[m.Key]
	if ok {
		for key, c := range s.charges {
			if c.incident == known.incident && !c.proven {
				delete(s.charges, key)
			}
		}
	}
	s.charges[m.Key] = charge{incident: known.incident, proven: true}
	s.notBefore = time.Now().Add(guiltyEvery)
	if known.proven {
		return
	}
	if more, ok := s.verdicts.next(); ok {
		log.ErrorContext(ctx, "the broker rejects a message",
			slog.String("routing_key", m.Key), slog.String("id", m.ID), slog.Any("err", err), slog.Int("not_logged", more))
	}
}

// linesPerMinute lets few lines of a kind into the log.
type linesPerMinute struct {
	since         time.Time
	lines, missed int
}

// next reports whether the next line may be logged, and how many were not since the last that was.
func (l *linesPerMinute) next() (missed int, ok bool) {
	const most = 3
	if now := time.Now(); now.Sub(l.since) >= time.Minute {
		l.since, l.lines = now, 0
	}
	if l.lines == most {
		l.missed++
		return 0, false
	}
	l.lines++
	missed, l.missed = l.missed, 0
	return missed, true
}

package publish

import (
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Suspects are the messages that may have made the broker end a channel. It does so because of one message, and all that came after
// that one is lost with it: were they sent again as before, one message that the broker does not take would end every session to come.
// So a suspect is sent when nothing else is in flight, and nothing else until its fate is known.
//
// They are told by routing key: the next with the key of a rejected one, such as the newer status of the same host, is likely to be
// rejected too, and goes alone from the start.
type suspects struct {
	charges   map[string]charge // By routing key.
	incidents int
}

// A charge is why a message is suspected.
type charge struct {
	incident int  // The latest that it was part of.
	proven   bool // The broker has rejected it.
}

func (s *suspects) has(m Message) bool {
	_, ok := s.charges[m.Key]
	return ok
}

// accuse charges those of mm that err may be about, and returns how many that are: all, unless err names some.
func (s *suspects) accuse(mm []Message, err error) int {
	var named []Message
	for _, m := range mm {
		if names(err, m) {
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
	return len(mm)
}

// names reports whether the broker's words name m: as RabbitMQ does by the routing key or the size, which saves sending the others one
// by one. It is no proof.
func names(err error, m Message) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && (strings.Contains(e.Reason, "'"+m.Key+"'") || strings.Contains(e.Reason, fmt.Sprintf("message size %d ", len(m.Body))))
}

// acquit clears m, of which the broker did not end the channel.
func (s *suspects) acquit(m Message) {
	delete(s.charges, m.Key)
}

// convict notes that it was m, which clears the others of the same incident, and reports whether that is news.
func (s *suspects) convict(m Message) bool {
	known, ok := s.charges[m.Key]
	if ok {
		for key, c := range s.charges {
			if c.incident == known.incident && !c.proven {
				delete(s.charges, key)
			}
		}
	}
	s.charges[m.Key] = charge{incident: known.incident, proven: true}
	return !known.proven
}

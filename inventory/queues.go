package inventory

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

func (p *parser) queues(raws []*rawQueue) []Queue {
	var queues []Queue
	places := make(map[string]place, len(raws))
	for _, raw := range raws {
		name, ok := p.word(raw.Name, "name")
		switch first, taken := places[name]; {
		case !raw.Name.given():
			p.mistake(raw.at, `queue without a name; write name = "NAME"`)
		case !ok:
		case taken:
			p.mistake(raw.Name.at, "queue %q is already defined at %s; keep one of them", name, first)
		case strings.HasPrefix(name, "amq."):
			p.mistake(raw.Name.at, "queue %q; names that begin with amq. belong to the broker", name)
		default:
			places[name] = raw.Name.at
		}
		q := Queue{
			Name:        p.shortString(raw.Name, "name", name),
			Type:        oneOf(p, raw.Type, "type", QueueQuorum, QueueClassic, QueueStream),
			Bindings:    p.bindings(raw.Bindings),
			MaxMessages: int64(p.integer(raw.MaxMessages, "max_messages", 1, math.MaxInt32, 0)),
			MaxBytes:    p.bytes(raw.MaxBytes, "max_bytes", 1<<20, 0),
			MaxAge:      p.duration(raw.MaxAge, "max_age", time.Second, 10*365*24*time.Hour, 0),
		}
		if q.Type == QueueStream && raw.MaxMessages.given() {
			p.mistake(raw.MaxMessages.at, "max_messages does not apply to a stream; bound it by max_bytes or max_age")
		}
		queues = append(queues, q)
	}
	return queues
}

func (p *parser) bindings(l list) []string {
	if !l.given() {
		return []string{"#"}
	}
	if l.ok && len(l.v) == 0 {
		p.mistake(l.at, `bindings is empty, so nothing would ever arrive; write bindings = ["#"] for everything`)
	}
	patterns := make([]string, 0, len(l.v))
	for _, t := range l.v {
		if err := CheckBinding(t.v); err != nil {
			p.mistake(t.at, "binding %q %v", t.v, err)
		}
		patterns = append(patterns, t.v)
	}
	return patterns
}

// keyWords is how many words each routing key of this program has: kind, group and host.
const keyWords = 3

// CheckBinding finds patterns that can match no routing key that this program sends, which are three words each. Its errors go on
// after the pattern.
func CheckBinding(pattern string) error {
	words := strings.Split(pattern, ".")
	many, least := false, 0
	for _, word := range words {
		switch {
		case word == "#":
			many = true
			continue
		case word == "*":
		case strings.ContainsAny(word, "*#"):
			return errors.New("has a * or # within a word; each stands for whole words")
		case !isName(word):
			return errors.New("has an empty word, or a character that no routing key has; write kind.group.host, as in event.web.*")
		}
		least++
	}
	first := words[0]
	switch {
	case len(pattern) > maxRoutingKey:
		return fmt.Errorf("has %d bytes; AMQP allows %d", len(pattern), maxRoutingKey)
	case first != "*" && first != "#" && first != "status" && first != "event" && first != "collector":
		return errors.New("begins with no kind of message; write status, event, collector, * or #, as in *.*.HOST")
	case least > keyWords:
		return fmt.Errorf("has %d words, but each routing key three, kind.group.host; a dot in a name is _ there", least)
	case !many && least < keyWords:
		return errors.New("has not the three words kind.group.host; * stands for one word, # for any number of words")
	}
	return nil
}

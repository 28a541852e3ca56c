package publish

import "strings"

// The kinds of message, which are the first word of a routing key and the AMQP property "type".
const (
	KindStatus    = "status"
	KindEvent     = "event"
	KindCollector = "collector"
)

// MaxKey is the greatest length of a routing key in bytes: AMQP 0-9-1 sends it as a short string, whose length is one byte.
const MaxKey = 255

// RoutingKey returns "kind.group.host", always of three words: a dot inside a word becomes "_", because a topic exchange splits
// keys at dots and "*" stands for exactly one word. "status.web.*" thus means every host of the group web, whatever their names.
//
// Messages of the collector itself take its name for the group and what they tell for the host: collector.fleet-a.heartbeat.
func RoutingKey(kind, group, host string) string {
	return word(kind) + "." + word(group) + "." + word(host)
}

func word(s string) string {
	return strings.ReplaceAll(s, ".", "_")
}

// Matches reports whether a binding with pattern lets a topic exchange route key: "*" stands for one word, "#" for any number of words,
// also none.
func Matches(pattern, key string) bool {
	return matchWords(strings.Split(pattern, "."), strings.Split(key, "."))
}

func matchWords(pattern, key []string) bool {
	for i, p := range pattern {
		switch {
		case p == "#":
			for skip := range len(key) - i + 1 {
				if matchWords(pattern[i+1:], key[i+skip:]) {
					return true
				}
			}
			return false
		case i == len(key) || p != "*" && p != key[i]:
			return false
		}
	}
	return len(pattern) == len(key)
}

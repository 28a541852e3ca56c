package publish

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Withheld are the routing keys of messages that the broker did not answer in time, though it answered others: one of the queues that
// they go to has no majority, or is stuck. The message is confirmed only when all its queues have it.
type withheld struct {
	keys   map[string]struct{}
	news   bool // Some are not in the log yet.
	told   time.Time
	logged bool // That there are any.
}

// namedKeys is how many keys a line of the log names.
const namedKeys = 5

func (w *withheld) has(m Message) bool {
	_, ok := w.keys[m.Key]
	return ok
}

func (w *withheld) add(m Message) {
	if !w.has(m) {
		w.keys[m.Key] = struct{}{}
		w.news = true
	}
}

// report logs the keys, once a minute at most, and only when there are new ones.
func (w *withheld) report(ctx context.Context, log *slog.Logger) {
	if !w.news || w.logged && time.Since(w.told) < waitingEvery {
		return
	}
	w.news, w.logged, w.told = false, true, time.Now()
	keys := slices.Sorted(maps.Keys(w.keys))
	log.WarnContext(ctx, "the broker withholds the confirms of some routing keys, and confirms others: find the queues bound to them that are "+
		"stuck or without a majority (rabbitmqctl list_unresponsive_queues, rabbitmqctl list_queues name state)",
		slog.String("routing_keys", strings.Join(keys[:min(len(keys), namedKeys)], " ")), slog.Int("keys", len(keys)))
}

// free clears the key of a message that the broker has answered.
func (w *withheld) free(ctx context.Context, log *slog.Logger, m Message) {
	if !w.has(m) {
		return
	}
	delete(w.keys, m.Key)
	if len(w.keys) == 0 && w.logged {
		w.news, w.logged = false, false
		log.InfoContext(ctx, "the broker confirms again what it withheld", slog.String("routing_key", m.Key))
	}
}

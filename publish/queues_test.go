package publish

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestQueueArguments(t *testing.T) {
	for name, tc := range map[string]struct {
		q    Queue
		want amqp.Table
	}{
		"no bounds": {Queue{Type: QueueQuorum}, amqp.Table{"x-queue-type": "quorum"}},
		"classic": {
			Queue{Type: QueueClassic, MaxMessages: 9, MaxBytes: 1 << 40, MaxAge: 24 * time.Hour},
			amqp.Table{"x-queue-type": "classic", "x-max-length": int64(9), "x-max-length-bytes": int64(1 << 40), "x-message-ttl": int64(86_400_000)},
		},
		"stream": {
			Queue{Type: QueueStream, MaxBytes: 1 << 40, MaxAge: 36 * time.Hour},
			amqp.Table{"x-queue-type": "stream", "x-max-length-bytes": int64(1 << 40), "x-max-age": "129600s"},
		},
		"never without age": {Queue{Type: QueueStream, MaxAge: time.Millisecond}, amqp.Table{"x-queue-type": "stream", "x-max-age": "1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.q.arguments()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// newTestSteward returns a steward of three queues and what it logs.
func newTestSteward(how Declare) (steward, *bytes.Buffer) {
	var log bytes.Buffer
	return steward{
		cfg:     Config{Exchange: "x.y", Declare: how, Queues: []Queue{{Name: "a"}, {Name: "b.b"}, {Name: "c"}}},
		log:     slog.New(slog.NewTextHandler(&log, nil)),
		told:    map[string]string{},
		shunned: map[string]bool{},
	}, &log
}

// answers declares queues with the errors given, and lists in asked which.
func answers(asked *[]string, errs map[string]error) func(Queue) error {
	return func(q Queue) error {
		*asked = append(*asked, q.Name)
		return errs[q.Name]
	}
}

func TestStewardTellsOnce(t *testing.T) {
	refused := &amqp.Error{Code: amqp.AccessRefused, Reason: "ACCESS_REFUSED - configure access to queue 'b.b'", Server: true, Recover: true}
	other := &amqp.Error{Code: amqp.PreconditionFailed, Reason: "PRECONDITION_FAILED - inequivalent arg 'x-max-length'", Server: true, Recover: true}
	unbound := &amqp.Error{Code: amqp.AccessRefused, Reason: "ACCESS_REFUSED - read access to topic '#' in exchange 'x.y'", Server: true, Recover: true}
	const allow = `rabbitmqctl set_permissions -p /v USER '^(x\\.y|a|b\\.b|c)$' '^(x\\.y|a|b\\.b|c)$' '^x\\.y$'`
	s, log := newTestSteward(DeclareActive)
	for i, tc := range []struct {
		err  error
		want string // In the one line that is logged; empty means none.
	}{
		{refused, allow},
		{refused, ""},
		{other, "rabbitmqctl delete_queue -p /v b.b --if-empty"},
		{amqp.ErrClosed, ""}, // Says nothing of the queue.
		{other, ""},
		{nil, "as it should be now"},
		{nil, ""},
		{refused, allow},
		{unbound, `rabbitmqctl set_topic_permissions -p /v USER x.y '^(status|event|collector)\\.' '.*'`},
	} {
		log.Reset()
		var asked []string
		s.start(t.Context(), broker{uri: amqp.URI{Vhost: "/v"}}, answers(&asked, map[string]error{"b.b": tc.err}))()
		if got := log.String(); strings.Count(got, "\n") > 1 || (got != "") != (tc.want != "") || !strings.Contains(got, tc.want) {
			t.Errorf("%d: logged %s, want %s", i, got, tc.want)
		}
		want := "a b.b c"
		if errors.Is(tc.err, amqp.ErrClosed) {
			want = "a b.b"
		}
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%d: asked for %s, want %s", i, got, want)
		}
	}
}

func TestStewardLeavesAloneWhatEndsConnections(t *testing.T) {
	crash := &amqp.Error{Code: amqp.InternalError, Reason: "INTERNAL_ERROR", Server: true}
	s, log := newTestSteward(DeclareActive)
	var asked []string
	for range 3 {
		s.start(t.Context(), broker{}, answers(&asked, map[string]error{"b.b": crash}))()
	}
	if diff := cmp.Diff([]string{"a", "b.b", "a", "c", "a", "c"}, asked); diff != "" {
		t.Error("asked (-want +got):\n" + diff)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "left alone until the next start") {
		t.Error(got)
	}
	asked = nil
	for _, err := range []*amqp.Error{{Code: amqp.ConnectionForced, Server: true}, {Code: amqp.SyntaxError, Server: true}, {Code: amqp.FrameError, Reason: "EOF"}} {
		s.start(t.Context(), broker{}, answers(&asked, map[string]error{"a": err}))()
	}
	if diff := cmp.Diff([]string{"a", "a", "a"}, asked); diff != "" {
		t.Error("asked (-want +got):\n" + diff)
	}
}

func TestStewardDoesNothing(t *testing.T) {
	s, _ := newTestSteward(DeclareNone)
	s.start(t.Context(), broker{}, nil)()
	s, _ = newTestSteward(DeclareActive)
	s.cfg.Queues = nil
	s.start(t.Context(), broker{}, nil)()
}

func TestStewardDoesNotHoldUpPublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newTestSteward(DeclarePassive)
		closed := make(chan struct{})
		start := time.Now()
		wait := s.start(t.Context(), broker{}, func(Queue) error { <-closed; return amqp.ErrClosed })
		if d := time.Since(start); d != queuesPatience || !strings.Contains(log.String(), "slow to declare") {
			t.Errorf("waited %v, logged %s", d, log)
		}
		close(closed)
		wait()
	})
}

package outbox_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ publish.Source = (*outbox.Outbox)(nil)

func inMemory(t *testing.T) *outbox.Outbox {
	t.Helper()
	return open(t, outbox.Config{UnroutableFor: time.Hour})
}

// onDisk returns the configuration of a state file that is not there yet.
func onDisk(t *testing.T) outbox.Config {
	t.Helper()
	return outbox.Config{Path: filepath.Join(t.TempDir(), "state.db"), UnroutableFor: time.Hour}
}

// open opens an outbox, which the test's end closes.
func open(t *testing.T, config outbox.Config) *outbox.Outbox {
	t.Helper()
	config.Collector = "fleet-a"
	o, err := outbox.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBox(t, o) })
	return o
}

func closeBox(t *testing.T, o *outbox.Outbox) {
	t.Helper()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

// commit commits a state and so many events of a host.
func commit(t *testing.T, o *outbox.Outbox, host, state string, events int) {
	t.Helper()
	if err := o.Commit(host, []byte(state), changes(host, events)); err != nil {
		t.Fatal(err)
	}
}

// changes returns events of a host.
func changes(host string, n int) []publish.Event {
	events := make([]publish.Event, n)
	for i := range events {
		events[i] = publish.Event{
			Event:      publish.UnitChanged,
			Host:       publish.HostRef{Name: host, Group: "web"},
			Unit:       new("nginx.service"),
			ObservedAt: publish.Time{Time: time.Now()},
		}
	}
	return events
}

// take takes all there is and returns it by name.
func take(o *outbox.Outbox) []string {
	var got []string
	for m, ok := o.Take(); ok; m, ok = o.Take() {
		got = append(got, name(m))
	}
	return got
}

// settle settles messages by name.
func settle(o *outbox.Outbox, f publish.Fate, names ...string) {
	for _, n := range names {
		m := publish.Message{ID: n, Group: "web"}
		m.Host, _, _ = strings.Cut(n, "/")
		if host, seq, ok := strings.Cut(n, "#"); ok {
			m.Host = host
			m.Seq = number(seq)
			m.ID = publish.EventID("fleet-a", o.Epoch(), host, m.Seq)
		}
		o.Settle(m, f)
	}
}

func ready(o *outbox.Outbox) bool {
	select {
	case <-o.Ready():
		return true
	default:
		return false
	}
}

// expect takes all there is and compares, also the count of what is open.
func expect(t *testing.T, o *outbox.Outbox, open int, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, take(o)); diff != "" {
		t.Error("taken -want +got:\n" + diff)
	}
	if got := o.Len(); got != open {
		t.Errorf("%d open, want %d", got, open)
	}
}

// name is "host#seq" for an event, else the message's id.
func name(m publish.Message) string {
	if m.Type == publish.KindEvent {
		return m.Host + "#" + strconv.FormatUint(m.Seq, 10)
	}
	return m.ID
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

// newTestViewer returns a viewer at a fixed time, and what it prints.
func newTestViewer(flags tailFlags) (v *viewer, out, notes *bytes.Buffer) {
	out, notes = new(bytes.Buffer), new(bytes.Buffer)
	v = newViewer(out, notes, []string{"#"}, flags)
	v.now = seenAt
	return v, out, notes
}

func failedEvent(t *testing.T, seq uint64) publish.Delivery {
	t.Helper()
	e := event("e1", seq)
	e.Event, e.Unit, e.ObservedAt = publish.UnitFailed, new("nginx.service"), publish.Time{Time: at(10, 0, 0)}
	e.After = &publish.EventState{Unit: new(state("failed", "failed"))}
	m, err := e.Message()
	if err != nil {
		t.Fatal(err)
	}
	return publish.Delivery{Key: m.Key, ID: m.ID, Time: m.Time, Body: m.Body}
}

func TestViewerText(t *testing.T) {
	v, out, notes := newTestViewer(tailFlags{format: "text", count: 3})
	for i, seq := range []uint64{17, 17, 21, 17, 22} {
		if done := v.show(failedEvent(t, seq)); done != (i == 4) {
			t.Errorf("message %d: done is %v", i, done)
		}
	}
	want := strings.Repeat("10:00:00 ! web-01 nginx.service appeared, failed\n", 3)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	if diff := cmp.Diff("10:00:09 web-01: events 18..20 were missed\n", notes.String()); diff != "" {
		t.Error("notes, -want +got:\n" + diff)
	}
}

// JSON lines are for programs: all that came, whatever it is.
func TestViewerJSONLines(t *testing.T) {
	v, out, notes := newTestViewer(tailFlags{format: "jsonl"})
	again := failedEvent(t, 17)
	bodies := []string{
		string(again.Body), string(again.Body), "{\n \"a\": 1.50 }", "not JSON \x1b[2J\xff", "", "\"C1 \u009b, bidi \u202e, line \u2028, tag \U000e0001, wide 🙂\"",
	}
	for _, body := range bodies {
		if v.show(publish.Delivery{Key: "a.b", ID: "same", Body: []byte(body)}) {
			t.Error("it wants to end")
		}
	}
	if diff := cmp.Diff("", notes.String()); diff != "" {
		t.Error("notes: " + diff)
	}
	type line struct {
		Key  string          `json:"routing_key"`
		Body json.RawMessage `json:"body"`
	}
	var got []string
	for l := range strings.Lines(out.String()) {
		var v line
		if err := json.Unmarshal([]byte(l), &v); err != nil || v.Key != "a.b" {
			t.Errorf("%v of %s", err, l)
		}
		got = append(got, string(v.Body))
	}
	want := []string{
		bodies[0], bodies[0], `{"a":1.50}`, `"not JSON \u001b[2J\ufffd"`, `""`, `"C1 \u009b, bidi \u202e, line \u2028, tag \udb40\udc01, wide 🙂"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

func TestViewerNotes(t *testing.T) {
	v, out, notes := newTestViewer(tailFlags{format: "text"})
	v.bound("amqp://h:5672/", time.Time{})
	v.lost(errors.New("EOF\x1b[2J"), at(10, 0, 9))
	v.lost(errors.New("connection refused"), at(9, 58, 9))
	v.bound("amqp://h:5672/", at(9, 58, 9))
	v.bound("amqp://h:5672/", at(10, 0, 9))
	v.dropped(1)
	v.dropped(1234)
	want := `10:00:09 receiving # from amqp://h:5672/; Ctrl-C ends it
10:00:09 lost the broker, connecting again; what is sent meanwhile is missed: EOF·[2J
10:00:09 still without the broker, for 2m0s: connection refused
10:00:09 receiving again, from amqp://h:5672/, after 2m0s: what was sent since 09:58:09 is missed, for the queue is a temporary one
10:00:09 receiving again, from amqp://h:5672/, after less than 1s: what was sent since 10:00:09 is missed, for the queue is a temporary one
10:00:09 1 message dropped, the oldest that waited: what reads the output is too slow
10:00:09 1234 messages dropped, the oldest that waited: what reads the output is too slow
`
	if diff := cmp.Diff(want, notes.String()); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	if out.Len() > 0 {
		t.Errorf("on stdout: %s", out)
	}
}

func TestViewerColours(t *testing.T) {
	v, out, notes := newTestViewer(tailFlags{format: "text"})
	v.coloured, v.noteColour = true, true
	v.show(failedEvent(t, 17))
	v.show(failedEvent(t, 19))
	const red = "10:00:00 ! \x1b[1;31mweb-01 nginx.service appeared, failed\x1b[0m\n"
	if diff := cmp.Diff(red+red, out.String()); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	if diff := cmp.Diff("10:00:09 \x1b[33mweb-01: event 18 was missed\x1b[0m\n", notes.String()); diff != "" {
		t.Error("notes, -want +got:\n" + diff)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestViewerEndsWithItsReader(t *testing.T) {
	v, _, _ := newTestViewer(tailFlags{format: "text"})
	v.out = brokenPipe{}
	if !v.show(failedEvent(t, 17)) {
		t.Error("it goes on")
	}
	if err := v.exit(nil); exitOf(err) != exitOwn || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("it ends with %v", err)
	}
}

package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc"
)

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriterFails(t *testing.T) {
	src := newPile("a", "b")
	gone := errors.New("broken pipe")
	err := NewWriter(failing{gone}).Run(t.Context(), src)
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"a lost"}, src.told()); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	src := newPile("a")
	ctx, cancel := context.WithCancel(t.Context())
	var wg conc.WaitGroup
	wg.Go(func() {
		if err := NewWriter(&out).Run(ctx, src); err != nil {
			t.Error(err)
		}
	})
	src.await(1)
	src.put(`<b> "quoted"`) // While it waits.
	src.await(2)
	cancel()
	wg.Wait()

	type line struct {
		Key  string          `json:"routing_key"`
		Body json.RawMessage `json:"body"`
	}
	var got []line
	for l := range strings.Lines(out.String()) {
		var v line
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		got = append(got, v)
	}
	want := []line{{"status.web.a", json.RawMessage(`{"host":"a"}`)}, {`status.web.<b> "quoted"`, json.RawMessage(`{"host":"<b> \"quoted\""}`)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

func TestWriterStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := newPile("a")
	if err := NewWriter(failing{errors.New("written")}).Run(ctx, src); err != nil {
		t.Error(err)
	}
	if got := src.told(); len(got) != 0 {
		t.Errorf("took and settled %q", got)
	}
}

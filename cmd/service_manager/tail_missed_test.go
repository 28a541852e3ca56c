package main

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

func event(epoch string, seq uint64) publish.Event {
	return publish.Event{Collector: "c", Epoch: epoch, Seq: seq, Host: publish.HostRef{Name: "web-01", Group: "web"}}
}

func status(seq uint64) publish.Status {
	return publish.Status{Collector: "c", Epoch: "e1", EventSeq: seq, Host: publish.HostRef{Name: "web-01", Group: "web"}}
}

func gap(seq, first, last uint64) publish.Event {
	e := event("e1", seq)
	e.Gap = &publish.GapInfo{FirstSeq: &first, LastSeq: &last}
	return e
}

func TestSequences(t *testing.T) {
	all := []string{"#"}
	other := event("e1", 40)
	other.Host.Name = "web-02"
	for name, test := range map[string]struct {
		keys   []string
		bodies []any
		want   []string
	}{
		"none":                   {all, []any{event("e1", 17), event("e1", 18), status(18), event("e1", 19)}, nil},
		"one":                    {all, []any{event("e1", 17), event("e1", 19)}, []string{"web-01: event 18 was missed"}},
		"several":                {all, []any{event("e1", 17), event("e1", 21), event("e1", 22)}, []string{"web-01: events 18..20 were missed"}},
		"a status tells":         {all, []any{event("e1", 17), status(20), event("e1", 21)}, []string{"web-01: events 18..20 were missed"}},
		"a status begins":        {all, []any{status(17), event("e1", 19)}, []string{"web-01: event 18 was missed"}},
		"a status lags":          {all, []any{event("e1", 18), status(17), event("e1", 19)}, nil},
		"statuses alone":         {[]string{"status.#", "event.db.*"}, []any{status(17), status(20)}, nil},
		"sent again":             {all, []any{event("e1", 17), event("e1", 18), event("e1", 17), event("e1", 19)}, nil},
		"a new state file":       {all, []any{event("e1", 17), event("e2", 1), event("e1", 30), event("e2", 2)}, nil},
		"missed of the new file": {all, []any{event("e1", 17), event("e2", 3)}, []string{"web-01: events 1..2 were missed"}},
		"hosts count alone":      {all, []any{event("e1", 17), other, event("e1", 18)}, nil},
		"a gap tells":            {all, []any{event("e1", 17), gap(21, 18, 20), event("e1", 22)}, nil},
		"a gap tells a part":     {all, []any{event("e1", 17), gap(21, 19, 20)}, []string{"web-01: events 18..20 were missed"}},
		"what is unknown":        {all, []any{nil, publish.Notice{}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			q := newSequences(test.keys)
			var got []string
			for _, b := range test.bodies {
				if note := q.note(b); note != "" {
					got = append(got, note)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
		})
	}
}

func TestRepeats(t *testing.T) {
	r := newRepeats()
	for i := range remembered + 1 {
		if id := fmt.Sprint(i); r.again(id) || !r.again(id) {
			t.Fatalf("%s is not told from its repetition", id)
		}
	}
	for range 2 {
		if r.again("") {
			t.Error("messages without an id are taken for repetitions")
		}
	}
	if r.again("0") || !r.again("2") || len(r.ids) != remembered {
		t.Errorf("%d remembered, not the last ones", len(r.ids))
	}
}

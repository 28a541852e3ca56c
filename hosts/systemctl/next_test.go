package systemctl

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestAnswerIsSharedWithTheOneBefore counts: of what has not changed nothing is made anew.
func TestAnswerIsSharedWithTheOneBefore(t *testing.T) { //nolint:paralleltest // It counts allocations.
	query, stdout := twentyUnits(t)
	first, err := query.Parse(stdout, nil)
	if err != nil {
		t.Fatal(err)
	}
	next := query.Next(first)
	parse := func(q Query) float64 {
		return testing.AllocsPerRun(10, func() {
			if _, err := q.Parse(stdout, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	fresh, shared := parse(query), parse(next)
	if units := float64(len(query.Units)); shared > units || fresh < 5*units {
		t.Errorf("%v allocations for the same answer, %v for a first one", shared, fresh)
	}
}

func TestAnswerDiffersFromTheOneBefore(t *testing.T) {
	t.Parallel()
	for _, version := range captured() {
		query := Query{Nonce: testNonce, Units: capturedUnits(), Limit: time.Second}
		text := answer(capture(t, version, "manager.txt"), capture(t, version, "units.txt"))
		first, err := query.Parse([]byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := query.Parse([]byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.NewReplacer("2026", "2027", "=1", "=21", "=no", "=yes", "active", "reloading", "State=running", "State=degraded",
			"Description=", "Description=New ", "InvocationID=", "InvocationID=0").Replace(text)
		want, err := query.Parse([]byte(changed), nil)
		if err != nil {
			t.Fatal(err)
		}
		query.Before = first
		got, err := query.Parse([]byte(changed), nil)
		if err != nil || !reflect.DeepEqual(got, want) || reflect.DeepEqual(got, first) {
			t.Errorf("systemd %s: %+v, %v, want %+v", version, got, err, want)
		}
		if !reflect.DeepEqual(first, kept) {
			t.Errorf("systemd %s: the answer before has changed to %+v", version, first)
		}
	}
}

func TestNextAsksTheSame(t *testing.T) {
	t.Parallel()
	for _, version := range []int{0, 219, 252} {
		query := Query{Nonce: testNonce, Units: capturedUnits(), Version: version, Limit: time.Second}.Next(Answer{}).Next(Answer{})
		query.Nonce, query.Limit = otherNonce, time.Minute
		same := Query{Nonce: otherNonce, Units: capturedUnits(), Version: version, Limit: time.Minute}
		for _, text := range []func(Query) (string, error){Query.Command, Query.Words} {
			got, err := text(query)
			if want, _ := text(same); err != nil || got != want || want == "" {
				t.Errorf("%s, %v, want %s", got, err, want)
			}
		}
		query.Nonce = "x"
		if _, err := query.Command(); err == nil {
			t.Error("a nonce that is none is taken")
		}
	}
	refused := Query{Nonce: testNonce, Units: []string{"-x"}, Limit: time.Second}.Next(Answer{})
	if _, err := refused.Command(); !errors.Is(err, ErrUnitName) {
		t.Errorf("a name that must not be sent is asked for again: %v", err)
	}
}

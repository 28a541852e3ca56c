package bench

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/sourcegraph/conc"

	"service_manager/hosts"
	"service_manager/inventory"
)

func TestSimulate(t *testing.T) {
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	var running conc.WaitGroup
	var ended error
	running.Go(func() { ended = Simulate(in, out) })
	ask := func(order, answer any) {
		t.Helper()
		if err := json.NewEncoder(orders).Encode(order); err != nil {
			t.Fatal(err)
		}
		if err := json.NewDecoder(answers).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
	var path string
	ask(assignment{Hosts: 10, Dir: t.TempDir(), Changes: 1000}, &path)
	inv, err := inventory.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var frozen, gone []string
	ask(trouble{Freeze: 2, Leave: 1}, &frozen)
	ask(trouble{Leave: 1}, &gone)
	want := map[hosts.Outcome]int{hosts.OK: 6, hosts.Timeout: 2, hosts.Unreachable: 2}
	got := map[hosts.Outcome]int{}
	pool := hosts.New(hosts.Config{})
	defer pool.Close()
	for _, h := range inv.Hosts {
		outcome := hosts.OK
		sick := strings.Contains(strings.Join(append(frozen, gone...), " "), h.Name)
		if sick { // The others may take their time.
			h.ConnectTimeout /= 10
		}
		if err := pool.Connect(t.Context(), h); err != nil {
			outcome = hosts.OutcomeOf(err)
		} else if _, err := pool.Poll(t.Context(), h); err != nil {
			t.Errorf("%s: %v", h.Name, err)
		}
		got[outcome]++
		if sick != (outcome != hosts.OK) {
			t.Errorf("%s: outcome %q; %v were said to hang or refuse, and %v to refuse", h.Name, outcome, frozen, gone)
		}
	}
	for outcome, n := range want {
		if got[outcome] != n {
			t.Errorf("%d hosts are %q, want %d", got[outcome], outcome, n)
		}
	}
	if err := orders.Close(); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	if ended != nil {
		t.Error(ended)
	}
}

func TestSimulateFails(t *testing.T) {
	for name, in := range map[string]string{
		"what is no assignment": "simulate!",
		"no folder":             `{"hosts": 1}`,
		"nothing":               "",
	} {
		if err := Simulate(strings.NewReader(in), io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

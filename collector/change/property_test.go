package change

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"service_manager/hosts"
	"service_manager/publish"
)

// A consumer believes the events, and checks that they fit to what it believes.
type consumer struct {
	t        *testing.T
	model    *model
	baseline *Baseline
	flapping Flapping

	host  *publish.EventState
	units map[string]*publish.EventState // By the name asked for.
	begun map[string]int                 // How often the unit had been started when that was told.
	told  map[string]int                 // Counts what has come.
}

func newConsumer(t *testing.T, roll dice) *consumer {
	t.Helper()
	flapping := Flapping{Burst: 1 + roll(6), Refill: time.Duration(1+roll(20)) * time.Second}
	return &consumer{
		t: t, model: newModel(roll), flapping: flapping, baseline: NewBaseline(State{}, flapping),
		units: map[string]*publish.EventState{}, begun: map[string]int{}, told: map[string]int{},
	}
}

// poll has one poll, of which the commit may fail.
func (c *consumer) poll(fails bool) {
	c.t.Helper()
	before := c.baseline.State()
	step := c.baseline.Compare(c.model.poll())
	c.same("the baseline after Compare", before, c.baseline.State())
	var stored []byte
	err := step.Commit(func(state []byte, _ []publish.Event) error {
		if fails {
			return errFull
		}
		stored = state
		return nil
	})
	switch {
	case err != nil && !fails:
		c.t.Fatal(err)
	case err != nil:
		c.same("the baseline after a commit that failed", before, c.baseline.State())
		return
	case stored == nil && len(step.Events) > 0:
		c.t.Fatalf("events were not stored: %v", step.Events)
	}
	c.checkStored(before, stored)
	for _, e := range step.Events {
		c.believe(before, e)
	}
	c.checkState()
}

// same fails the test if want and got differ. Only then it pays for cmp.
func (c *consumer) same(what string, want, got any) {
	c.t.Helper()
	if reflect.DeepEqual(want, got) {
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		c.t.Fatal(what + ": -want +got:\n" + diff)
	}
}

// checkStored checks that what is stored is the baseline, or that there was nothing to store.
func (c *consumer) checkStored(before State, stored []byte) {
	c.t.Helper()
	want := before
	if stored != nil {
		var err error
		if want, err = Decode(stored); err != nil {
			c.t.Fatal(err)
		}
	}
	c.same("the baseline, and what is stored", want, c.baseline.State())
}

// believe takes in an event, which must begin where the last one has ended.
func (c *consumer) believe(committed State, e publish.Event) {
	c.t.Helper()
	if reflect.DeepEqual(e.Before, e.After) && e.Event != publish.HostRebooted {
		c.t.Fatalf("nothing has changed in %+v", e)
	}
	c.count(e)
	if e.Unit == nil {
		c.same(e.Event+": before, and what is committed", committed.told(), e.Before)
		c.host = e.After
		return
	}
	key := *e.Unit
	if name := c.model.units[0].asked; key == "real-1.service" || key == "real-2.service" {
		key = name
	}
	c.same(e.Event+" of "+key+": before, and after of the last event", c.units[key], e.Before)
	c.units[key] = e.After
	if begun := c.model.begun(key); e.Restarts > begun-c.begun[key] {
		c.t.Fatalf("%s: %d were: %s", key, begun-c.begun[key], line(e))
	}
	c.begun[key] = c.model.begun(key)
}

func (c *consumer) count(e publish.Event) {
	c.told[e.Event]++
	for what, is := range map[string]bool{
		"suppressed": e.Suppressed > 0, "null before": e.Before == nil, "null after": e.After == nil,
	} {
		if is {
			c.told[what]++
		}
	}
}

// checkState compares what the events have said with what is committed. What comes into sight, and what leaves, does so without events.
func (c *consumer) checkState() {
	c.t.Helper()
	state := c.baseline.State()
	if c.host == nil {
		c.host = state.told()
	}
	c.same("the host, as told and as committed", c.host, state.told())
	for key := range c.units {
		if _, found := find(state.Units, key); !found {
			delete(c.units, key)
		}
	}
	for i := range state.Units {
		unit := &state.Units[i]
		told, seen := c.units[unit.key()]
		if !seen {
			c.units[unit.key()], c.begun[unit.key()] = unit.state(), c.model.begun(unit.key())
			continue
		}
		c.same(unit.key()+", as told and as committed", told, unit.state())
	}
}

// drain waits until all buckets are full and has a poll, which must tell everything.
func (c *consumer) drain() {
	c.t.Helper()
	c.model.now = c.model.now.Add(time.Duration(c.flapping.burst()) * c.flapping.refill())
	c.model.outcome = hosts.OK
	c.poll(false)
	snapshot := c.model.poll().Snapshot
	state := c.baseline.State()
	for i := range snapshot.Units {
		now := unitOf(&snapshot.Units[i])
		at, found := find(state.Units, now.key())
		if !found || state.Units[at] != now && (state.Units[at].listed() || !now.gone()) {
			c.t.Fatalf("%s is told as %+v, found %v, and is %+v", now.key(), state.Units, found, now)
		}
	}
	if state.Outcome != hosts.OK || state.BootID != snapshot.BootID || c.host.Host.Outcome != "ok" {
		c.t.Fatalf("outcome %s, boot %s", state.Outcome, state.BootID)
	}
}

// restart starts the collector again.
func (c *consumer) restart() {
	c.t.Helper()
	data, err := c.baseline.State().Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	state, err := Decode(data)
	if err != nil {
		state = State{} // Before the first commit.
	}
	c.baseline = NewBaseline(state, c.flapping)
}

// watch has polls of a host that lives, until the dice have no more.
func (c *consumer) watch(roll dice, more func() bool) {
	c.t.Helper()
	c.poll(false)
	for more() {
		c.model.now = c.model.now.Add(time.Duration(roll(4)) * time.Second)
		for range roll(5) {
			c.model.live()
		}
		c.poll(roll(8) == 0)
		switch roll(60) {
		case 0:
			c.restart()
		case 1:
			c.drain()
		}
	}
	c.drain()
}

// TestEventsGiveTheLastState is the promise to a consumer: whatever happens to a host, all events applied to the first committed state
// give the last one, and say nothing that was not so.
func TestEventsGiveTheLastState(t *testing.T) {
	t.Parallel()
	told := make(map[string]int)
	for seed := range uint64(100) {
		roll := rand.New(rand.NewPCG(seed, 0)).IntN
		c := newConsumer(t, roll)
		polls := 0
		c.watch(roll, func() bool { polls++; return polls <= 150 })
		for event, times := range c.told {
			told[event] += times
		}
	}
	for _, event := range []string{
		publish.HostUnreachable, publish.HostKeyChanged, publish.HostRecovered, publish.HostRebooted,
		publish.UnitMissing, publish.UnitAppeared, publish.UnitFailed, publish.UnitRecovered, publish.UnitRestarted, publish.UnitChanged,
		"suppressed", "null before", "null after",
	} {
		if told[event] < 20 {
			t.Errorf("%s was told %d times: the model has too few of what makes it", event, told[event])
		}
	}
}

// FuzzEvents is the same with what a fuzzer comes up with.
func FuzzEvents(f *testing.F) {
	const longest = 200 // Makes about 20 polls.
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, longest)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), longest)]
		roll := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			rolled := int(data[0]) % n
			data = data[1:]
			return rolled
		}
		newConsumer(t, roll).watch(roll, func() bool { return len(data) > 0 })
	})
}

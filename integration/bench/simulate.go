package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/integration/fleet"
)

const (
	// seed makes what happens on the simulated hosts the same in each run.
	seed = 1
	// never is longer than any run. Incidents come by command, at a set rate; else some would take hosts away. Timers are as rare then.
	never = 1000 * time.Hour
	// changedUnit is a service that every simulated host has.
	changedUnit = "mount_controller.service"
)

// An assignment says what to simulate.
type assignment struct {
	Hosts   int           `json:"hosts"`
	After   int           `json:"after"` // As in [fleet.Config].
	Dir     string        `json:"dir"`
	Mode    string        `json:"mode"` // Likewise.
	Units   int           `json:"units"`
	Latency time.Duration `json:"latency"`
	Changes float64       `json:"changes"` // Services that crash and are restarted, per second, on all hosts together.
}

// A trouble is what befalls the hosts, each at most one of it.
type trouble struct {
	Freeze int `json:"freeze"` // How many hang from now on: connections stand, and nothing is answered.
	Leave  int `json:"leave"`  // How many refuse connections from now on.
}

// Simulate simulates hosts until in ends. From there it reads an assignment and then any number of troubles, each a JSON value; to out it
// writes the path of the inventory when all hosts can be reached and then, for each trouble, the names of those that it befell.
func Simulate(in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var a assignment
	if err := orders.Decode(&a); err != nil {
		return fmt.Errorf("reading what to simulate: %w", err)
	}
	f, err := fleet.Start(fleet.Config{Hosts: a.Hosts, After: a.After, Seed: seed, Dir: a.Dir, Pace: never, Mode: a.Mode, Units: a.Units, Latency: a.Latency})
	if err != nil {
		return err
	}
	defer f.Close()
	if err := answers.Encode(f.InventoryPath()); err != nil {
		return err
	}
	s := simulation{fleet: f, random: rand.New(rand.NewPCG(seed, 0)), stop: make(chan struct{})} //nolint:gosec // G404: to be repeated.
	for _, h := range f.States() {
		s.hosts = append(s.hosts, h.Name)
	}
	var changing conc.WaitGroup
	defer changing.Wait()
	defer close(s.stop)
	changing.Go(func() { s.change(a.Changes) })
	return s.obey(orders, answers)
}

// A simulation is hosts to which things happen.
type simulation struct {
	fleet  *fleet.Fleet
	hosts  []string
	random *rand.Rand // Of the goroutine that changes units.
	stop   chan struct{}
}

// change has services crash, on one host after the other, at random.
func (s simulation) change(perSecond float64) {
	if perSecond <= 0 {
		return
	}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			_, _ = s.fleet.RestartUnit(s.hosts[s.random.IntN(len(s.hosts))], changedUnit) // Every host has it.
		}
	}
}

// obey lets troubles befall hosts spread over the fleet, until there are no more orders.
func (s simulation) obey(orders *json.Decoder, answers *json.Encoder) error {
	// Not in the order of the inventory, in which they come group by group.
	well := slices.Clone(s.hosts)
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(well), func(i, j int) { well[i], well[j] = well[j], well[i] }) //nolint:gosec // G404: as above.
	for {
		var t trouble
		err := orders.Decode(&t)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what is to happen: %w", err)
		}
		sick := well[:t.Freeze+t.Leave]
		well = well[len(sick):]
		for i, host := range sick {
			befall := s.fleet.Freeze
			if i >= t.Freeze {
				befall = s.fleet.Leave
			}
			if _, err := befall(host); err != nil {
				return err
			}
		}
		if err := answers.Encode(sick); err != nil {
			return err
		}
	}
}

package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/hosts/crew"
	"service_manager/hosts/sshtest"
)

// Config configures a [Fleet].
type Config struct {
	// Hosts is how many hosts there are. 0 means 5.
	Hosts int
	// After is how many hosts of each group another fleet has, whose names then go before those of this one.
	After int
	// Seed makes the course of events repeatable; the times of day are those of the start. 0 means a random one.
	Seed uint64
	// Dir is where the user key, known_hosts and inventory.toml are written, readable for their owner only. It is made if
	// need be. Required. What is in it stays there after Close.
	Dir string
	// Pace is how often, on average, a host has an incident. 0 means 20 s or, of more than five hosts, as often as makes one incident in 4 s
	// for all of them. With a slower pace timers elapse more seldom, too, and fewer of their services fail.
	Pace time.Duration
	// Units is how many units of each host are watched, at least. What its role lacks are services, sockets and mounts that nothing happens to
	// but what they use. 0 means those of its role, 5 or 6.
	Units int
	// Mode is how the inventory has the hosts asked: inventory.ModeExec, or inventory.ModeStream. Empty means as by default.
	Mode string
	// Steady says that nothing ever changes but by command, and no host ever goes away.
	Steady bool
	// Broker is the URL of a broker for the inventory. Empty means that it names none.
	Broker string
	// Started, where set, is called after each host that has been started.
	Started func()
	// Latency is how long each answer takes.
	Latency time.Duration
	// Served, where set, is called when an answer to a poll has been written to the last byte: with the version that the host had
	// (see HostState), and when the poll came in. It is called by many goroutines.
	Served func(hostName string, version int, asked time.Time)
}

// A Fleet is a number of simulated hosts that answer until it is closed. It is safe for concurrent use.
type Fleet struct {
	inventory string
	stations  []*station
	served    func(hostName string, version int, asked time.Time)
	latency   time.Duration
	work      *crew.Crew      // The sessions.
	ctx       context.Context //nolint:containedctx // It is the fleet's lifetime, which no caller has.
	stop      context.CancelFunc
	returning conc.WaitGroup // hosts that are away, and the ends of standard inputs
	buffers   sync.Pool      // of *[]byte, for answers
}

// Start starts the hosts, and returns when all of them can be reached.
func Start(config Config) (*Fleet, error) {
	switch {
	case config.Dir == "":
		return nil, errors.New("fleet: no folder for its files")
	case config.Hosts < 0 || config.After < 0 || config.Units < 0 || config.Pace < 0 || config.Latency < 0:
		return nil, fmt.Errorf("fleet: %d hosts after %d, %d units on each, an incident every %v, answers that take %v: not possible",
			config.Hosts, config.After, config.Units, config.Pace, config.Latency)
	}
	config.Hosts = cmp.Or(config.Hosts, 5)
	config.Seed = cmp.Or(config.Seed, rand.Uint64()) //nolint:gosec // G404: not a secret.
	config.Pace = cmp.Or(config.Pace, paceOf(config.Hosts))

	ctx, stop := context.WithCancel(context.Background())
	f := &Fleet{ctx: ctx, stop: stop, served: config.Served, latency: config.Latency, work: crew.New()}
	if err := f.start(config); err != nil {
		f.Close()
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return f, nil
}

func (f *Fleet) start(config Config) error {
	privateKey, userKey, err := sshtest.NewKey()
	if err != nil {
		return fmt.Errorf("making a user key: %w", err)
	}
	groups := groups()
	for i := range groups {
		groups[i].fillUp(config.Units)
	}
	for _, h := range newHosts(config, &groups, time.Now()) {
		s := &station{fleet: f, host: h}
		if err := s.start(userKey.PublicKey()); err != nil {
			return fmt.Errorf("starting the SSH server of %s: %w", h.name, err)
		}
		f.stations = append(f.stations, s)
		if config.Started != nil {
			config.Started()
		}
	}
	f.inventory, err = writeFiles(config, privateKey, f.stations)
	return err
}

// newHosts makes the hosts, group by group.
func newHosts(config Config, groups *[roleCount]group, start time.Time) []*host {
	start = start.Truncate(time.Microsecond)
	rolesInTurn := [...]int{roleWeb, roleWeb, roleDB, roleCache, roleWorker}
	var counts [roleCount]int
	for i := range config.Hosts {
		counts[rolesInTurn[i%len(rolesInTurn)]]++
	}
	width := max(2, len(strconv.Itoa(counts[roleWeb])))
	all := make([]*host, 0, config.Hosts)
	for role := range groups {
		for number := range counts[role] {
			h := newHost(config, &groups[role], len(all), config.After+number+1, width, start)
			h.mute = role == roleDB && number == counts[role]-1
			all = append(all, h)
		}
	}
	return all
}

// InventoryPath is the inventory of this fleet. Its hosts can be reached only while the fleet runs.
func (f *Fleet) InventoryPath() string { return f.inventory }

// Close ends all hosts and waits for that.
func (f *Fleet) Close() {
	f.stop()
	for _, s := range f.stations {
		s.server.Close()
	}
	f.returning.Wait() // Behind them, since a connection may send a host away.
	f.work.Wait()
}

func (f *Fleet) buffer() *[]byte {
	if buffer, ok := f.buffers.Get().(*[]byte); ok {
		return buffer
	}
	return new([]byte)
}

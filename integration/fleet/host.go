package fleet

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// An outage is why a host does not answer.
type outage uint8

const (
	present outage = iota
	frozen         // TCP connections stand, and nothing else happens
	gone           // nothing listens; the host itself runs on
	rebooting

	outageCount = 3
)

// A host is a pure state machine over time. It is not safe for concurrent use.
type host struct {
	name    string
	group   *group
	systemd string // its version as systemd prints it
	index   int    // in the fleet

	random *rand.Rand
	pace   time.Duration
	ease   int // by how much rarer than on one of five hosts things happen
	steady bool
	start  time.Time // of the simulation

	reachableUntil time.Time // no outage before

	booted       time.Time
	bootID       string
	formerBootID string
	units        []*unit

	voiceSeed uint64
	mute      bool // its account may not read the journal

	turn       int       // in the rotation of incidents
	incidentAt time.Time // the next one
	out        outage
	until      time.Time // the end of out
	outages    int       // how many there have been

	version int // how many commands have changed it
}

// newHost makes a host that has been up for days when the simulation starts.
func newHost(config Config, g *group, index, number, width int, start time.Time) *host {
	h := &host{
		name:    fmt.Sprintf("%s-%0*d", g.name, width, number),
		group:   g,
		systemd: systemdVersion(index),
		index:   index,
		random:  rand.New(rand.NewPCG(config.Seed, uint64(index))), //nolint:gosec // G404, G115: a simulation that can be repeated.
		pace:    config.Pace,
		ease:    max(1, int(config.Pace/busyPace)),
		start:   start,
		turn:    firstTurn(index),

		voiceSeed: scramble(config.Seed, uint64(index), 2), //nolint:gosec // G115: not negative.

		reachableUntil: start.Add(time.Duration(config.Hosts) * 10 * time.Millisecond),
	}
	specs := g.specs
	if lacksRare(number, config.Hosts) {
		specs = slices.DeleteFunc(slices.Clone(specs), func(s *spec) bool { return s.rare })
	}
	for _, s := range specs {
		h.units = append(h.units, h.newUnit(s))
	}
	for _, u := range h.units {
		if u.triggers != "" {
			u.partner = h.find(u.triggers)
			u.partner.partner = u
		}
	}
	h.settle(config.Hosts)
	if h.steady = config.Steady; !h.steady {
		h.advance(start)
	}
	return h
}

// busyPace is that of a fleet of five, in which there is always something to see.
const busyPace = 20 * time.Second

// paceOf is that of a fleet in which a person can follow what happens.
func paceOf(hosts int) time.Duration { return max(busyPace, time.Duration(hosts)*4*time.Second) }

// lacksRare says whether the host of that number in its group is without what is rare: in a large fleet few are, so that they stand out.
func lacksRare(number, hosts int) bool {
	if hosts > manyInTrouble {
		return number%100 == 1
	}
	return number%3 == 1
}

// manyInTrouble are hosts of which a fixed share in trouble would be more than a person wants to look at.
const manyInTrouble = 30

// newUnit makes a unit of the host. Where things happen rarely, its timers elapse so, and not on all hosts at once.
func (h *host) newUnit(s *spec) *unit {
	u := &unit{spec: s, phase: h.random.Float64() * 2 * math.Pi}
	if s.kind == timer && h.ease > 1 {
		const longest = 4 * time.Hour // Every host has been up for longer than twice of it.
		changed := *s
		changed.every = min(s.every*time.Duration(h.ease), longest)
		u.spec = &changed
		u.delay = time.Duration(u.phase / (2 * math.Pi) * float64(u.every)).Truncate(time.Microsecond)
	}
	return u
}

// systemdVersion is that of Debian 12, Debian 13, Debian 11 and Ubuntu 24.04 in turn.
func systemdVersion(index int) string {
	return [...]string{"252.39-1~deb12u1", "257.13-1~deb13u1", "247.3-7+deb11u7", "255.4-1ubuntu8.10"}[index%4]
}

// settle lives through the past that shows at the start: the boot, the last run of each timer, and on the first of so many hosts, and on
// few others, a failure.
func (h *host) settle(hosts int) {
	soonest := max(min(h.pace, busyPace)/4, h.pace/4/time.Duration(hosts))
	h.incidentAt = h.start.Add(h.between(soonest, h.pace*5/4))
	h.boot(h.start.Add(-time.Duration(9+h.random.IntN(40*24)) * time.Hour))
	h.bringUp(h.booted.Add(8 * time.Second))
	for _, u := range h.units {
		if u.kind == timer {
			u.step = rest
		}
	}
	h.advance(h.booted.Add(time.Minute))
	for _, u := range h.units {
		if u.kind == timer {
			last := h.start.Add(-u.delay).Truncate(u.every).Add(u.delay - u.every)
			u.then(elapse, last)
			h.advance(last.Add(10 * time.Second))
		}
	}
	if u := h.find(certbot); u != nil && (h.index == 0 || h.random.IntN(max(20, hosts/12)) == 0) {
		at := h.start.Add(-h.between(10*time.Minute, 50*time.Minute))
		h.launch(u, at)
		h.fail(u, at.Add(4*time.Second), cldExited, 1)
		u.then(begin, h.start.Add(h.between(time.Minute, 2*time.Minute)))
	}
}

// find returns the unit of that name, which may be an alias, or nil.
func (h *host) find(name string) *unit {
	for _, u := range h.units {
		if u.name == name || u.alias == name {
			return u
		}
	}
	return nil
}

// advance lives through what became due since the last call. Calls with earlier times change nothing.
func (h *host) advance(now time.Time) {
	if h.steady {
		return
	}
	for at := h.nextDue(); !at.After(now); at = h.nextDue() {
		h.happen(at)
	}
}

// nextDue is when the next thing happens.
func (h *host) nextDue() time.Time {
	at := h.incidentAt
	if h.out != present && h.until.Before(at) {
		at = h.until
	}
	for _, u := range h.units {
		if u.step != rest && u.due.Before(at) {
			at = u.due
		}
	}
	return at
}

// happen does the one thing that is due at that moment.
func (h *host) happen(at time.Time) {
	if h.out != present && h.until.Equal(at) {
		h.comeBack(at)
		return
	}
	for _, u := range h.units {
		if u.step != rest && u.due.Equal(at) {
			h.proceed(u, at)
			return
		}
	}
	h.incident(at)
	h.incidentAt = at.Add(h.between(h.pace/2, h.pace*3/2))
}

// goOut begins an outage, the next of the three kinds.
func (h *host) goOut(at time.Time) {
	h.out = present + 1 + outage((h.index+h.outages)%outageCount) //nolint:gosec // G115: below 3.
	h.outages++
	switch h.out {
	case frozen:
		h.until = at.Add(h.between(6*time.Second, 12*time.Second))
	case rebooting:
		h.until = at.Add(h.between(12*time.Second, 20*time.Second))
		for _, u := range h.units {
			u.reset(at)
		}
	default:
		h.until = at.Add(h.between(8*time.Second, 16*time.Second))
	}
}

func (h *host) comeBack(at time.Time) {
	if h.out == rebooting {
		h.boot(at.Add(-8 * time.Second))
		h.bringUp(at)
	}
	h.out = present
}

// boot starts the kernel.
func (h *host) boot(at time.Time) {
	h.booted, h.formerBootID = at, h.bootID
	id := h.id()
	h.bootID = id[:8] + "-" + id[8:12] + "-4" + id[13:16] + "-a" + id[17:20] + "-" + id[20:]
	for _, u := range h.units {
		u.reset(at)
	}
}

// bringUp starts what is enabled, the services in the seconds that follow.
func (h *host) bringUp(at time.Time) {
	for _, u := range h.units {
		switch {
		case u.load != "loaded" || u.kind == oneshot:
		case u.kind == service:
			u.then(begin, at.Add(h.between(0, 3*time.Second)))
		default:
			u.launch(at, h.id(), 0)
			h.bringUpPassive(u, at)
		}
	}
}

func (h *host) bringUpPassive(u *unit, at time.Time) {
	switch u.kind {
	case timer:
		u.enter(at, subWaiting)
		u.arm(at)
	case socket:
		u.enter(at, subListening)
	default:
		u.enter(at, subMounted)
	}
}

// userspace is when the kernel started PID 1.
func (h *host) userspace() time.Time { return h.booted.Add(4216 * time.Millisecond) }

// systemState is the manager's own state.
func (h *host) systemState(at time.Time) string {
	switch {
	case at.Before(h.booted.Add(12 * time.Second)):
		return "starting"
	case h.countUnits(failed) > 0:
		return "degraded"
	}
	return "running"
}

func (h *host) countUnits(state string) int {
	n := 0
	for _, u := range h.units {
		if activeState(u.sub) == state {
			n++
		}
	}
	return n
}

// jobs is how many jobs are queued: what starts, stops or reloads, but not what waits for an automatic restart.
func (h *host) jobs() int {
	n := 0
	for _, u := range h.units {
		switch u.sub {
		case subStart, subStopSigterm, subReload:
			n++
		}
	}
	return n
}

// between is a random time within the bounds, in whole microseconds as systemd's clocks are.
func (h *host) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(h.random.Int64N(int64(most-least)+1))).Truncate(time.Microsecond)
}

// id is a random 128-bit number in hex.
func (h *host) id() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], h.random.Uint64())
	binary.BigEndian.PutUint64(b[8:], h.random.Uint64())
	return hex.EncodeToString(b[:])
}

func (h *host) pid() int { return 400 + h.random.IntN(60000) }

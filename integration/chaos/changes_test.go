//go:build integration

package chaos

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"service_manager/integration/fleet"
)

const (
	// ration and refill keep below what the program tells of one unit: 6 changes in a row, and one more every 10 s.
	ration = 5
	refill = 11 * time.Second
	// flapSettles is how long a unit that flaps has to stay as it is until that is told: until its ration has one again, and a poll.
	flapSettles = 12 * time.Second
)

// A changer changes what is on the hosts, at random, and tells an oracle of it. It has the fleet for itself.
type changer struct {
	t      *testing.T
	fleet  *fleet.Fleet
	oracle *oracle
	random *rand.Rand

	units  []*changing
	hosts  []*changingHost
	hostAt time.Time // when the next host reboots or leaves
}

// A changingHost reboots and leaves, all in all rarely.
type changingHost struct {
	name     string
	returns  time.Time // zero while it is there
	restedAt time.Time // when it may do something again
}

// A way is how a unit changes.
type way int

const (
	fails way = iota // fails and is started, which is always told
	paced            // any other change, as often as its ration allows
	flaps            // restarts more often than can be told, in bursts
)

// A changing unit is one service.
type changing struct {
	host, name string
	way        way
	due        time.Time
	down       bool // failed or stopped
	tokens     float64
	filled     time.Time // when tokens was right
	burst      int       // changes to come of a burst
}

// newChanger takes the services that run. The first of them flaps.
func newChanger(t *testing.T, f *fleet.Fleet, o *oracle, random *rand.Rand) *changer {
	t.Helper()
	c := &changer{t: t, fleet: f, oracle: o, random: random}
	now := time.Now()
	for _, h := range f.States() {
		o.changed(now, h)
		c.hosts = append(c.hosts, &changingHost{name: h.Name})
		for _, u := range h.Units {
			stem, isService := strings.CutSuffix(u.Name, ".service")
			if !isService || u.ActiveState != "active" {
				continue
			}
			m := &changing{host: h.Name, name: u.Name, tokens: ration, filled: now, way: fails, due: now.Add(c.between(0, 6*time.Second))}
			hasSocket := slices.ContainsFunc(h.Units, func(u fleet.UnitState) bool { return u.Name == stem+".socket" })
			switch {
			case len(c.units) == 0:
				m.way = flaps
				o.flaps(m.host, m.name, flapSettles)
			case hasSocket || random.IntN(3) == 0: // A socket changes with its service.
				m.way = paced
			}
			c.units = append(c.units, m)
		}
	}
	return c
}

// run changes units and hosts until it is stopped. Then all hosts are there.
func (c *changer) run(stopped <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	c.hostAt = time.Now().Add(c.between(3*time.Second, 6*time.Second))
	for {
		select {
		case <-stopped:
			c.letAllReturn()
			return
		case now := <-tick.C:
			for _, u := range c.units {
				if now.After(u.due) {
					c.change(u, now)
				}
			}
			c.changeHosts(now)
		}
	}
}

func (c *changer) change(u *changing, now time.Time) {
	u.fill(now)
	switch u.way {
	case fails:
		if u.down {
			c.command(c.fleet.StartUnit, u)
		} else {
			c.command(c.fleet.FailUnit, u)
		}
		u.down = !u.down
		u.due = now.Add(c.between(2*time.Second, 5*time.Second))
	case paced:
		u.due = now.Add(c.between(0, 2*refill))
		if u.tokens < 1 {
			return
		}
		u.tokens--
		c.changePaced(u)
	case flaps:
		if u.burst == 0 {
			u.burst = 10 + c.random.IntN(20)
		}
		c.command(c.fleet.StartUnit, u)
		u.due = now.Add(c.between(50*time.Millisecond, 400*time.Millisecond))
		if u.burst--; u.burst == 0 {
			u.due = now.Add(c.between(flapSettles, 2*flapSettles))
		}
	}
}

func (c *changer) changePaced(u *changing) {
	if u.down {
		u.down = false
		c.command(c.fleet.StartUnit, u)
		return
	}
	switch c.random.IntN(4) {
	case 0:
		c.command(c.fleet.StartUnit, u)
	case 1:
		c.command(c.fleet.RestartUnit, u)
	case 2:
		c.command(c.fleet.EditUnit, u)
	case 3:
		u.down = true
		c.command(c.fleet.StopUnit, u)
	}
}

// changeHosts lets hosts return, and now and then one reboot or leave.
func (c *changer) changeHosts(now time.Time) {
	for _, h := range c.hosts {
		if !h.returns.IsZero() && now.After(h.returns) {
			_ = c.letReturn(h, now) // Else later.
		}
	}
	if now.Before(c.hostAt) {
		return
	}
	c.hostAt = now.Add(c.between(4*time.Second, 8*time.Second))
	h := c.hosts[c.random.IntN(len(c.hosts))]
	if now.Before(h.restedAt) || !h.returns.IsZero() {
		return
	}
	h.restedAt = now.Add(time.Minute)
	if c.random.IntN(2) == 0 {
		c.leave(h, now)
		return
	}
	c.reboot(h, now)
}

func (c *changer) leave(h *changingHost, now time.Time) {
	if _, err := c.fleet.Leave(h.name); err != nil {
		c.t.Error(err)
	}
	c.oracle.left(time.Now(), h.name)
	h.returns = now.Add(c.between(5*time.Second, 7*time.Second))
}

// letReturn lets a host return, later where another program has taken its port meanwhile.
func (c *changer) letReturn(h *changingHost, now time.Time) error {
	if _, err := c.fleet.Return(h.name); err != nil {
		h.returns = now.Add(time.Second)
		return err
	}
	c.oracle.returned(time.Now(), h.name)
	h.returns = time.Time{}
	return nil
}

func (c *changer) letAllReturn() {
	deadline := time.Now().Add(patience)
	for _, h := range c.hosts {
		for !h.returns.IsZero() {
			err := c.letReturn(h, time.Now())
			if err != nil && time.Now().After(deadline) {
				c.t.Error(err)
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// reboot reboots a host whose units all have a change left.
func (c *changer) reboot(h *changingHost, now time.Time) {
	var units []*changing
	for _, u := range c.units {
		if u.host != h.name {
			continue
		}
		if u.fill(now); u.tokens < 1 {
			return
		}
		units = append(units, u)
	}
	for _, u := range units {
		u.tokens--
		u.down = false
	}
	state, err := c.fleet.Reboot(h.name)
	c.record(state, err)
}

func (c *changer) command(do func(hostName, unitName string) (fleet.HostState, error), u *changing) {
	state, err := do(u.host, u.name)
	c.record(state, err)
}

func (c *changer) record(state fleet.HostState, err error) {
	if err != nil {
		c.t.Error(err)
		return
	}
	c.oracle.changed(time.Now(), state)
}

func (c *changer) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.random.Int64N(int64(most-least)))
}

// fill gives a unit what has come back of its ration.
func (u *changing) fill(now time.Time) {
	u.tokens = min(ration, u.tokens+now.Sub(u.filled).Seconds()/refill.Seconds())
	u.filled = now
}

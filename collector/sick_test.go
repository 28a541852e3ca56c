package collector_test

import (
	"testing"
	"testing/synctest"
	"time"

	"service_manager/collector"
	"service_manager/inventory"
)

// A cold start, when half of the hosts hang in the handshake: the others are read as fast as the dial rate allows.
func TestColdStartWithHalfTheFleetHung(t *testing.T) {
	for _, test := range []struct {
		hosts, rate int
		jumps       []string
		within      time.Duration
	}{
		{10_000, 200, []string{"a", "b", "c", "d"}, 50*time.Second + 500*time.Millisecond},
		{2_000, 200, nil, 10*time.Second + 500*time.Millisecond},
		// Above 400 per second those that hang take all places for them: 1,088 in the 5 s that each takes.
		{4_000, 1000, nil, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			all, well, _ := simulated(test.hosts)
			behind(all, test.jumps...)
			s := newSimulation(t, func(host string, _ time.Duration) condition {
				if isSick(host) {
					return frozen
				}
				return healthy
			})
			s.run(collector.Config{Hosts: all, DialRate: test.rate}, test.within+time.Second)
			if got := s.firstRead(well); got > test.within {
				t.Errorf("%d hosts, %d dials per second: all healthy hosts were read after %v, want %v", test.hosts, test.rate, got, test.within)
			}
			if s.dials.youngPeak > 64 || s.dials.peak > 64*17 {
				t.Errorf("up to %d dials, %d of them young; want 1,088 and 64 at most", s.dials.peak, s.dials.youngPeak)
			}
		})
	}
}

// Half of the fleet goes from well to sick in one moment, in each way there is. The other half's data stays young, at that moment too.
// The fleet and the places are a tenth of those of 10,000 hosts.
func TestHalfTheFleetFallsSickAtOnce(t *testing.T) {
	const falls, end = 30 * time.Second, 75 * time.Second
	for _, kind := range []condition{refusing, vanished, frozen, hungPID1, noAccount} {
		synctest.Test(t, func(t *testing.T) {
			all, well, sick := simulated(1000)
			s := newSimulation(t, func(host string, at time.Duration) condition {
				if isSick(host) && at > falls {
					return kind
				}
				return healthy
			})
			config := collector.Config{Hosts: all, Parallel: 512 / 10, Dials: 64 / 10, DialRate: 100}
			s.run(config, end)
			for _, from := range []time.Duration{falls, falls + 15*time.Second, falls + 30*time.Second} {
				ages := s.ages(well, from, from+15*time.Second)
				if p99 := quantile(ages, 0.99); p99 > 15*time.Second || len(ages) != 30*len(well) {
					t.Errorf("condition %d, %v after the fall: the healthy hosts' data is up to %v old (p99 of %d samples)",
						kind, from-falls, p99, len(ages))
				}
			}
			if s.polls.peak > config.Parallel*9 || s.dials.peak > config.Dials*17 || s.dials.youngPeak > config.Dials {
				t.Errorf("condition %d: up to %d polls, and %d dials, %d of them young", kind, s.polls.peak, s.dials.peak, s.dials.youngPeak)
			}
			// A status for each turn: at the fall it may be that of a poll which took all its time, or of the next turn.
			if got := s.silence(sick, 0, end); got > 20*time.Second {
				t.Errorf("condition %d: a host without a status for %v", kind, got)
			}
			if got := s.silence(sick, falls+20*time.Second, end); got > 10*time.Second+100*time.Millisecond {
				t.Errorf("condition %d: a sick host without a status for %v", kind, got)
			}
		})
	}
}

// Hosts in all sorts of trouble, which come and go, behind four jump hosts of which one is down for a while.
func TestSickFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const end = 4 * time.Minute
		all, well, sick := simulated(2000)
		behind(all, "a", "a", "b", "b", "c", "c", "d", "d")
		way := map[string]string{}
		var unaffected []inventory.Host
		for _, h := range all {
			way[h.Name] = h.Via.Name
			if !isSick(h.Name) && h.Via.Name != "d" {
				unaffected = append(unaffected, h)
			}
		}
		kinds := []condition{refusing, vanished, frozen, hungPID1, noAccount, healthy}
		s := newSimulation(t, func(host string, at time.Duration) condition {
			switch down := at > time.Minute && at < 2*time.Minute; {
			case way[host] == "d" && down:
				return vanished
			case isSick(host): // Another trouble every minute.
				return kinds[(int(host[len(host)-1]/2+host[len(host)-2])+int(at/time.Minute))%len(kinds)]
			}
			return healthy
		})
		config := collector.Config{Hosts: all, Parallel: 512 / 5, Dials: 64 / 5, DialsPerJump: 4}
		s.run(config, end)
		if ages := s.ages(unaffected, 20*time.Second, end); quantile(ages, 0.99) > 15*time.Second || len(ages) < 300_000 {
			t.Errorf("the healthy hosts' data is up to %v old (p99 of %d samples)", quantile(ages, 0.99), len(ages))
		}
		if ages := s.ages(well, 3*time.Minute, end); quantile(ages, 0.99) > 15*time.Second {
			t.Errorf("a minute after the jump host is back, data is up to %v old (p99)", quantile(ages, 0.99))
		}
		if got := s.silence(all, 0, end); got > 20*time.Second {
			t.Errorf("a host without a status for %v", got)
		}
		for jump, dials := range s.perJump {
			if dials.youngPeak > 4 || dials.peak > 4*17 {
				t.Errorf("up to %d dials by jump host %s, %d of them young; want 68 and 4 at most", dials.peak, jump, dials.youngPeak)
			}
		}
		if s.dials.youngPeak > config.Dials || s.dials.peak > config.Dials*17 || s.polls.peak > config.Parallel*9 || s.dialRate() > 211 {
			t.Errorf("up to %d dials, %d of them young, %d begun within a second, and %d polls",
				s.dials.peak, s.dials.youngPeak, s.dialRate(), s.polls.peak)
		}
		if len(sick) != 1000 || len(s.perJump) != 4 {
			t.Errorf("%d sick hosts, %d jump hosts", len(sick), len(s.perJump))
		}
	})
}

// A jump host breaks the connections of all hosts behind it, and is down for a while. They come back soon, but not all at once; the
// others do not notice.
func TestReconnectStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const breaks, back, end = time.Minute, 80 * time.Second, 2 * time.Minute
		all, _, _ := simulated(2000)
		behind(all[:1000], "a")
		s := newSimulation(t, func(string, time.Duration) condition { return healthy })
		behindA := map[string]bool{}
		for _, h := range all[:1000] {
			behindA[h.Name] = true
		}
		s.condition = func(host string, at time.Duration) condition {
			if behindA[host] && at > breaks && at < back {
				return refusing
			}
			return healthy
		}
		s.lost = func(host string, made time.Duration) bool { return behindA[host] && made < breaks && s.at() > breaks }
		s.run(collector.Config{Hosts: all}, end)
		if got := s.dialRate(); got > 211 {
			t.Errorf("%d dials within a second", got)
		}
		if way := s.perJump["a"]; way.youngPeak > 16 || way.youngPeak < 8 {
			t.Errorf("up to %d dials by the jump host at a time", way.youngPeak)
		}
		// The longest back-off, the time that 1,000 dials take, and that of one poll.
		if ages := s.ages(all[:1000], back+21*time.Second, end); quantile(ages, 1) > 21*time.Second {
			t.Errorf("a host was read again only %v after the jump host was back", quantile(ages, 1))
		}
		if ages := s.ages(all[1000:], breaks, end); quantile(ages, 1) > 11*time.Second {
			t.Errorf("data of a host that goes another way was up to %v old", quantile(ages, 1))
		}
	})
}

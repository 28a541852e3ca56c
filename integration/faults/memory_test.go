//go:build integration && linux

package faults_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"service_manager/hosts"
	"service_manager/integration/hostile"
	"service_manager/inventory"
	"service_manager/publish"
)

// What a flooding host may cost at most: 4 MiB of output are read before it is given up, beside a buffer that grows, and 2 MiB wait in
// the channel's window. The program itself needs far less than what is allowed for it.
const (
	memoryPerFlood = 8 << 20
	memoryAtRest   = 64 << 20
)

// TestMemoryOfFloods lets hosts flood the program, all of them at every interval.
func TestMemoryOfFloods(t *testing.T) {
	const (
		flooding = 50
		polls    = 5 // of each
	)
	s := newSite(t)
	var all []inventory.Host
	for i := range flooding {
		act := hostile.FloodStdout()
		if i%2 == 1 {
			act = hostile.FloodStderr()
		}
		_, h := s.hostile(t, fmt.Sprintf("flood-%d", i), act)
		all = append(all, h)
	}
	_, neighbour := s.hostile(t, "neighbour", hostile.Act{})

	var mu sync.Mutex
	counts := make(map[string]int)
	enough := make(chan struct{})
	p := start(t, append(all, neighbour), time.Second, func(status publish.Status) {
		mu.Lock()
		defer mu.Unlock()
		outcome := hosts.Outcome(status.Outcome)
		if strings.HasPrefix(status.Host.Name, "flood") && outcome != hosts.ProtocolError && outcome != hosts.Timeout {
			t.Errorf("%s: outcome %q", status.Host.Name, outcome)
		}
		if status.Host.Name == "neighbour" && outcome != hosts.OK {
			t.Errorf("the host that is well: outcome %q: %s", outcome, message(status))
		}
		counts[string(outcome)]++
		if counts[string(hosts.ProtocolError)] == flooding*polls {
			close(enough)
		}
	})
	select {
	case <-enough:
	case <-time.After(2 * patience):
		t.Error("the hosts are not polled")
	}
	peak := p.peakMemory(t)
	if limit := flooding*memoryPerFlood + memoryAtRest; peak > limit {
		t.Errorf("%d MiB of memory, more than %d MiB", peak>>20, limit>>20)
	}
	cpu := p.stop(t)
	t.Logf("%d flooding hosts: %d MiB at most, %v of CPU, outcomes %v", flooding, peak>>20, cpu.Round(time.Millisecond), counts)
}

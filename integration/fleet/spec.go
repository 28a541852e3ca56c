package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A spec is what the units of one name have in common.
type spec struct {
	name        string
	alias       string // another name, under which the inventory watches it
	description string
	kind        kind
	load        string // LoadState
	fileState   string // UnitFileState
	rare        bool   // not there on every third host of the group
	glob        string // by which the inventory watches it, in place of its name

	restartAfter time.Duration // from a crash to the restart; 0 for Restart=no
	canReload    bool          // has ExecReload=
	statusText   string        // of Type=notify; %d stands for a rate that moves

	triggers string        // of a timer or socket: its service
	every    time.Duration // of a timer
	calendar bool          // OnCalendar=, else OnUnitInactiveSec=

	voice voice

	typicalMemory uint64 // bytes
	typicalTasks  uint64
	typicalCPU    float64 // in cores
}

// A group is a kind of host: its name and the units watched on it.
type group struct {
	name   string
	rights rights
	specs  []*spec
}

// watched are the names of what is watched.
func (g *group) watched() []string {
	var names []string
	for _, s := range g.specs {
		names = append(names, cmp.Or(s.alias, s.name))
	}
	return names
}

// inInventory is how the inventory says what is watched.
func (g *group) inInventory() []string {
	var units []string
	for _, s := range g.specs {
		if unit := cmp.Or(s.glob, s.alias, s.name); !slices.Contains(units, unit) {
			units = append(units, unit)
		}
	}
	return units
}

// fillUp adds units until there are n.
func (g *group) fillUp(n int) {
	for i := 1; len(g.specs) < n; i++ {
		s := spec{name: fmt.Sprintf("app-%02d.service", i), description: fmt.Sprintf("Application %d of this host", i)}
		s.typicalMemory, s.typicalTasks, s.typicalCPU = uint64(20+7*i%90)*mib, uint64(3+i%9), 0.01*float64(1+i%7)
		switch i % 4 {
		case 2:
			s.name, s.kind = fmt.Sprintf("app-%02d.socket", i), socket
			s.triggers = fmt.Sprintf("app-%02d.service", i-1)
		case 3:
			s.name, s.kind, s.typicalTasks, s.typicalCPU = fmt.Sprintf("srv-app%02d.mount", i), mount, 0, 0
		}
		g.specs = append(g.specs, enabled(s))
	}
}

const mib = 1 << 20

func enabled(s spec) *spec {
	s.load, s.fileState = "loaded", "enabled"
	return &s
}

func static(s spec) *spec {
	s.load, s.fileState = "loaded", "static"
	return &s
}

func masked(name string) *spec {
	return &spec{name: name, description: name, load: "masked", fileState: "masked"}
}

// notFound is a unit that a host does not have.
func notFound(name string) *spec { return &spec{name: name, description: name, load: "not-found"} }

// The roles of hosts, in the order in which a growing fleet is filled.
const (
	roleWeb = iota
	roleDB
	roleCache
	roleWorker
	roleCount
)

// groups returns the groups by role.
func groups() [roleCount]group {
	mountController := enabled(spec{
		name: "mount_controller.service", description: "Mount controller", restartAfter: 3 * time.Second,
		statusText: "3 volumes mounted", typicalMemory: 24 * mib, typicalTasks: 7, typicalCPU: 0.004,
	})
	all := [roleCount]group{
		roleWeb:    {"web", byPolkit, append([]*spec{mountController}, webSpecs()...)},
		roleDB:     {"db", byPolkit, append([]*spec{mountController}, dbSpecs()...)},
		roleCache:  {"cache", bySudo, append([]*spec{mountController}, cacheSpecs()...)},
		roleWorker: {"worker", byNoSudo, append([]*spec{mountController}, workerSpecs()...)},
	}
	for _, g := range all {
		for _, s := range g.specs {
			s.voice = voiceOf(s.name)
		}
	}
	return all
}

// certbot is the unit that has failed on the first host of a fleet.
const certbot = "certbot.service"

func webSpecs() []*spec {
	return []*spec{
		enabled(spec{
			name: "nginx.service", description: "A high performance web server and a reverse proxy server", canReload: true,
			typicalMemory: 38 * mib, typicalTasks: 5, typicalCPU: 0.03,
		}),
		enabled(spec{
			name: "api.socket", description: "Public API socket", kind: socket, triggers: "api.service",
			typicalMemory: 8192,
		}),
		static(spec{
			name: "api.service", description: "Public API", statusText: "ready, %d requests/s",
			typicalMemory: 143 * mib, typicalTasks: 12, typicalCPU: 0.12,
		}),
		static(spec{name: certbot, description: "Certbot", kind: oneshot, typicalMemory: 46 * mib, typicalTasks: 1, typicalCPU: 0.4}),
		enabled(spec{
			name: "promtail.service", description: "Log shipper", rare: true, restartAfter: 2 * time.Second,
			typicalMemory: 61 * mib, typicalTasks: 9, typicalCPU: 0.01,
		}),
	}
}

func dbSpecs() []*spec {
	return []*spec{
		enabled(spec{
			name: "postgresql.service", alias: "postgres.service", description: "PostgreSQL database server", canReload: true,
			typicalMemory: 612 * mib, typicalTasks: 24, typicalCPU: 0.21,
		}),
		enabled(spec{
			name: "backup.timer", description: "Incremental backup", kind: timer,
			triggers: "backup.service", every: time.Minute, calendar: true,
		}),
		static(spec{name: "backup.service", description: "Backup", kind: oneshot, typicalMemory: 85 * mib, typicalTasks: 3, typicalCPU: 0.7}),
		masked("exim4.service"),
	}
}

func cacheSpecs() []*spec {
	return []*spec{
		enabled(spec{
			name: "redis-server.service", alias: "redis.service", description: "Advanced key-value store", restartAfter: 2 * time.Second,
			statusText: "Ready to accept connections", typicalMemory: 256 * mib, typicalTasks: 6, typicalCPU: 0.05,
		}),
		enabled(spec{
			name: "memcached.service", description: "memcached daemon",
			typicalMemory: 97 * mib, typicalTasks: 10, typicalCPU: 0.02,
		}),
		enabled(spec{
			name: "logrotate.timer", description: "Rotation of log files", kind: timer,
			triggers: "logrotate.service", every: 2 * time.Minute, calendar: true,
		}),
		static(spec{name: "logrotate.service", description: "Rotate log files", kind: oneshot, typicalMemory: 12 * mib, typicalTasks: 1, typicalCPU: 0.3}),
	}
}

func workerSpecs() []*spec {
	worker := spec{
		glob: "worker@*.service", description: "Job worker", restartAfter: time.Second, statusText: "%d jobs/min",
		typicalMemory: 190 * mib, typicalTasks: 4, typicalCPU: 0.4,
	}
	first, second := worker, worker
	first.name, first.description = "worker@1.service", "Job worker 1"
	second.name, second.description = "worker@2.service", "Job worker 2"
	return []*spec{
		enabled(first),
		enabled(second),
		enabled(spec{
			name: "cleanup.timer", description: "Removal of old results", kind: timer,
			triggers: "cleanup.service", every: 75 * time.Second,
		}),
		static(spec{name: "cleanup.service", description: "Remove old results", kind: oneshot, typicalMemory: 20 * mib, typicalTasks: 1, typicalCPU: 0.2}),
		{
			name: "srv-results.mount", description: "/srv/results", kind: mount, load: "loaded", fileState: "generated",
			typicalMemory: 16384,
		},
	}
}

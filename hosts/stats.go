package hosts

import "sync/atomic"

// Stats are a [Pool]'s numbers at one moment.
type Stats struct {
	// Connections are the standing connections of hosts, those of jump hosts not included.
	Connections int
	// JumpConnections are the standing connections that carry tunnels.
	JumpConnections int
	// Tunnels are the channels on them: in use, being opened, and given up but not yet ended by the jump host.
	Tunnels int
	// Stuck are the commands that did not end in time and, as far as sshd tells, have not ended since.
	Stuck int

	// Dials counts the connections begun, those of jump hosts included.
	Dials int64
	// LeftBehind counts the commands that did not end in time. Those that have not ended yet are in Stuck.
	LeftBehind int64
	// Reconnects counts the healthy connections that were given up because commands on them did not end.
	Reconnects int64
}

// counters are what [Stats] is read from.
type counters struct {
	connections, jumpConnections, tunnels, stuck atomic.Int64
	dials, leftBehind, reconnects                atomic.Int64
}

// Stats returns the pool's numbers. It takes no lock: each number is right, but they are not of exactly the same moment.
func (p *Pool) Stats() Stats {
	return Stats{
		Connections:     int(p.counts.connections.Load()),
		JumpConnections: int(p.counts.jumpConnections.Load()),
		Tunnels:         int(p.counts.tunnels.Load()),
		Stuck:           int(p.counts.stuck.Load()),
		Dials:           p.counts.dials.Load(),
		LeftBehind:      p.counts.leftBehind.Load(),
		Reconnects:      p.counts.reconnects.Load(),
	}
}

// Package hosts reads the state of hosts over SSH. It keeps one connection per host, runs one command per poll on it, and
// turns the answer into a [Snapshot] or into an [Error] that names the outcome.
//
//	inventory.Host ──▶ Pool.Connect ──▶ conn (TCP, handshake, host key, user key)
//	                   Pool.Poll    ──▶ conn.exec ──▶ systemctl.Query.Parse ──▶ Snapshot
//
// # Guarantees
//
//   - Host keys are always verified against known_hosts (package knownhosts); there is no way to switch that off. Nothing here adds
//     to known_hosts: [Pool.Scan] only tells what a host shows.
//   - At most one connection per host, and exactly one user key is offered on it.
//   - Nothing blocks longer than the host's connect timeout (Connect) or timeout (Poll). golang.org/x/crypto/ssh knows no
//     deadlines, so a late peer is left by closing its TCP connection, never by waiting for it.
//   - Output is bounded: a host that floods costs one connection, not memory.
//   - Command lines are built by package systemctl, from validated unit names only.
package hosts

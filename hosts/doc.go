// Package hosts reads the state of hosts over SSH. It keeps one connection per host, runs one command per poll on it, and
// turns the answer into a [Snapshot] or into an [Error] that names the outcome.
//
//	inventory.Host ──▶ Pool.Connect ──▶ conn (TCP or tunnel, handshake, host key, user key)
//	                   Pool.Poll    ──▶ conn.exec ──▶ systemctl.Query.Parse ──▶ Snapshot
//	Host.Via       ──▶ jumps        ──▶ conn of the jump host ──▶ tunnel
//
// Globs among a host's units are resolved by one more command now and then; polled are the names that they stood for, so that
// a unit that stops does not drop out of sight. [Pool.Examine] goes the same way on a connection of its own, and says what is wrong on
// it. The traps of SSH, what is done about each and where that is tested are in docs/ssh.md.
//
// # Guarantees
//
//   - Host keys are always verified against known_hosts (package knownhosts), those of jump hosts too; there is no way to switch that
//     off. Nothing here adds to known_hosts: [Pool.Scan] only tells what a host shows.
//   - At most one connection per host, beside that of an examination, and exactly one user key is offered on it.
//   - Nothing blocks longer than the host's connect timeout (Connect, the way over jump hosts included) or timeout (Poll), and
//     [Pool.Close] waits for no peer. golang.org/x/crypto/ssh knows neither contexts nor deadlines, and those of a tunnel's channel
//     fail: so its calls are jobs (package crew) that their connection waits for, a caller leaves them when its time is up, and they
//     end at the latest when the byte stream below is closed, which never blocks.
//   - A command that hangs on a host costs not the connection, and at most 4 processes there in 10 minutes: see [Pool.Poll]. A
//     connection whose peer does not answer a probe within 2 s is given up.
//   - What a host sends is bounded, by 2 × (64 KiB + 16 KiB per unit) + 192 KiB in a poll, about 16 MiB at most, by about
//     4 MiB while globs are resolved, and by less between polls and before. That is all that is ever buffered of it: 512 hosts of 4
//     units that flood at once take at most 224 MiB. A host that sends more loses its connection. On one of a
//     jump host, which many share, what no tunnel takes is bounded, by 1 MiB and 2.5 MiB per tunnel in a minute.
//   - Connections to jump hosts are shared by all hosts behind them, apart from the connections on which the same hosts are polled, and
//     are made by one call at a time. One that cannot be reached is left alone for up to 15 s, or for 5 minutes where it
//     refuses us, however many hosts ask; what they are told names it, with its own trouble.
//   - The command lines of polls are built by package systemctl, those of examinations here; no unit name is in one that package
//     systemctl does not accept.
//   - An [Error] is one line of printable characters, whatever a host said.
package hosts

// Package outbox keeps what must not be lost: the last state of each host, and the messages that the broker has not confirmed yet.
//
//	collector ─▶ Commit ─▶ committer ─▶ state file ─┬─▶ index, one queue per host ─▶ Take ─▶ publish ─▶ Settle
//	                          ▲   (bbolt, fsync)    │         ▲           ▲                               │
//	                          │                     └─ body ──┼───────────┘                               │
//	                          │                               └── parked: tried now and then ◀── not taken┤
//	                          └──────────── delete (and tell by a gap, where it was not sent) ◀───────────┤
//	collector ─▶ PutStatus, PutNotice ─▶ newest per host or notice, in memory ─▶ Take ─▶ publish ─▶ Settle┘
//
// # Guarantee
//
// A host's state and the events that follow from it are one transaction: when Commit returns without an error both are on the disk,
// else neither is. An event is deleted only after the broker has confirmed and routed it, or after a [publish.Gap] event that says so
// has taken its place in the same transaction. So each event arrives at least once, whatever happens to the broker or this process; a
// crash repeats what was confirmed in the last moment before it. Of one host events go out in the order of their seq: the next one is
// handed out when the one before is settled for good, and if that was given up, when the file says so. Hosts do not wait for each other.
//
// Statuses and notices are level-triggered: the newest says all, so only the newest waits, and not on the disk.
//
// What the broker does not take is told in the log by cause and group, with counts: when it begins, once a minute while it lasts, and
// when it is over; what is dropped, once a minute. No line is of one message, but for those that are set aside.
//
// # The state file
//
// One process has it, by a lock on a file beside it. Every value has a checksum, and the file has sums over all of them, so that damage
// anywhere is seen, even if bbolt can read it. Each Open checks all of it, without bbolt, which believes what it reads; where more than
// half of it is free it is replaced by a copy, since bbolt never makes a file smaller. A file that is damaged, or not ours, is renamed
// and kept, and a new one begun; a disk that fails to read is no damage, and Open says so. In a new file the epoch is a new one, greater
// than any that the lock file knows of, by which consumers know that counting starts anew, and the collector, which finds no states,
// publishes everything again.
//
// # Bounds
//
// Waiting events are bounded by number and bytes of the file. When they have come to it Commit fails with [ErrFull]; the collector then
// keeps its old state to compare with, so that the change is not forgotten, and what came and went in between is announced by a gap, as
// soon as there is room. In memory a waiting event takes less than 100 bytes, beside a cache of bodies of 16 MiB: those that came while
// it had room, for most are sent within moments.
package outbox

// Package change compares what was last committed of a host with what a poll has just said, and derives the events. It is pure: it
// knows no file, no broker and no clock.
//
//	state file ──▶ Decode ──▶ Baseline ──▶ Compare(Poll) ──▶ Step ──▶ Commit ──▶ state file: the new State and the Events
//	                             ▲                                      │
//	                             └────────── only if that went well ◀───┘
//
// # Guarantees
//
//   - The baseline advances only by what an event has told, in the same transaction as that event. Where a commit fails nothing has
//     advanced, and the next poll finds the same differences, and what came on top.
//   - So all events of a host, applied in order to its first committed state, give its last one; and of one unit, an event's Before is
//     the After of the event before.
//   - A poll without a change commits nothing, and comparing it allocates nothing.
//
// # Rules
//
// A first sight, of a host or of a unit, sets the baseline without an event, and a unit that is no longer asked for leaves without
// one. A poll that could not read the host says nothing about its units, nor about its boot.
//
// Of the host first: host.recovered, host.key_changed or host.unreachable where the outcome is another; then host.rebooted where
// the boot id or the start of userspace is another, so that a soft reboot and a container's count too. Both tell the same Before, the
// state last committed, and the same After. A text or a system state that changes alone is not told.
//
// Then of each unit at most one event, the first that fits:
//
//	unit.missing    not-found now, or asked for and no longer in the answer (After is null)
//	unit.appeared   it was so (Before is null after such an After), and is not now
//	unit.failed     failed now; not before, or in another invocation
//	unit.recovered  not failed any more
//	unit.restarted  started anew, and up or on the way there
//	unit.changed    the rest; started anew and ended between two polls is here too
//
// Units are told apart by the name that they were asked for, so that an alias that comes to stand for another unit is a change of
// Name. A unit that is asked for under several names counts once, under its primary name where that is among them. What is told to
// be gone, by not-found or by a null, is not told again in the other way. How often a unit was started anew is a lower bound; where
// someone runs systemctl reset-failed on a unit that is up, and it restarts automatically before the next poll, it is one too many.
//
// # Flapping
//
// Each unit has a bucket of events, see [Flapping]. While it is empty the unit's baseline stays, and the polls that differ from it
// are counted as suppressed; the first poll with an event in the bucket tells the difference to what was told last, if there still
// is one. So a burst ends with an event of the state that it ended in. If it ended where it began there is nothing to tell: the count
// stays for the next event, and is forgotten when the bucket is full again. Changes to and from failed, and failing once more, need no
// bucket. Buckets are in memory only, and only of units that have made events of late.
package change

// Package collector decides when to poll which host, and turns what the polls say into messages.
//
//	inventory ──▶ agenda ──┬────────────▶ poll queue ──▶ poll ──┬──▶ conclude ──▶ outbox ──▶ publish
//	                ▲      │                  ▲   │             │        │
//	                │      └──▶ dial queue ───┼───┼──▶ dial ────┤        │
//	                │               ▲         │   └── dead ─────┼─▶ dial │
//	                │               └─────────┴─────────────────┘        │
//	                └────── next turn, or the end of a back-off ◀────────┘
//
// One goroutine, the schedule, holds the agenda, the queues and all hosts. It waits for no host: each dial, poll and conclusion is
// a job in another goroutine (package crew), which has the host until it hands back the result. Their number is bounded by counted places and
// not by a set of workers, so that work can give up its place without ending.
//
// # Turns
//
// Each host has a turn per interval, in a phase of its own. Then it is polled on its standing connection, else it waits to be dialled. A
// host that fails in its transport backs off, with full jitter up to 15 s or its interval, and is tried again when that is over,
// whatever its turns; one that does not let us in, or that we do not trust, has 5 to 6 minutes, or until our own files change.
//
// A host whose polls keep taking longer than its interval has a longer one, a whole multiple, until it is faster: see [Stats].Stretched
// and interval_seconds in its statuses. What polls wait for places does not count, and what fails neither.
//
// A host on which something has just happened, or has a unit in transit, is looked at again 0.5 to 1 s later, then twice as late each time
// until its next turn is nearer. Over any time it has at most 6 more looks than turns, and the fleet a tenth of its hosts more, so that
// change for ever costs no more than twice the polls; and a look must not be in the way of a turn.
//
// So a host's poll may come sooner than its turn, and nothing but [Pool] and the outbox need know: what wakes a host, or takes one in or
// out while the collector runs, only has to find it on the agenda.
//
// # Places
//
// Work that goes well is done within a moment (250 ms); what is not is mostly waiting for a host that hangs, and costs next to
// nothing but the memory of its goroutines. Therefore:
//
//   - There are places for polls, for dials, and for dials by each jump host. They bound what goes on at a time.
//   - Who has a place for longer than a moment, while others wait, gives it up and goes on in a slow place, of which there are 8
//     times as many for polls and 16 times for dials. When those are taken too it keeps its place.
//   - Hosts that were not well are polled in slow places from the start, and leave some of those to the others.
//   - Dials have a rate, and an order: first the hosts that were well, then new ones, then those that failed; and in it, who waits
//     longest among those whose jump host has a place. Each eighth dial goes to who waits longest of all, so that none waits for ever.
//
// With the default limits, of 10,000 hosts at 10 s half may hang all at once, and the data of the others stays as young as ever. A cold
// start takes what the dial rate asks for, 50 s. Hosts that cannot be reached share what the others leave of that rate, an eighth at least: 5,000 that
// are refused at once take 25 s a round, which comes on top of their back-off.
//
// # Guarantees
//
//   - Each poll of each host ends in a status message, whatever happened; a host that cannot be read has its outcome and the last
//     known states in it, marked as old.
//   - A host in trouble whose turn comes while it backs off, or while its last poll has not ended, has a status too: what is known
//     is said again, marked as old. Of a host that was well, nothing is said until its poll has ended.
//   - A host is polled once at a time. A poll that takes longer than the interval makes the host miss a turn, it never piles up.
//     Whose doing that is, ours or the host's, is counted apart.
//   - A poll works no longer than the host's two timeouts together, connecting and connecting again included. What it waits for
//     places is told apart in the status (queued_ms), and is no part of that.
//   - One host's trouble, a panic included, is that host's: no other poll ends for it.
package collector

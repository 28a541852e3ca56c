// Package collector decides when to poll which host, and turns what the polls say into messages.
//
//	                 due          standing connection
//	inventory ──▶ schedule ──┬──▶ poll workers ──┬──▶ conclude ──▶ outbox ──▶ publish
//	    ▲                    └──▶ dial workers ──┘        │         (dial workers pass on to poll workers)
//	    └───────────────── next due time ◀────────────────┘
//
// Each host has its own due time. A fixed set of workers serves what is due: one set polls the hosts that have a connection, a
// smaller one connects to those that have none, first of all to those that were well when last seen. So the hosts that cannot be
// reached wait for each other, and never take a place from the healthy ones.
//
// # Guarantees
//
//   - Each poll of each host ends in a status message, whatever happened; a host that cannot be read has its outcome and the last
//     known states in it, marked as old.
//   - A host is polled once at a time. A poll that takes longer than the interval makes the host miss a turn, it never piles up.
//   - One host's trouble, a panic included, is that host's: no other poll ends for it.
package collector

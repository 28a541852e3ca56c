// Package fleet simulates hosts with systemd: real SSH servers on loopback, one per host, with keys of their own, that
// answer the collector's real commands as real hosts would. It is behind `service_manager demo` and the benchmarks.
//
//	poll ──▶ sshtest.Server ──▶ station ──▶ host.advance(now) ──▶ host.answer
//	                               │        events that became     what systemctl
//	                               ▼        due since the last     show would print
//	                       outage: refuse,
//	                       or keep silent
//
// Each host is a state machine with a random source of its own, which is brought up to the present when a poll
// arrives: an idle host costs nothing, and there is no ticker. What a host does depends on the seed and the time only,
// never on when it was asked.
//
// The fleet is made to be watched: failures come in a fixed rotation that is offset from host to host, so that a small
// fleet shows every kind of event within three minutes, and most trouble is over within a minute. In a larger one things happen more
// seldom on each host, so that a person can follow what happens in all of it. A first sweep reaches
// every host, if it takes no longer than 10 ms for each, and finds a failed unit and one that is not installed.
//
// Operators' commands change a host as they would a real one, at once: without sudo, but on the hosts of the group cache, which want
// it. On the first host certbot.service fails whenever it is started.
//
// Each host has a journal, which is made up when it is read: of what has happened to its units, in the words of systemd, and of what the
// services log, which depends on the seed and the time only. The account on the last host of the group db may not read it.
//
// A test that must know what happened has a steady fleet and changes it by command: see [Fleet.StartUnit] and what is beside it.
//
// An outage is noticed when a poll or a connection arrives in it. A host that no one asks during an outage keeps its
// connections, unlike a real one.
package fleet

// Package bench measures what the program promises, each figure beside what it is compared with: the floor, which is the same work by the
// library underneath and nothing else. Both are measured in turn, in one process and minute by minute on the same machine, so that their ratio
// holds where the figures themselves do not. A CPU time is that of this process, the client, alone: the broker's is not in it.
//
//	Publishes   confirmed statuses through one connection        floor: amqp091-go, the same window
//	Events      commit ─▶ take ─▶ confirm ─▶ deletion            floor: amqp091-go, the same window, no disk
//	Commits     a state and an event, by many committers         floor: bbolt, one put
//	Opens       outbox.Open on a large file                      floor: bbolt, every value read once
//
// `make bench` runs all of it on a broker of its own and prints the tables; RESULTS.md has those of one machine. A small run is among the
// integration tests, which assert that it works and never how fast.
package bench

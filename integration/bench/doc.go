// Package bench measures what the program promises, each figure beside its floor: the same work by the library underneath, and nothing else.
// Both are measured in turn, round by round in one process, so that their ratio holds on another machine, or beside other work, where the
// figures do not. CPU time is that of this process alone, the client; the broker's is not in it. (That of the programs beside which a sweep is
// measured is theirs with all processes that they start; hostcost is about the hosts' own.)
//
//	publishes   confirmed statuses through one connection                      floor: amqp091-go with the same window
//	events      commit ─▶ take ─▶ confirm ─▶ deletion, by many hosts           floor: the same, which stores nothing
//	commits     a host's state and an event, by many committers                floors: bbolt, a transaction each or shared
//	opens       outbox.Open, with many states or many events that wait         floor: bbolt, every value read once
//	fleet       the whole program, with simulated hosts and a consumer          beside it: what the simulated hosts cost
//	latency     from a change on a host to its event at a consumer              floor: a part of the interval
//	sweep       all of some real hosts asked at once, also by what people use  floor: the same commands, without SSH
//	hostcost    what a poll costs a real host, also by what people do          floor: none
//
// Fleet and latency run the binary itself, as `service_manager run` with its HTTP server and --pprof, and the simulated hosts of fleet in
// processes of their own, so that what each costs is apart; they need /proc.
//
// The parser (hosts/systemctl), the comparer (collector/change), the writing of a status (publish) and a poll with both its ends
// (integration/fleet) are Go benchmarks beside their code: `make bench-unit COUNT=10 > old`, the same once more after a change, and
// `benchstat old new` (golang.org/x/perf/cmd/benchstat) tells whether there is a difference. What a profile of fleet says, -profiles keeps.
//
// `make bench` runs them with a broker of its own and prints a table of each, with the design's target where there is one. RESULTS.md has
// those of one machine. A small run is among the integration tests (go test -tags integration -run '^TestBenchmarks' ./integration), which
// assert that it works and never how fast.
package bench

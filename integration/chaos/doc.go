// Package chaos tests the promise of the program: whoever follows its events can rebuild what happened on every host, whatever happened
// to the broker, the network and the collector meanwhile.
//
//	changes ──▶ fleet ──SSH──▶ collector ──▶ proxy ──▶ RabbitMQ ──▶ consumer
//	   │          │ served        ▲            ▲          ▲             │
//	   │          │               └────────────┼──────────┘             │
//	   ▼          ▼                          faults                     ▼
//	oracle: what was true, and seen ─────▶ verdict ◀───── what was told, and when
//
// The hosts are simulated and change on command, so that the oracle knows the truth; collector and broker are real. One fault comes after
// the other, in an order that the seed decides, and each ends. The oracle is pure, and has tests of its own that show what it finds.
//
// A version of a unit must be told of if it was read, which is so if the answer to a poll had it, was written to the last byte, and the
// collector lived on for two seconds; what it was at the end must be told of in any case. A poll that the collector itself has told to
// have failed has not read anything.
//
// The test carries the build tag "integration", and takes what those of package integration take. Unless CHAOS_FOR is set, to a duration,
// each fault comes once or a few times and is short: see `make chaos` for the long form. CHAOS_SEED repeats an order of faults and changes,
// though not what the machine makes of it. KEEP_STACK=1 leaves the broker running.
package chaos

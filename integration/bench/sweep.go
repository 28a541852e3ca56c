package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"service_manager/hosts/systemctl"
	"service_manager/integration/farm"
	"service_manager/inventory"
)

const (
	// sweptDebian is the version of the hosts, all of them.
	sweptDebian = "12"
	// askLimit is how long a host may take for its answer.
	askLimit = 30 * time.Second
)

// The design's targets for a warm sweep, each ours to the other.
const (
	targetFloor     = 1.3
	targetClushTime = 1.0 / 2
	targetClushCPU  = 1.0 / 20
)

// units are what is watched on a host: the stack's own units and some that every Debian has.
func watchedUnits() []string {
	return []string{
		"mount_controller.service", "api.service", "worker@1.service", "backup.timer", "backup.service", "oneshot.service", "metrics.socket",
		"broken.service", "masked.service", "nasty.service", "ssh.service", "dbus.service", "dbus.socket", "systemd-journald.service",
		"systemd-logind.service", "systemd-tmpfiles-clean.timer", "basic.target", "sockets.target", "timers.target", "multi-user.target",
	}
}

// A question is what a host is asked, the same whoever asks.
type question struct{ systemctl.Query }

func newQuestion(units []string) question {
	return question{systemctl.Query{Nonce: systemctl.NewNonce(), Units: units, Limit: askLimit}}
}

// commandLine is the program's own.
func (q question) commandLine() (string, error) { return q.Command() }

// bare is one systemctl alone, which asks the same of the units, without what the program asks besides, and without its precautions.
func (q question) bare() (string, error) {
	command, err := q.Command()
	if err != nil {
		return "", err
	}
	request, err := systemctl.ParseCommand(command)
	if err != nil {
		return "", err
	}
	return "exec systemctl --no-pager show --property=" + strings.Join(request.Groups[0].Properties, ",") + " -- " + strings.Join(q.Units, " "), nil
}

// check wants a whole answer to commandLine.
func (q question) check(answer []byte) error {
	a, err := q.Parse(answer, nil)
	if err == nil && len(a.Units) != len(q.Units) {
		err = fmt.Errorf("%d units, want %d", len(a.Units), len(q.Units))
	}
	return err
}

// checkBare wants a whole answer to bare.
func (q question) checkBare(answer []byte) error {
	if n := strings.Count("\n"+string(answer), "\nId="); n != len(q.Units) {
		return fmt.Errorf("%d units, want %d", n, len(q.Units))
	}
	return nil
}

// A sweeper is one way to ask all hosts.
type sweeper struct {
	name string
	// sweep asks all hosts, on the connections that stand, else on new ones. It returns after how long the last answer was there, of
	// which something may have to be done yet.
	sweep func(ctx context.Context) (answered time.Duration, err error)
	// check wants every host's whole answer to the last sweep.
	check func() error
	// cpu is what the client has used so far, with all its processes; nil where that is no matter.
	cpu func() (time.Duration, error)
	// end closes the connections; nil where there are none.
	end func(ctx context.Context) error
}

// An effort is what a sweep has taken.
type effort struct {
	seconds, answered float64
	cpu               float64 // In milliseconds.
	connections       float64 // That the hosts have accepted.
}

// A sweeping is the same hosts swept in several ways.
type sweeping struct {
	Run

	farm *farm.Farm
	ours sweeper
	// The others, of which the first is the floor, which has no connections.
	others []sweeper
}

// sweep measures sweeps of Sizes.Swept real hosts: what the program does with what others do, in turn.
func (r Run) sweep(ctx context.Context) (t Table, err error) {
	f, err := farm.Start(ctx, farm.Config{Stack: r.Stack, Project: r.Project, Debian: slices.Repeat([]string{sweptDebian}, r.Swept)})
	if err != nil {
		return Table{}, err
	}
	defer func() { err = errors.Join(err, f.Stop(ctx)) }()
	floors, closeFloors, err := newFloors(ctx, f)
	if err != nil {
		return Table{}, err
	}
	defer func() { err = errors.Join(err, closeFloors()) }()
	s := sweeping{Run: r, farm: f, others: floors}
	for _, mode := range []string{inventory.ModeExec, inventory.ModeStream} {
		p, err := r.newProgram(ctx, f, mode)
		if err != nil {
			return Table{}, err
		}
		defer func() { err = errors.Join(err, p.close()) }()
		if mode == inventory.ModeStream {
			s.others = append(s.others, p.sweeper())
		} else {
			s.ours = p.sweeper()
		}
	}
	for _, peer := range peers() {
		if !slices.Contains(r.Peers, peer.program) {
			continue
		}
		asker, err := newAsker(ctx, f, peer)
		if err != nil {
			return Table{}, err
		}
		defer func() { err = errors.Join(err, asker.close(ctx)) }()
		s.others = append(s.others, asker.sweeper())
	}
	t = Table{Title: fmt.Sprintf("Sweeps of %d hosts of Debian %s, %d units each, all asked by the same command line; %s",
		r.Swept, sweptDebian, len(watchedUnits()), lastLine(ctx, "docker", "version", "--format", "Docker {{.Server.Version}}"))}
	t.Rows, err = s.rows(ctx)
	return t, err
}

// rows measures everything in turn, round by round, and makes the rows of it.
func (s sweeping) rows(ctx context.Context) ([]Row, error) {
	warm, cold := newSweepRows("warm", s.others), newSweepRows("cold", s.others)
	warm.setTargets(s.others)
	if _, err := s.measure(ctx, s.ours); err != nil { // At the first login a host reads much from its disk that it has in memory then.
		return nil, err
	}
	for range s.Rounds {
		ours, err := s.measure(ctx, s.ours)
		if err != nil {
			return nil, err
		}
		for i, other := range s.others {
			its, err := s.measure(ctx, other)
			if err != nil {
				return nil, err
			}
			warm.add(i, ours.warm, its.warm)
			cold.add(i, ours.cold, its.cold)
		}
	}
	return append(warm.all(), cold.all()...), nil
}

// efforts are those of one round: without a connection at first, and then with those that stand.
type efforts struct{ cold, warm effort }

func (s sweeping) measure(ctx context.Context, w sweeper) (e efforts, err error) {
	fail := func(what string, err error) (efforts, error) {
		return efforts{}, fmt.Errorf("%s: %s: %w", w.name, what, err)
	}
	if err := s.farm.Settle(ctx); err != nil {
		return fail("before a cold sweep", err)
	}
	if w.end != nil {
		defer func() { err = errors.Join(err, w.end(ctx)) }()
	}
	if e.cold, err = s.repeat(ctx, w, 0); err != nil {
		return fail("cold sweep", err)
	}
	if e.warm, err = s.repeat(ctx, w, s.For); err != nil {
		return fail("warm sweep", err)
	}
	return e, nil
}

// repeat sweeps until that has taken a time, once at least, and returns what one sweep has taken.
func (s sweeping) repeat(ctx context.Context, w sweeper, d time.Duration) (effort, error) {
	var sum effort
	n := 0
	for ; n == 0 || sum.seconds < d.Seconds(); n++ {
		e, err := s.once(ctx, w)
		if err != nil {
			return effort{}, err
		}
		sum.seconds += e.seconds
		sum.answered += e.answered
		sum.cpu += e.cpu
		sum.connections += e.connections
	}
	each := 1 / float64(n)
	return effort{sum.seconds * each, sum.answered * each, sum.cpu * each, sum.connections * each}, nil
}

func (s sweeping) once(ctx context.Context, w sweeper) (effort, error) {
	runtime.GC() // What the one before has left.
	before, cpu, err := s.counts(w)
	if err != nil {
		return effort{}, err
	}
	began := time.Now()
	answered, err := w.sweep(ctx)
	took := time.Since(began)
	if err != nil {
		return effort{}, err
	}
	if err := w.check(); err != nil {
		return effort{}, err
	}
	after, cpuAfter, err := s.counts(w)
	return effort{
		took.Seconds(), answered.Seconds(), float64((cpuAfter - cpu).Microseconds()) / 1000, float64(after - before),
	}, err
}

// counts reads the counters.
func (s sweeping) counts(w sweeper) (accepted int, cpu time.Duration, err error) {
	if accepted, err = s.farm.Accepted(); err == nil && w.cpu != nil {
		cpu, err = w.cpu()
	}
	return accepted, cpu, err
}

// sweepRows are those of one case, in the order of the others.
type sweepRows struct {
	seconds, cpu, connections []Row
	answered                  Row
}

func newSweepRows(name string, others []sweeper) *sweepRows {
	rows := sweepRows{answered: Row{Case: name, Unit: "s, to the last answer", Floor: others[0].name}}
	for _, other := range others {
		rows.seconds = append(rows.seconds, Row{Case: name, Unit: "s", Floor: other.name})
		rows.cpu = append(rows.cpu, Row{Case: name, Unit: "client CPU ms", Floor: other.name})
		rows.connections = append(rows.connections, Row{Case: name, Unit: "connections", Floor: other.name})
	}
	return &rows
}

// setTargets sets the design's.
func (rows *sweepRows) setTargets(others []sweeper) {
	rows.seconds[0].RatioAtMost = targetFloor
	for i, other := range others {
		if strings.HasPrefix(other.name, clush) {
			rows.seconds[i].RatioAtMost, rows.cpu[i].RatioAtMost = targetClushTime, targetClushCPU
		}
	}
}

func (rows *sweepRows) add(i int, ours, its effort) {
	if i == 0 {
		rows.answered = rows.answered.with(ours.answered, its.answered)
	}
	rows.seconds[i] = rows.seconds[i].with(ours.seconds, its.seconds)
	rows.cpu[i] = rows.cpu[i].with(ours.cpu, its.cpu)
	rows.connections[i] = rows.connections[i].with(ours.connections, its.connections)
}

// all leaves out what is no matter of the floors, which have no client.
func (rows *sweepRows) all() []Row {
	all := append([]Row{rows.answered}, rows.seconds...)
	return append(append(all, rows.cpu[floors:]...), rows.connections[floors:]...)
}

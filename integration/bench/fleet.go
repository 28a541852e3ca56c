package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/inventory"
)

// The design's targets.
const (
	targetCPU      = 250 // Microseconds of the program's for a poll, from end to end.
	targetMemory   = 80  // KiB for a host.
	targetAge      = 1.5 // Intervals: how old the data of a healthy host may be at the 99th percentile, whatever befalls the others.
	targetCores    = 1
	targetCrowd    = 10_000 // Hosts. That it takes one core and so much memory is promised for as many, at 10 s.
	manyUnits      = 20     // On each of some hosts, as in the other benchmarks.
	dialsPerSecond = 200    // What the program allows itself by default: the floor under its start.
)

// A scene is simulated hosts, and how it is with them.
type scene struct {
	hosts   int
	stream  bool          // With mode = "stream".
	units   int           // On each host; 0: 5 or 6.
	latency time.Duration // How long each answer takes.
	frozen  float64       // Which share hangs, once all have been read.
	gone    float64       // Which share refuses connections from then on.
	cores   int           // That the program may use; 0 is all.
}

func (s scene) String() string {
	name := fmt.Sprintf("%d hosts", s.hosts)
	if s.stream {
		name += ", streams"
	}
	if s.units > 0 {
		name += fmt.Sprintf(", %d units", s.units)
	}
	switch {
	case s.cores > 0:
		name += fmt.Sprintf(", %d core", s.cores)
	case s.latency > 0:
		name += fmt.Sprintf(", answers take %v", s.latency)
	case s.frozen > 0 || s.gone > 0:
		name += fmt.Sprintf(", %g%% hang, %g%% refuse", 100*s.frozen, 100*s.gone)
	}
	return name
}

// isPlain says that nothing is the matter.
func (s scene) isPlain() bool { return s.latency == 0 && s.frozen == 0 && s.gone == 0 }

// changesPerSecond is on how many hosts a service crashes and is restarted: each tenth of an hour on each, on average. Little else changes.
func (s scene) changesPerSecond() float64 { return float64(s.hosts) / 360 }

// mode is that of the inventory.
func (s scene) mode() string {
	if s.stream {
		return inventory.ModeStream
	}
	return inventory.ModeExec
}

// scenes are all fleets without trouble, in both modes, the greatest also with more units and with one core, and the smallest also with
// trouble.
func (r Run) scenes() []scene {
	var all []scene
	for _, n := range r.Fleets {
		all = append(all, scene{hosts: n}, scene{hosts: n, stream: true})
	}
	least, most := r.Fleets[0], r.Fleets[len(r.Fleets)-1]
	return append(all,
		scene{hosts: most, units: manyUnits},
		scene{hosts: most, units: manyUnits, stream: true},
		scene{hosts: most, cores: 1},
		scene{hosts: most, cores: 1, stream: true},
		scene{hosts: least, latency: r.Interval / 20},
		scene{hosts: least, frozen: 0.05, gone: 0.05},
		scene{hosts: least, frozen: 0.5},
	)
}

// fleet measures the program as a whole, with simulated hosts: what a poll costs, and how old the data is.
func (r Run) fleet(ctx context.Context) (t Table, err error) {
	programs, remove, err := r.build(ctx)
	if err != nil {
		return Table{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	t = Table{Title: fmt.Sprintf("`service_manager run` with simulated hosts, each polled every %v; the CPU of the simulated hosts beside its own", r.Interval)}
	for _, s := range r.scenes() {
		if r.Scenes != nil && !r.Scenes.MatchString(s.String()) {
			continue
		}
		rows, err := r.scene(ctx, programs, s)
		if err != nil {
			return Table{}, fmt.Errorf("%v: %w; measured before that:\n%v", s, err, t) // It took minutes.
		}
		t.Rows = append(t.Rows, rows...)
	}
	return t, nil
}

// scene sets a scene, and measures each of its rounds.
func (r Run) scene(ctx context.Context, programs string, s scene) (rows []Row, err error) {
	st, alive, err := r.stage(ctx, programs, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	if err := wait(alive, st.watcher.all); err != nil {
		return nil, fmt.Errorf("waiting for all hosts to be read: %w", err)
	}
	m := measured{cold: st.watcher.allAt.Sub(st.began)}
	// The dials' places, and the garbage of the start, are history then.
	if err := sleep(alive, r.Interval); err != nil {
		return nil, err
	}
	sick, err := st.crowd.befall(s.frozen, s.gone)
	if err != nil {
		return nil, err
	}
	st.watcher.forget(sick)
	for round := range r.Rounds {
		w, err := st.measure(alive, max(r.For, 2*r.Interval).Round(time.Second), r.Interval/20, r.keep(s, "cpu", round+1))
		if err != nil {
			return nil, err
		}
		m.spans = append(m.spans, w)
	}
	h, err := st.service.heap(alive, true)
	m.live = h.live
	if keep := r.keep(s, "heap", r.Rounds); err == nil && keep != "" {
		err = st.service.saveHeap(alive, keep)
	}
	return m.rows(s, r.Interval), err
}

// keep is the file to keep a profile of a scene in, empty for none.
func (r Run) keep(s scene, of string, round int) string {
	if r.Profiles == "" {
		return ""
	}
	scene := strings.NewReplacer(" ", "-", ",", "", "%", "").Replace(s.String())
	return filepath.Join(r.Profiles, fmt.Sprintf("%s-%s-%d.pprof", scene, of, round))
}

// A stage is where a scene is set: the simulated hosts, the program, and the consumer behind the broker.
type stage struct {
	crowd   crowd
	service *service
	watcher *watcher
	began   time.Time // The program.
	closing []func() error
}

// close ends all, in the reverse order of the beginning.
func (st *stage) close() error {
	var err error
	for _, end := range slices.Backward(st.closing) {
		err = errors.Join(err, end())
	}
	return err
}

// stage begins a scene. The caller must close it. Alive ends with the program, whatever the reason.
func (r Run) stage(ctx context.Context, programs string, s scene) (st *stage, alive context.Context, err error) {
	st = &stage{watcher: newWatcher(s.hosts)}
	if alive, err = st.begin(ctx, r, programs, s); err != nil {
		return nil, nil, errors.Join(err, st.close())
	}
	return st, alive, nil
}

func (st *stage) begin(ctx context.Context, r Run, programs string, s scene) (alive context.Context, err error) {
	dir, err := os.MkdirTemp(r.Dir, "fleet-")
	if err != nil {
		return nil, err
	}
	st.closing = append(st.closing, func() error { return os.RemoveAll(dir) })
	x, err := newExchange(r.Broker)
	if err != nil {
		return nil, err
	}
	st.closing = append(st.closing, x.delete)
	st.crowd, err = gather(ctx, programs, assignment{Hosts: s.hosts, Dir: dir, Mode: s.mode(), Units: s.units, Latency: s.latency, Changes: s.changesPerSecond()})
	if err != nil {
		return nil, err
	}
	st.closing = append(st.closing, st.crowd.disperse)
	unsubscribe, err := r.subscribe(ctx, x.name, st.watcher.hear)
	if err != nil {
		return nil, err
	}
	st.closing = append(st.closing, unsubscribe)
	st.began = time.Now()
	if st.service, alive, err = r.serve(ctx, programs, st.crowd.inventories(), x.name, r.Interval, s.cores); err != nil {
		return nil, err
	}
	st.closing = append(st.closing, st.service.stop)
	return alive, nil
}

// sleep waits for d.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A span is what was measured during some time.
type span struct {
	took          time.Duration
	tally         tally
	cpu, crowdCPU time.Duration
	parts         map[string]float64 // Of cpu, see attribute.
	resident      float64            // Bytes, at the end.
	allocated     heap               // During it.
	before, after metrics
	ages          ages
}

// A moment is what has added up so far.
type moment struct {
	at            time.Time
	tally         tally
	cpu, crowdCPU time.Duration
	heap          heap
}

func (st *stage) moment(ctx context.Context) (m moment, err error) {
	if m.heap, err = st.service.heap(ctx, false); err != nil {
		return m, err
	}
	if m.tally, err = st.watcher.counts(); err != nil {
		return m, err
	}
	if m.crowdCPU, err = st.crowd.cpu(); err != nil {
		return m, err
	}
	m.cpu, err = st.service.cpu()
	m.at = time.Now()
	return m, err
}

// measure takes a profile over some time, which it writes to keep if that is not empty, and reads what that time has cost. Its own
// questions come before and after that time.
func (st *stage) measure(ctx context.Context, over, every time.Duration, keep string) (span, error) {
	before, err := st.service.scrape(ctx)
	if err != nil {
		return span{}, err
	}
	first, err := st.moment(ctx)
	if err != nil {
		return span{}, err
	}
	done := make(chan struct{})
	var watching conc.WaitGroup
	w := span{before: before}
	watching.Go(func() { w.ages = st.watcher.watch(done, every) })
	p, err := st.service.profile(ctx, over)
	close(done)
	watching.Wait()
	if err != nil {
		return span{}, err
	}
	last, err := st.moment(ctx)
	if err != nil {
		return span{}, err
	}
	if w.parts, err = attribute(p); err != nil {
		return span{}, err
	}
	if keep != "" {
		if err := save(p, keep); err != nil {
			return span{}, err
		}
	}
	if w.resident, err = st.service.resident(); err != nil {
		return span{}, err
	}
	if last.tally.polls == first.tally.polls {
		return span{}, fmt.Errorf("no poll has ended within %v", over)
	}
	w.took, w.cpu, w.crowdCPU = last.at.Sub(first.at), last.cpu-first.cpu, last.crowdCPU-first.crowdCPU
	w.tally = tally{last.tally.polls - first.tally.polls, last.tally.failed - first.tally.failed, last.tally.events - first.tally.events}
	w.allocated = heap{mallocs: last.heap.mallocs - first.heap.mallocs, bytes: last.heap.bytes - first.heap.bytes}
	w.after, err = st.service.scrape(ctx)
	return w, err
}

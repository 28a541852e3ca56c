//go:build integration

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/integration/fleet"
	"service_manager/integration/proxy"
)

const (
	hostCount = 30
	// triedAgain is within what time the program tries again what a full queue has refused.
	triedAgain = 6 * time.Second
	// patience bounds what must happen; reaching it is a failure.
	patience = 2 * time.Minute
)

// A world is all that takes part, and the faults that befall it.
type world struct {
	t         *testing.T
	ctx       context.Context //nolint:containedctx // It ends when the test is interrupted.
	oracle    *oracle
	broker    *broker
	proxy     *proxy.Proxy
	collector *collector
	consumer  *consumer
	changer   *changer
	random    *rand.Rand
	form      form
	blows     []blow
}

// A form is how long and hard a run is.
type form struct {
	seed uint64
	long time.Duration // how long at least; 0 is the short form
}

// readForm reads it from the environment.
func readForm(t *testing.T) form {
	t.Helper()
	f := form{seed: rand.Uint64N(1_000_000)}
	var err error
	if text := os.Getenv("CHAOS_FOR"); text != "" {
		if f.long, err = time.ParseDuration(text); err != nil {
			t.Fatal("CHAOS_FOR:", err)
		}
	}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		if f.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal("CHAOS_SEED:", err)
		}
	}
	return f
}

func TestChaos(t *testing.T) {
	w := newWorld(t, readForm(t))
	t.Logf("seed %d", w.form.seed)

	var running conc.WaitGroup
	consuming, stopConsuming := context.WithCancel(w.ctx)
	running.Go(func() { w.consumer.run(consuming) })
	defer running.Wait()
	defer stopConsuming()
	w.begin()
	defer w.collector.checkLog()

	began := time.Now()
	stopped := make(chan struct{})
	stopChanging := sync.OnceFunc(func() { close(stopped) })
	var changes conc.WaitGroup
	changes.Go(func() { w.changer.run(stopped) })
	defer changes.Wait()
	defer stopChanging()
	w.suffer()
	stopChanging()
	changes.Wait()
	w.quieten()
	if err := w.collector.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if w.ctx.Err() != nil {
		t.Fatal("interrupted")
	}

	w.report(result{
		seed: w.form.seed, short: w.form.long == 0, lasted: time.Since(began), hosts: hostCount, verdict: w.oracle.verdict(), blows: w.blows,
	})
}

// report prints a result, and fails the test if a bound was broken.
func (w *world) report(r result) {
	w.t.Helper()
	fmt.Println(r)
	for _, rule := range rules() {
		found := r.verdict.findings[rule]
		for _, what := range found[:min(5, len(found))] {
			w.t.Logf("%s: %s", rule, what)
		}
	}
	for _, broken := range r.breaches() {
		w.t.Error(broken)
	}
	if w.t.Failed() {
		w.t.Logf("CHAOS_SEED=%d repeats the order of faults; the collector's log ends with\n%s", r.seed, w.collector.tail())
	}
}

// newWorld starts all but the collector.
func newWorld(t *testing.T, f form) *world {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	w := &world{t: t, ctx: ctx, form: f, oracle: newOracle(), random: rand.New(rand.NewPCG(f.seed, 1))}
	hosts, err := fleet.Start(fleet.Config{
		Hosts: hostCount, Seed: f.seed, Dir: filepath.Join(t.TempDir(), "fleet"), Steady: true,
		Served: func(hostName string, version int, asked time.Time) {
			w.oracle.served(hostName, version, asked, time.Now())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hosts.Close)
	w.broker = startBroker(ctx, t)
	if w.proxy, err = proxy.Listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(w.broker.Port))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.proxy.Close() })
	w.consumer = newConsumer(t, w.broker, w.oracle)
	w.changer = newChanger(t, hosts, w.oracle, rand.New(rand.NewPCG(f.seed, 2)))
	w.collector = newCollector(ctx, t, w.oracle, w.inventory(hosts))
	if err := w.broker.accepts(); err != nil {
		t.Fatalf("%v: %s", err, w.broker.logs())
	}
	return w
}

// inventory completes that of the fleet: an interval of a second, and the broker through the proxy, with an account that may only write.
func (w *world) inventory(f *fleet.Fleet) string {
	w.t.Helper()
	text, err := os.ReadFile(f.InventoryPath())
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(w.broker.URL("collector"))
	if err != nil {
		w.t.Fatal(err)
	}
	u.Host = w.proxy.Addr()
	const old = "[collector]\nname = \"demo\"\ninterval = \"2s\"\n"
	if !strings.Contains(string(text), old) {
		w.t.Fatalf("the fleet's inventory has no %q:\n%s", old, text)
	}
	chaos := fmt.Sprintf("[collector]\nname = \"chaos\"\ninterval = \"1s\"\n\n[broker]\nurl = %q\ndeclare = \"passive\"\n", u)
	path := filepath.Join(filepath.Dir(f.InventoryPath()), "chaos.toml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, chaos, 1)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// begin starts the collector, and waits until it has read all hosts, so that what they are now is the baseline.
func (w *world) begin() {
	w.t.Helper()
	if err := w.consumer.bind(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.collector.start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = w.collector.end(syscall.SIGKILL) // As a rule it has ended.
		w.collector.waited.Wait()
	})
	if !w.await(patience, func() bool { return w.consumer.read() == hostCount }) {
		w.t.Fatalf("%d of %d hosts were read; the collector's log ends with\n%s", w.consumer.read(), hostCount, w.collector.tail())
	}
}

// suffer lets the faults come, in an order of their own each round: once in the short form, else until the time is over.
func (w *world) suffer() {
	w.t.Helper()
	for began := time.Now(); ; {
		for _, i := range w.random.Perm(len(w.faults())) {
			w.befall(w.faults()[i])
			if w.ctx.Err() != nil {
				return
			}
		}
		if time.Since(began) >= w.form.long {
			return
		}
	}
}

// befall lets one fault come and go, and waits until the stream is whole again. Now and then the collector is killed while it lasts.
func (w *world) befall(f fault) {
	w.t.Helper()
	pause, lasts := w.between(0, time.Second), w.between(time.Second, 3*time.Second)
	if w.form.long > 0 {
		pause, lasts = w.between(0, 5*time.Second), w.between(time.Second, max(f.long, 2*time.Second))
	}
	sleep(w.ctx, pause)
	b := blow{fault: f.name, span: span{from: time.Now()}}
	w.do(f.name, f.begin)
	if f.end != nil {
		w.last(lasts)
		w.do(f.name+", its end", f.end)
	}
	b.to = time.Now()
	whole := w.await(2*wholeBound, func() bool { return w.oracle.isWhole(b.from.Add(-wholeBound), b.to) })
	w.t.Logf("%s: lasted %v, and %v later the stream was whole again (%v)", f.name,
		b.to.Sub(b.from).Round(time.Millisecond), time.Since(b.to).Round(time.Millisecond), whole)
	if f.repeats {
		w.oracle.besideFull(span{b.from, time.Now().Add(triedAgain)})
	}
	w.blows = append(w.blows, b)
}

// last lets the time of a fault pass, in which the collector may be killed.
func (w *world) last(d time.Duration) {
	w.t.Helper()
	kill := w.random.IntN(3) == 0
	first := w.between(0, d)
	sleep(w.ctx, first)
	if kill {
		w.do("the collector is killed meanwhile", w.killCollector)
	}
	sleep(w.ctx, d-first)
}

// do does something that must succeed, unless the test was interrupted.
func (w *world) do(what string, do func() error) {
	w.t.Helper()
	if err := do(); err != nil && w.ctx.Err() == nil {
		w.t.Fatalf("%s: %v; the broker's log ends with\n%s", what, err, w.broker.logs())
	}
}

// await waits until something is so, and reports whether it is.
func (w *world) await(limit time.Duration, is func() bool) bool {
	for deadline := time.Now().Add(limit); !is(); {
		if time.Now().After(deadline) || !sleep(w.ctx, 250*time.Millisecond) {
			return false
		}
	}
	return true
}

// quieten waits until what all units are now has been told.
func (w *world) quieten() {
	w.await(flapSettles+wholeBound, w.oracle.isTold)
	sleep(w.ctx, time.Second) // For what should not come.
}

func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

package outbox_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"service_manager/collector/outbox"
	"service_manager/publish"
)

// What another process was told to be committed is there after it was killed, at any moment; what it was told to be confirmed a moment
// before that is not.
func TestKilled(t *testing.T) {
	if path := os.Getenv("OUTBOX_TEST_KILL"); path != "" {
		commitUntilKilled(t, path)
	}
	config := onDisk(t)
	committed := map[string]uint64{} // By host: greatest seq told.
	settled := map[string]uint64{}   // The same, of what was deleted from the file in order.
	for round := range 12 {
		confirmed := runUntilKilled(t, config.Path, committed)
		o := open(t, config)
		states := o.States()
		next := map[string]uint64{}
		for m, ok := o.Take(); ok; m, ok = o.Take() {
			if before, seen := next[m.Host]; seen && m.Seq != before+1 || !seen && m.Seq > max(confirmed[m.Host], settled[m.Host])+1 || m.Seq <= settled[m.Host] {
				t.Errorf("round %d: %s after #%d, where #%d was confirmed", round, name(m), before, confirmed[m.Host])
			}
			next[m.Host] = m.Seq
			o.Settle(m, publish.Confirmed)
		}
		for host, seq := range committed {
			last := max(next[host], confirmed[host], settled[host])
			if last < seq || string(states[host]) != fmt.Sprint(last) {
				t.Errorf("round %d: %s: the last event is #%d, with the state of #%s; told of #%d", round, host, last, states[host], seq)
			}
			settled[host] = last
		}
		closeBox(t, o)
	}
	t.Logf("committed at the end: %v", committed)
}

// commitUntilKilled tells on stdout what it has committed and confirmed.
func commitUntilKilled(t *testing.T, path string) {
	t.Helper()
	o, err := outbox.Open(outbox.Config{Path: path, Collector: "fleet-a"})
	if err != nil {
		t.Fatal(err)
	}
	states := o.States()
	var told sync.Mutex
	tell := func(what, host string, seq uint64) {
		told.Lock()
		defer told.Unlock()
		fmt.Println(what, host, seq) // One write, so that it is told before anything is done after it.
	}
	var wg conc.WaitGroup
	for h := range 5 {
		wg.Go(func() {
			host := fmt.Sprintf("host-%d", h)
			var seq uint64
			if state := states[host]; state != nil {
				seq = number(string(state))
			}
			for {
				seq++
				if err := o.Commit(host, fmt.Append(nil, seq), changes(host, 1)); err != nil {
					panic(err)
				}
				tell("committed", host, seq)
			}
		})
	}
	wg.Go(func() {
		for range o.Ready() {
			for m, ok := o.Take(); ok; m, ok = o.Take() {
				if m.Seq%7 == 0 {
					time.Sleep(time.Millisecond)
				}
				tell("confirmed", m.Host, m.Seq) // First: the other way round it could be killed in between.
				o.Settle(m, publish.Confirmed)
			}
		}
	})
	wg.Wait()
}

func runUntilKilled(t *testing.T, path string, committed map[string]uint64) (confirmed map[string]uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "OUTBOX_TEST_KILL="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Duration(rand.N(200))*time.Millisecond, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // It was killed.
	confirmed = map[string]uint64{}
	for line := range strings.Lines(first + string(rest)) {
		var what, host string
		var seq uint64
		if n, _ := fmt.Sscanf(line, "%s %s %d\n", &what, &host, &seq); n != 3 {
			continue // Cut short.
		}
		if what == "committed" {
			committed[host] = max(committed[host], seq)
		} else {
			confirmed[host] = max(confirmed[host], seq)
		}
	}
	return confirmed
}

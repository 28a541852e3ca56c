//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"service_manager/publish"
)

// A lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestPublisherStuckQueue suspends the process of one queue, so that the broker withholds the confirms of what goes there, as it does
// with a quorum queue without majority.
func TestPublisherStuckQueue(t *testing.T) {
	d := newDesk(t)
	stuck, others := d.bind(t, "*.*.stuck", nil), d.bind(t, "*.*.other", nil)
	suspend := func(how string) {
		stack.must(t, "broker", fmt.Sprintf(`rabbitmqctl -q eval '{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>)), `+
			`sys:%s(amqqueue:get_pid(Q)).'`, stuck, how))
	}
	var log lockedBuffer
	src := newTray(t)
	src.once = true
	const timeout = 5 * time.Second
	p, stop := start(t, publish.Config{
		URLs: []string{brokerURL(t)}, Exchange: d.exchange, ConfirmTimeout: timeout, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}, src)

	suspend("suspend")
	suspended := true
	defer func() {
		if suspended {
			suspend("resume") // Else it could not be deleted.
		}
	}()
	withheld := messages(t, 2, "stuck", 100)
	sent := time.Now()
	src.put(withheld[0]) // The first of the session, on which others wait.
	confirmed := 0
	for time.Since(sent) < 2*timeout {
		if confirmed == 20 {
			src.put(withheld[1])
		}
		mm := messages(t, 10, "other", 100)
		put := time.Now()
		src.put(mm...)
		confirmed += len(mm)
		src.awaitConfirmed(confirmed)
		if took := time.Since(put); took > 2*time.Second {
			t.Errorf("the other messages were confirmed after %v", took)
		}
		time.Sleep(50 * time.Millisecond)
	}
	src.await("refusal of what was withheld", func(c map[publish.Fate]int) bool { return c[publish.Refused] == len(withheld) })
	if st := p.Stats(); st.Sessions != 1 || st.Lost != 0 {
		t.Errorf("the connection was given up: %+v", st)
	}
	if n := strings.Count(log.String(), "status.web.stuck"); n != 1 {
		t.Errorf("the log names the key %d times:\n%s", n, log.String())
	}

	again := messages(t, 1, "stuck", 100)
	src.put(again...)
	suspend("resume")
	suspended = false
	src.awaitConfirmed(confirmed + 1)
	stop()
	if !strings.Contains(log.String(), "the broker confirms again what it withheld") {
		t.Errorf("the log does not say that it is over:\n%s", log.String())
	}
	if got, _ := d.drain(t, stuck); missing(append(withheld, again...), got) != 0 {
		t.Errorf("%d messages did not arrive, of %v", missing(append(withheld, again...), got), got)
	}
	if got, _ := d.drain(t, others); len(got) != confirmed {
		t.Errorf("%d messages are in the other queue, want %d", len(got), confirmed)
	}
}

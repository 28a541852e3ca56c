package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"service_manager/collector"
	"service_manager/collector/outbox"
	"service_manager/integration/fleet"
	"service_manager/inventory"
	"service_manager/publish"
)

// A service is "run --dry-run" in this process, as systemd would start it.
type service struct {
	t         *testing.T
	inventory string
	text      string // of the inventory at the start
	told      chan string
	messages  chan publish.Notice // those about the collector itself, and the hosts of others
	polled    map[string]int
	stderr    syncedBuffer
	code      chan int
	stop      context.CancelFunc
}

type syncedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// systemd receives what sd_notify(3) sends.
func systemd(t *testing.T) chan string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	told, ended := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 4096)
		for {
			n, err := socket.Read(buffer)
			if err != nil {
				return
			}
			told <- string(buffer[:n])
		}
	}()
	t.Cleanup(func() {
		_ = socket.Close() // Ends the reading.
		<-ended
	})
	return told
}

func startService(t *testing.T) *service {
	t.Helper()
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(simulated.Close)
	text, err := os.ReadFile(simulated.InventoryPath())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &service{
		t: t, inventory: simulated.InventoryPath(), text: string(text), told: systemd(t), polled: make(map[string]int),
		messages: make(chan publish.Notice, 10_000), code: make(chan int, 1), stop: stop,
	}
	stdout, in := io.Pipe()
	go func() {
		code := execute(ctx, []string{"run", "--dry-run", "-i", s.inventory}, nil, in, &s.stderr)
		_ = in.Close()
		s.code <- code
	}()
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Buffer(nil, maxBody); lines.Scan(); {
			var line struct {
				Body publish.Notice `json:"body"`
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Body.Type == publish.KindCollector {
				s.messages <- line.Body
			}
		}
		close(s.messages)
	}()
	return s
}

// hears waits until systemd is told something that has all the parts.
func (s *service) hears(parts ...string) {
	s.t.Helper()
	for deadline := time.After(time.Minute); ; {
		select {
		case told := <-s.told:
			missing := false
			for _, part := range parts {
				missing = missing || !strings.Contains(told, part)
			}
			if !missing {
				return
			}
		case <-deadline:
			s.t.Fatalf("systemd was not told %q; the log:\n%s", parts, s.stderr.String())
		}
	}
}

// says waits for a message of the collector about itself.
func (s *service) says(event string) publish.Notice {
	s.t.Helper()
	for deadline := time.After(time.Minute); ; {
		select {
		case n, ok := <-s.messages:
			if n.Event == event {
				return n
			}
			if !ok {
				s.t.Fatalf("it has ended without %q; the log:\n%s", event, s.stderr.String())
			}
		case <-deadline:
			s.t.Fatalf("no %q; the log:\n%s", event, s.stderr.String())
		}
	}
}

func (s *service) reload(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.inventory, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// The life of a service under systemd: started, reloaded with a good inventory and a bad one, stopped.
func TestLifecycle(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "3000000")
	s := startService(t)
	s.hears("READY=1")
	s.says(publish.CollectorStarted)
	s.hears("WATCHDOG=1", "STATUS=5 hosts: 5 ok; oldest data ")

	less, _, _ := strings.Cut(s.text, "[[hosts]]\nname = \"worker-01\"")
	s.reload(strings.Replace(less, `interval = "2s"`, `interval = "1s"`+"\nflap_burst = 3", 1))
	s.hears("RELOADING=1", "MONOTONIC_USEC=")
	s.hears("READY=1")
	n := s.says(publish.CollectorReloaded)
	if diff := cmp.Diff(&publish.Reload{Changed: 4, Removed: 1}, n.Reload); diff != "" {
		t.Error("reloaded (-want +got):\n" + diff)
	}
	s.hears("WATCHDOG=1", "STATUS=4 hosts: 4 ok")

	s.reload(strings.Replace(less, "units =", "unit =", 1))
	s.hears("RELOADING=1")
	s.hears("READY=1")
	n = s.says(publish.CollectorReloadRefused)
	if n.Reload == nil || n.Reload.Error == nil || !strings.Contains(*n.Reload.Error, `unknown key "unit"`) || n.Hosts["ok"] != 4 {
		t.Errorf("refused: %+v of %v", n.Reload, n.Hosts)
	}
	s.hears("WATCHDOG=1", "STATUS=4 hosts: 4 ok")

	s.reload(s.text)
	if n := s.says(publish.CollectorReloaded); n.Reload.Added != 1 {
		t.Errorf("reloaded: %+v", n.Reload)
	}
	s.stop()
	s.hears("STOPPING=1")
	s.says(publish.CollectorStopping)
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := strings.Count(s.stderr.String(), "takes effect when the program is started again"); got != 1 {
		t.Errorf("the log says %d times that a key is not in effect, want once: the last reload took that back", got)
	}
	for _, want := range []string{"is refused; the one before goes on to count", "changed=4 removed=1", "added=1"} {
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, s.stderr.String())
		}
	}
}

// An inventory that cannot be read, since its file system hangs, does not hold up the end.
func TestReloadThatHangsEnds(t *testing.T) {
	release := make(chan struct{})
	requests := make(chan os.Signal, 1)
	requests <- syscall.SIGHUP
	reading := make(chan struct{})
	r := running{pipeline: pipeline{reloading: reloading{
		requests: requests,
		load: func(*inventory.Inventory) (*inventory.Inventory, []inventory.Host, sender, error) {
			close(reading)
			<-release
			return nil, nil, nil, nil
		},
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reading
		cancel()
	}()
	r.obeyHangups(ctx)
	close(release)
}

func TestWhatAReloadDoesNotChange(t *testing.T) {
	before := &inventory.Inventory{Collector: inventory.Collector{Name: "a", Interval: time.Second}}
	after := &inventory.Inventory{
		Collector: inventory.Collector{Name: "b", State: "s", Listen: "l", FlapBurst: 1, FlapRefill: 1, Interval: time.Minute},
		Broker:    inventory.Broker{UnroutableFor: 1, StatusTTL: 1, URLs: []string{"amqp://a"}},
	}
	after.Broker.Outbox.MaxMessages, after.Broker.Outbox.MaxBytes = 1, 1
	want := []string{
		"collector.name", "collector.state", "collector.listen", "collector.flap_burst", "collector.flap_refill", "broker.outbox_max_messages",
		"broker.outbox_max_bytes", "broker.unroutable_for", "broker.status_ttl",
	}
	if diff := cmp.Diff(want, fixed(before, after)); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	if keys := fixed(before, before); keys != nil {
		t.Errorf("%q differ from themselves", keys)
	}
}

// A countingSender takes everything, and says that it has.
type countingSender struct {
	mu    sync.Mutex
	taken []string
	stats publish.Stats
}

func (s *countingSender) Stats() publish.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *countingSender) set(stats publish.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = stats
}

func (s *countingSender) Run(ctx context.Context, source publish.Source) error {
	for {
		for m, ok := source.Take(); ok; m, ok = source.Take() {
			s.mu.Lock()
			s.taken = append(s.taken, m.ID)
			s.mu.Unlock()
			source.Settle(m, publish.Confirmed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-source.Ready():
		}
	}
}

// After an exchange the messages go to the next sender, and to no other.
func TestRelayExchanges(t *testing.T) {
	defer goleak.VerifyNone(t)
	box, err := outbox.Open(outbox.Config{Collector: "fleet-a"})
	if err != nil {
		t.Fatal(err)
	}
	first, second := &countingSender{}, &countingSender{}
	r := newRelay(first)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, box) }()
	put := func(id string) {
		box.PutStatus(publish.Status{ID: id, Host: publish.HostRef{Name: id, Group: "web"}, Outcome: "ok"})
		if err := box.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	r.exchange(first) // By itself: nothing happens.
	put("2")
	r.exchange(second)
	for r.current() != second { // Until the first has ended.
		time.Sleep(time.Millisecond)
	}
	put("3")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := box.Close(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([][]string{{"1", "2"}, {"3"}}, [][]string{first.taken, second.taken}); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// A publisher that does not end when it is to be exchanged is still the one that is looked at: no other one does its work.
func TestStatsOfASenderThatDoesNotEnd(t *testing.T) {
	first := &stuckSender{entered: make(chan struct{}), release: make(chan struct{})}
	first.set(publish.Stats{Broker: "a"})
	r := newRelay(first)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, nil) }()
	<-first.entered
	r.exchange(&countingSender{})
	for len(r.exchanged) > 0 {
		time.Sleep(time.Millisecond)
	}
	if got := r.stats(); got.Broker != "a" {
		t.Errorf("%+v", got)
	}
	cancel()
	close(first.release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A stuckSender does not end before it is released.
type stuckSender struct {
	countingSender
	entered, release chan struct{}
}

func (s *stuckSender) Run(context.Context, publish.Source) error {
	close(s.entered)
	<-s.release
	return nil
}

type alive struct{ err error }

func (a *alive) Alive(time.Time) error { return a.err }

// A publisher is taken to be stuck when it has a broker that takes messages, and nothing comes of anything. All else is the broker's fault.
func TestHealthOfThePublisher(t *testing.T) {
	sender, now := &countingSender{}, time.Now()
	h := &health{collector: &alive{}, relay: newRelay(sender), heartbeat: 10 * time.Second}
	step := func(d time.Duration, stats publish.Stats, want bool) {
		t.Helper()
		now = now.Add(d)
		sender.set(stats)
		if err := h.alive(now); (err == nil) != want {
			t.Errorf("with %+v: %v", stats, err)
		}
	}
	step(0, publish.Stats{}, true)
	step(time.Hour, publish.Stats{}, true) // No broker.
	step(time.Hour, publish.Stats{Broker: "a"}, true)
	step(9*time.Minute, publish.Stats{Broker: "a"}, true)
	step(2*time.Minute, publish.Stats{Broker: "a"}, false)
	step(time.Minute, publish.Stats{Broker: "a", Confirmed: 1}, true)
	step(time.Hour, publish.Stats{Broker: "a", Confirmed: 1, Blocked: true}, true)
	step(time.Hour, publish.Stats{Broker: "a", Confirmed: 1}, true) // The pause is just over.
	step(time.Hour, publish.Stats{Broker: "a", Confirmed: 1}, false)
	h.expect(24 * time.Hour)
	step(0, publish.Stats{Broker: "a", Confirmed: 1}, true)
	step(40*time.Hour, publish.Stats{Broker: "a", Confirmed: 1}, true)
	h.expect(time.Minute)
	step(0, publish.Stats{Broker: "a", Confirmed: 1}, true) // There was nothing to send for so long.
	step(11*time.Minute, publish.Stats{Broker: "a", Confirmed: 1}, true)
	h.expect(time.Minute)
	step(2*time.Minute, publish.Stats{Broker: "a", Confirmed: 1}, false)
	h.collector = &alive{errStuck}
	step(0, publish.Stats{Broker: "a", Confirmed: 2}, false)
}

// Who is stuck says why, and does not feed the watchdog.
func TestStuckServiceStarvesTheWatchdog(t *testing.T) {
	told := systemd(t)
	r := running{
		pipeline: pipeline{systemd: notifier{log: slog.New(slog.DiscardHandler)}, log: slog.New(slog.DiscardHandler)},
		health:   health{collector: &alive{errStuck}, relay: newRelay(nil)},
	}
	r.tellSystemd(t.Context())
	if got := <-told; strings.Contains(got, "WATCHDOG") || !strings.HasPrefix(got, "STATUS=Stuck: it does not end") {
		t.Errorf("got %q", got)
	}
}

func TestSummary(t *testing.T) {
	now := time.Now()
	census := collector.Census{Hosts: map[string]int{"ok": 2, "timeout": 1}, Oldest: now.Add(-9 * time.Second)}
	got := summary(now, census, nil, publish.Backlog{Events: 3, Full: true, Quarantined: 1})
	want := "3 hosts: 2 ok, 1 timeout; oldest data 9s; 3 events waiting for the broker; no room for more events; 1 set aside that the broker refuses"
	if got != want {
		t.Errorf("got %q", got)
	}
}

func TestBrokerInTheSummary(t *testing.T) {
	for want, s := range map[string]publish.Stats{
		"0 hosts; no broker":                               {},
		"0 hosts; broker a:5672":                           {Broker: "a:5672"},
		"0 hosts; broker a:5672 takes no messages (alarm)": {Broker: "a:5672", Blocked: true},
	} {
		if got := summary(time.Now(), collector.Census{}, &s, publish.Backlog{}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A SIGHUP that comes while the inventory is first read asks for a reload, as any other.
func TestHangupAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.toml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var log syncedBuffer
	code := make(chan int, 1)
	go func() { code <- execute(ctx, []string{"run", "--dry-run", "-i", path}, nil, io.Discard, &log) }()
	for i := range 2 { // The start, and the reload.
		pipe, err := os.OpenFile(path, os.O_WRONLY, 0) // Waits for who reads it.
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := pipe.WriteString("[[hosts]]\nname = \"web-01\"\naddress = \"127.0.0.1\"\nssh = {port = 1}\n"); err != nil {
			t.Error(err)
		}
		if err := pipe.Close(); err != nil {
			t.Error(err)
		}
		for !strings.Contains(log.String(), "collecting") {
			time.Sleep(time.Millisecond)
		}
	}
	for !strings.Contains(log.String(), "the inventory was read again") {
		time.Sleep(time.Millisecond)
	}
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d; the log:\n%s", got, log.String())
	}
}

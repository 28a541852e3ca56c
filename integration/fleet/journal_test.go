package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
	"service_manager/hosts/journalctl"
	"service_manager/inventory"
)

// everything is longer than any journal.
const everything = 1000 * time.Hour

// lived returns a host after a quarter of an hour, and that moment.
func lived(t *testing.T, name string) (*host, int64) {
	t.Helper()
	now := start().Add(15 * time.Minute)
	for _, h := range simulate(Config{Hosts: 8, Seed: 1}) {
		if h.name == name {
			h.advance(now)
			return h, now.UnixMicro()
		}
	}
	t.Fatalf("no host %s", name)
	return nil, 0
}

func TestJournalIsRepeatable(t *testing.T) {
	q := journalctl.Query{Unit: "*", Lines: journalctl.All}
	h, now := lived(t, "db-02")
	all := h.journal(q, 0, now)
	if len(all) < 1000 {
		t.Fatalf("only %d entries", len(all))
	}
	if !slices.IsSortedFunc(all, func(a, b journalctl.Entry) int { return a.Time.Compare(b.Time) }) {
		t.Error("the entries are not in order")
	}
	again, _ := lived(t, "db-02")
	if !slices.Equal(all, again.journal(q, 0, now)) {
		t.Error("another life of the host logs something else")
	}
	var pieces []journalctl.Entry
	const piece = 41 * time.Minute
	for from := now - everything.Microseconds(); from < now; from += piece.Microseconds() {
		pieces = append(pieces, h.journal(q, from, min(from+piece.Microseconds(), now))...)
	}
	if !slices.Equal(all, pieces) {
		t.Errorf("piece by piece it is another journal, of %d entries instead of %d", len(pieces), len(all))
	}
	for _, n := range []int{0, 1, 10, 500, len(all), len(all) + 1} {
		if newest := h.newest(q, n, 0, now); !slices.Equal(all[max(0, len(all)-n):], newest) {
			t.Errorf("the newest %d are %d others", n, len(newest))
		}
	}
	cursors := map[string]bool{}
	for i, e := range all {
		cursors[e.Cursor] = true
		if i%2000 == 0 {
			q.After = e.Cursor
			if !slices.Equal(all[i:], h.journal(q, 0, now)) {
				t.Fatalf("from entry %d on come others than it and those behind it", i)
			}
		}
	}
	if len(cursors) != len(all) {
		t.Errorf("%d cursors of %d entries", len(cursors), len(all))
	}
}

func TestJournalChooses(t *testing.T) {
	h, now := lived(t, "worker-01")
	for _, test := range []struct {
		query journalctl.Query
		is    func(journalctl.Entry) bool
	}{
		{journalctl.Query{Unit: "worker@1.service"}, func(e journalctl.Entry) bool { return e.Unit == "worker@1.service" }},
		{journalctl.Query{Unit: "worker@*.service"}, func(e journalctl.Entry) bool { return strings.HasPrefix(e.Unit, "worker@") }},
		{journalctl.Query{Unit: "*", Priority: "err"}, func(e journalctl.Entry) bool { return e.Priority <= 3 }},
		{journalctl.Query{Unit: "*", Priority: "warning..notice"}, func(e journalctl.Entry) bool { return e.Priority == 4 || e.Priority == 5 }},
	} {
		var want []journalctl.Entry
		for _, e := range h.journal(journalctl.Query{Unit: "*"}, 0, now) {
			if test.is(e) {
				want = append(want, e)
			}
		}
		if got := h.journal(test.query, 0, now); !slices.Equal(want, got) || len(want) == 0 {
			t.Errorf("%+v: %d entries, want %d", test.query, len(got), len(want))
		}
	}
	if none := h.journal(journalctl.Query{Unit: "nothing.service"}, 0, now); len(none) > 0 {
		t.Errorf("of a unit that there is not: %v", none)
	}
}

// What systemd logs about a unit fits what it says of it, in the words of each version.
func TestJournalTellsWhatHappened(t *testing.T) {
	for _, h := range simulate(Config{Hosts: 4, Seed: 1, Pace: time.Hour}) {
		u := h.find("mount_controller.service")
		at := start().Add(time.Minute)
		h.crash(u, at)
		u.step = rest
		u.restarts++
		h.launchAtOnce(u, at.Add(time.Second))
		u.stop(at.Add(2 * time.Second))
		var said []string
		for _, e := range h.journal(journalctl.Query{Unit: u.name}, at.UnixMicro(), at.Add(time.Minute).UnixMicro()) {
			if e.Identifier == "systemd" {
				said = append(said, e.Message)
			}
		}
		named, deactivated := "mount_controller.service - Mount controller", "Deactivated successfully."
		if h.systemd < "248" {
			named, deactivated = "Mount controller", "Succeeded."
		}
		want := []string{
			"mount_controller.service: Main process exited, code=exited, status=1/FAILURE",
			"mount_controller.service: Failed with result 'exit-code'.",
			"mount_controller.service: Scheduled restart job, restart counter is at 1.",
			"Starting " + named + "...", "Started " + named + ".", "Stopping " + named + "...",
			"mount_controller.service: " + deactivated, "Stopped " + named + ".",
		}
		if len(said) > 2 && strings.Contains(said[0], "code=dumped") {
			want[0] = "mount_controller.service: Main process exited, code=dumped, status=11/SEGV"
			want[1] = "mount_controller.service: Failed with result 'core-dump'."
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("%s, systemd %s (-want +got):\n%s", h.name, h.systemd, diff)
		}
	}
}

// follow reads the journal of a host until told to stop.
func follow(t *testing.T, pool *hosts.Pool, h inventory.Host, q journalctl.Query) (entries <-chan journalctl.Entry, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	all, ended := make(chan journalctl.Entry, 1000), make(chan error, 1)
	go func() {
		ended <- pool.Journal(ctx, h, q, time.Minute, func(e journalctl.Entry) error { all <- e; return nil })
	}()
	return all, func() error {
		cancel()
		return <-ended
	}
}

// The pool reads a journal as of a real host: what there is, and then what comes, until it is told to stop.
func TestPoolFollowsTheJournal(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 5, Steady: true})
	pool := newPool(t)
	h := inv.Hosts[slices.IndexFunc(inv.Hosts, func(h inventory.Host) bool { return h.Name == "web-01" })]
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Fatal(err)
	}
	var past []journalctl.Entry
	q := journalctl.Query{Unit: "nginx.service", Lines: 20}
	err := pool.Journal(t.Context(), h, q, time.Minute, func(e journalctl.Entry) error { past = append(past, e); return nil })
	if err != nil || len(past) != 20 {
		t.Fatalf("%d entries, %v", len(past), err)
	}
	q = journalctl.Query{Unit: "nginx.service", Lines: journalctl.All, Follow: true, After: past[9].Cursor}
	entries, stop := follow(t, pool, h, q)
	for i, want := range past[10:] {
		if got := <-entries; got != want {
			t.Errorf("entry %d behind the cursor is %v, want %v", i, got, want)
		}
	}
	if _, err := f.FailUnit("web-01", "nginx.service"); err != nil {
		t.Fatal(err)
	}
	for e := range entries {
		if e.Message == "nginx.service: Failed with result 'exit-code'." {
			break
		}
	}
	if err := stop(); hosts.OutcomeOf(err) != hosts.Timeout || !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop it ended with %v", err)
	}
}

func TestJournalOfAnAccountWithoutRights(t *testing.T) {
	_, inv := startFleet(t, Config{Hosts: 5, Steady: true})
	pool := newPool(t)
	for _, h := range inv.Hosts {
		if _, err := read(t.Context(), pool, h); err != nil {
			t.Fatal(err)
		}
		err := pool.Journal(t.Context(), h, journalctl.Query{Unit: "*", Lines: 1}, time.Minute, func(journalctl.Entry) error { return nil })
		if denied := errors.Is(err, journalctl.ErrNotPermitted); denied != (h.Name == "db-01") {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
}

package hosts_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// A changingHost answers queries and listings as a host with systemd does whose units change now and then.
type changingHost struct {
	mu       sync.Mutex
	bootID   string
	listed   []string          // unit files, in the order of systemctl
	loaded   []string          // only in memory
	aliases  map[string]string // and their primary names
	states   map[string]string // LoadState, for what is not loaded
	refuses  string            // what it says to a listing on stderr
	listings int               // how many it has answered
	asked    []string          // the units of the last query
}

// change changes the host, and gives it a new boot id, so that the next poll but one resolves its globs.
func (h *changingHost) change(bootID string, do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bootID = bootID
	do()
}

func (h *changingHost) exec(_ context.Context, command string, stdout, stderr io.Writer) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	request, err := systemctl.ParseCommand(command)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 127
	}
	section := func(name, body string) {
		_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, name)+body+systemctl.EndMarker(request.Nonce, name, 0))
	}
	if request.Globs != nil {
		h.listings++
		if h.refuses != "" {
			fmt.Fprintln(stderr, h.refuses)
			_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, systemctl.SectionLoaded)+
				systemctl.EndMarker(request.Nonce, systemctl.SectionLoaded, 1))
			return 1
		}
		loaded, installed := "shutdown.target loaded inactive dead Shutdown\n", "shutdown.target static -\n"
		for _, name := range h.loaded {
			loaded += name + " loaded active running A unit\n"
		}
		for _, name := range h.listed {
			installed += name + " enabled enabled\n"
		}
		section(systemctl.SectionLoaded, loaded)
		section(systemctl.SectionInstalled, installed)
		return 0
	}
	section(systemctl.SectionManager, "Version=252\nSystemState=running\n")
	section(systemctl.SectionBoot, h.bootID+"\n")
	h.asked = nil
	for _, group := range request.Groups {
		var records []string
		for _, name := range group.Units {
			h.asked = append(h.asked, name)
			records = append(records, h.record(name))
		}
		section(systemctl.SectionUnits, strings.Join(records, "\n"))
	}
	return 0
}

func (h *changingHost) record(name string) string {
	id, names := name, name
	if primary := h.aliases[name]; primary != "" {
		id, names = primary, name+" "+primary
	}
	load, active := "loaded", "active"
	if state := h.states[name]; state != "" {
		load, active = state, "inactive"
	}
	return fmt.Sprintf("Id=%s\nNames=%s\nLoadState=%s\nActiveState=%s\nSubState=x\n", id, names, load, active)
}

const (
	firstBoot  = "8d3f3f3c-7a1f-4a53-9d1e-2f4f5b0c9a11"
	secondBoot = "9d3f3f3c-7a1f-4a53-9d1e-2f4f5b0c9a12"
	thirdBoot  = "ad3f3f3c-7a1f-4a53-9d1e-2f4f5b0c9a13"
)

// watching connects a pool to the host and returns a function that polls it and says what it saw: "name state" for each
// unit, with "alias>name" for one asked for under an alias.
func watching(t *testing.T, far *changingHost, units, globs []string) (poll func() (seen []string, snapshot hosts.Snapshot, err error)) {
	t.Helper()
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: far.exec})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	h.Units, h.Globs = units, globs
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return func() ([]string, hosts.Snapshot, error) {
		snapshot, err := pool.Poll(t.Context(), h)
		var seen []string
		for _, u := range snapshot.Units {
			name := u.Name
			if u.RequestedAs != "" {
				name = u.RequestedAs + ">" + name
			}
			seen = append(seen, name+" "+u.LoadState)
		}
		return seen, snapshot, err
	}
}

func TestGlobsAreResolvedOnceInAWhile(t *testing.T) {
	far := &changingHost{
		bootID: firstBoot, listed: []string{"app-b.service", "app@.service", "other.service", "app-a.timer"}, loaded: []string{"app@1.service", "app-a.timer"},
	}
	poll := watching(t, far, []string{"zeta.service", "app-b.service"}, []string{"app*"})
	for range 3 {
		seen, snapshot, err := poll()
		if err != nil || snapshot.GlobsErr != nil {
			t.Fatal(err, snapshot.GlobsErr)
		}
		want := []string{"zeta.service loaded", "app-b.service loaded", "app-a.timer loaded", "app@1.service loaded"}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("units (-want +got):\n%s", diff)
		}
	}
	if far.listings != 1 {
		t.Errorf("%d listings for 3 polls, want 1", far.listings)
	}
}

// What is removed is seen as not found once more after the host lists it no longer; what only stops is seen for good.
func TestWhatAGlobFoundNeverSilentlyDisappears(t *testing.T) {
	far := &changingHost{bootID: firstBoot, listed: []string{"app-a.service", "app-b.service", "app-c.service"}}
	poll := watching(t, far, nil, []string{"app-*.service"})
	expect := func(when string, want ...string) {
		t.Helper()
		seen, snapshot, err := poll()
		if err != nil || snapshot.GlobsErr != nil {
			t.Fatal(when, err, snapshot.GlobsErr)
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%s: units (-want +got):\n%s", when, diff)
		}
	}
	expect("at first", "app-a.service loaded", "app-b.service loaded", "app-c.service loaded")
	far.change(secondBoot, func() {
		far.listed = []string{"app-a.service", "app-d.service"}
		far.states = map[string]string{"app-b.service": "not-found", "app-c.service": "masked"}
	})
	expect("after the reboot", "app-a.service loaded", "app-b.service not-found", "app-c.service masked")
	expect("resolved anew", "app-a.service loaded", "app-b.service not-found", "app-c.service masked", "app-d.service loaded")
	expect("then", "app-a.service loaded", "app-c.service masked", "app-d.service loaded")

	far.change(thirdBoot, func() { far.listed = append(far.listed, "app-b.service"); far.states = nil })
	expect("after another reboot", "app-a.service loaded", "app-c.service loaded", "app-d.service loaded")
	expect("installed again", "app-a.service loaded", "app-b.service loaded", "app-c.service loaded", "app-d.service loaded")
	if far.listings != 3 {
		t.Errorf("%d listings, want 3", far.listings)
	}
}

func TestAUnitOfSeveralNamesIsPolledOnce(t *testing.T) {
	aliases := map[string]string{"db-alias.service": "db.service", "old.service": "elsewhere.service", "older.service": "elsewhere.service"}
	for name, tt := range map[string]struct {
		units, listed, want, asked []string
	}{
		"primary and alias": {
			nil,
			[]string{"db-alias.service", "db.service"},
			[]string{"db.service loaded"},
			[]string{"db.service"},
		},
		"aliases only": {
			nil,
			[]string{"old.service", "older.service"},
			[]string{"old.service>elsewhere.service loaded"},
			[]string{"old.service"},
		},
		"alias in the inventory": {
			[]string{"db-alias.service"},
			[]string{"db-alias.service", "db.service"},
			[]string{"db-alias.service>db.service loaded"},
			[]string{"db-alias.service"},
		},
		"primary in the inventory": {
			[]string{"db.service"},
			[]string{"db-alias.service", "db.service"},
			[]string{"db.service loaded"},
			[]string{"db.service"},
		},
		"both in the inventory": {
			[]string{"db-alias.service", "db.service"},
			[]string{"db-alias.service", "db.service", "old.service"},
			[]string{"db-alias.service>db.service loaded", "db.service loaded", "old.service>elsewhere.service loaded"},
			[]string{"db-alias.service", "db.service", "old.service"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			far := &changingHost{bootID: firstBoot, listed: tt.listed, aliases: aliases}
			poll := watching(t, far, tt.units, []string{"*.service"})
			for range 2 {
				seen, _, err := poll()
				if diff := cmp.Diff(tt.want, seen); diff != "" || err != nil {
					t.Errorf("%v; units (-want +got):\n%s", err, diff)
				}
			}
			if diff := cmp.Diff(tt.asked, far.asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// A listing that fails is the poll's failure only as long as nothing is known.
func TestAListingThatFails(t *testing.T) {
	far := &changingHost{bootID: firstBoot, listed: []string{"app.service"}, refuses: "Failed to list units: Access denied"}
	poll := watching(t, far, []string{"zeta.service"}, []string{"app*"})
	if _, _, err := poll(); hosts.OutcomeOf(err) != hosts.Denied || !strings.Contains(err.Error(), "monitor@127.0.0.1:") {
		t.Errorf("at first: outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
	far.change(firstBoot, func() { far.refuses = "" })
	want := []string{"zeta.service loaded", "app.service loaded"}
	if seen, _, err := poll(); cmp.Diff(want, seen) != "" || err != nil {
		t.Errorf("once it can be listed: %v, %v", seen, err)
	}
	far.change(secondBoot, func() { far.refuses = "Failed to list units: Connection timed out" })
	for i, failure := range []hosts.Outcome{hosts.OK, hosts.Timeout, hosts.OK} {
		seen, snapshot, err := poll()
		if cmp.Diff(want, seen) != "" || err != nil || hosts.OutcomeOf(snapshot.GlobsErr) != failure {
			t.Errorf("poll %d: %v, %v, globs %v; want outcome %q of these", i, seen, err, snapshot.GlobsErr, failure)
		}
	}
}

func TestGlobsThatStandForTooMuch(t *testing.T) {
	far := &changingHost{bootID: firstBoot}
	for i := range 1000 {
		far.loaded = append(far.loaded, fmt.Sprintf("unit-%04d.service", i))
	}
	poll := watching(t, far, nil, []string{"*"})
	if seen, _, err := poll(); err != nil || len(seen) != 1001 { // And shutdown.target.
		t.Errorf("%d units, %v; want 1001", len(seen), err)
	}
	for name, pattern := range map[string]string{"units": "unit-%04d.service", "names": "unit-" + strings.Repeat("x", 200) + "-%04d.service"} {
		far := &changingHost{bootID: firstBoot}
		for i := range map[string]int{"units": 2001, "names": 600}[name] {
			far.loaded = append(far.loaded, fmt.Sprintf(pattern, i))
		}
		poll := watching(t, far, nil, []string{"unit*"})
		if _, _, err := poll(); hosts.OutcomeOf(err) != hosts.CommandFailed || !strings.Contains(err.Error(), "narrower") {
			t.Errorf("too many %s: outcome %q, error %.300v", name, hosts.OutcomeOf(err), err)
		}
	}
}

func TestBadGlob(t *testing.T) {
	far := &changingHost{bootID: firstBoot}
	poll := watching(t, far, nil, []string{"[[:digit:]]*"})
	if _, _, err := poll(); hosts.OutcomeOf(err) != hosts.CommandFailed || !strings.Contains(err.Error(), "[[:digit:]]") {
		t.Errorf("outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
	if far.listings != 0 {
		t.Error("it was sent")
	}
}

// A change of the inventory counts at once, also one that takes the globs away.
func TestGlobsChange(t *testing.T) {
	far := &changingHost{bootID: firstBoot, listed: []string{"a.service", "b.service"}}
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: far.exec})
	s.know(t, server, server.HostKey())
	pool, h := newPool(t, hosts.Config{}), s.host(server)
	if err := pool.Connect(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct{ units, globs, want []string }{
		{nil, []string{"a*"}, []string{"a.service"}},
		{[]string{"x.service"}, []string{"b*"}, []string{"x.service", "b.service"}},
		{[]string{"x.service"}, nil, []string{"x.service"}},
		{nil, []string{"a*"}, []string{"a.service"}},
	} {
		h.Units, h.Globs = step.units, step.globs
		if _, err := pool.Poll(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, far.asked); diff != "" {
			t.Errorf("step %d: asked for (-want +got):\n%s", i, diff)
		}
	}
}

// What a listing takes is taken from the time for the query.
func TestListingAndQueryShareTheTimeout(t *testing.T) {
	var limits []time.Duration
	far := &changingHost{bootID: firstBoot, listed: []string{"a.service"}}
	s := newSite(t)
	server := s.start(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		request, err := systemctl.ParseCommand(command)
		if err != nil {
			t.Error(err)
		}
		limits = append(limits, request.Limit) // One at a time.
		return far.exec(ctx, command, stdout, stderr)
	}})
	s.know(t, server, server.HostKey())
	h := s.host(server)
	h.Globs, h.Timeout = []string{"*"}, 10*time.Second
	if _, err := read(t.Context(), newPool(t, hosts.Config{}), h); err != nil {
		t.Fatal(err)
	}
	if len(limits) != 2 || limits[0] > 5*time.Second || limits[0] < time.Second || limits[1] > 9*time.Second || limits[1] < time.Second {
		t.Errorf("limits %v of a poll of 10s, want about half of it, then what is left without a margin", limits)
	}
}

// The connection that breaks in a listing is the poll's affair, names known or not.
func TestConnectionLostInAListing(t *testing.T) {
	far := &changingHost{bootID: firstBoot, listed: []string{"a.service"}}
	var server *sshtest.Server
	s := newSite(t)
	server = s.start(t, sshtest.Config{Exec: func(ctx context.Context, command string, stdout, stderr io.Writer) int {
		if far.bootID == secondBoot && strings.Contains(command, "list-units") {
			return -1 // No exit status, as from a lost connection.
		}
		return far.exec(ctx, command, stdout, stderr)
	}})
	s.know(t, server, server.HostKey())
	h, pool := s.host(server), newPool(t, hosts.Config{})
	h.Units, h.Globs = nil, []string{"*.service"}
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Fatal(err)
	}
	far.change(secondBoot, func() {})
	if _, err := pool.Poll(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Poll(t.Context(), h); hosts.OutcomeOf(err) != hosts.ProtocolError || pool.Connected(h.Name) {
		t.Errorf("outcome %q, error %v, connected %v", hosts.OutcomeOf(err), err, pool.Connected(h.Name))
	}
	far.change(thirdBoot, func() {})
	if got, err := read(t.Context(), pool, h); err != nil || len(got.Units) != 1 {
		t.Errorf("after a new connection: %+v, %v", got, err)
	}
}

// What the inventory lets through can be sent, so that a mistake shows in `check` and not in a poll.
func TestGlobsOfTheInventoryCanBeSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.toml")
	for _, glob := range []string{
		"*", "app-?.service", "[a-c]*", "[!a-c]*", "[^a]*", "[-]x*", "[a-]*", `a\x2d*`, `[\]x*`, "a:b@*.mount", strings.Repeat("*", 255),
		"-*", "a b*", "a,b*", "a/*", "a!b*", "a^b*", "[", "a[b", "[]", "[!]", "[]a]", "[[:digit:]]*", "[a b]*", "[a!]*", "a]*", "é*", "*'",
		"*;id", "$(id)*", strings.Repeat("*", 256),
	} {
		text := fmt.Sprintf("[[hosts]]\nname = \"a\"\nunits = ['''%s''']\n", glob)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, accepted := inventory.Load(path)
		if sent := systemctl.CheckGlob(glob); (accepted == nil) != (sent == nil) {
			t.Errorf("%q: the inventory says %v, the protocol %v", glob, accepted, sent)
		}
	}
}

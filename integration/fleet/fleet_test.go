package fleet

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// startFleet starts a fleet and loads its inventory as the program does.
func startFleet(t *testing.T, config Config) (*Fleet, *inventory.Inventory) {
	t.Helper()
	config.Dir = filepath.Join(t.TempDir(), "a new folder")
	f, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	inv, err := inventory.Load(f.InventoryPath())
	if err != nil {
		t.Fatal(err)
	}
	return f, inv
}

func newPool(t *testing.T) *hosts.Pool {
	t.Helper()
	pool := hosts.New(hosts.Config{})
	t.Cleanup(pool.Close)
	return pool
}

// read connects to h if need be, and polls it.
func read(ctx context.Context, pool *hosts.Pool, h inventory.Host) (hosts.Snapshot, error) {
	if !pool.Connected(h.Name) {
		if err := pool.Connect(ctx, h); err != nil {
			return hosts.Snapshot{}, err
		}
	}
	return pool.Poll(ctx, h)
}

// put puts the host of s into an outage.
func (s *station) put(o outage, lasts time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host.out, s.host.until = o, time.Now().Add(lasts)
}

func TestStartRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]Config{
		"no folder":            {},
		"fewer than no hosts":  {Hosts: -1, Dir: t.TempDir()},
		"a pace into the past": {Pace: -1, Dir: t.TempDir()},
		"after a deficit":      {After: -1, Dir: t.TempDir()},
		"a latency below 0":    {Latency: -1, Dir: t.TempDir()},
		"a file as folder":     {Dir: file},
	} {
		if f, err := Start(config); err == nil {
			f.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPoolReadsEveryHost(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 7, Steady: true})
	if inv.Collector.Name != "demo" || inv.Collector.Interval != 2*time.Second || len(inv.Hosts) != 7 || len(inv.Notices) != 0 {
		t.Errorf("collector %+v, %d hosts, notices %v", inv.Collector, len(inv.Hosts), inv.Notices)
	}
	pool := newPool(t)
	versions := make(map[string]bool)
	if !slices.ContainsFunc(inv.Hosts, func(h inventory.Host) bool { return len(h.Globs) > 0 }) {
		t.Error("no host has a glob")
	}
	for _, h := range inv.Hosts {
		first, err := read(t.Context(), pool, h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := read(t.Context(), pool, h)
		if err != nil {
			t.Fatal(err)
		}
		want := len(h.Units)
		if len(h.Globs) > 0 { // worker@*.service
			want += 2
		}
		if diff := cmp.Diff(first.Units, again.Units); diff != "" || len(first.Units) != want {
			t.Errorf("%s: %d units of %d; (-first +second):\n%s", h.Name, len(first.Units), want, diff)
		}
		versions[first.Manager.Version] = true
	}
	if diff := cmp.Diff(map[string]bool{"247": true, "252": true, "255": true, "257": true}, versions); diff != "" {
		t.Errorf("systemd versions (-want +got):\n%s", diff)
	}
	for _, s := range f.stations {
		if n := s.server.Accepted(); n != 1 {
			t.Errorf("%s had %d connections, want 1", s.host.name, n)
		}
	}
}

// A broker's URL comes out of the inventory as it was, and Started has been told of each host.
func TestBrokerAndStarted(t *testing.T) {
	const url = "amqp://me:a$%7Bb%7D@127.0.0.1:5672/"
	started := 0
	_, inv := startFleet(t, Config{Hosts: 3, Steady: true, Broker: url, Started: func() { started++ }})
	if diff := cmp.Diff([]string{url}, inv.Broker.URLs); diff != "" {
		t.Errorf("URLs (-want +got):\n%s", diff)
	}
	if started != 3 {
		t.Errorf("told of %d hosts of 3", started)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	f, _ := startFleet(t, Config{Hosts: 1})
	for _, name := range []string{"id_ed25519", "known_hosts", "inventory.toml"} {
		info, err := os.Stat(filepath.Join(filepath.Dir(f.InventoryPath()), name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want -rw-------", name, info.Mode())
		}
	}
}

func TestAwayAndBack(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 1, Pace: time.Hour})
	pool, h := newPool(t), inv.Hosts[0]
	before, err := read(t.Context(), pool, h)
	if err != nil {
		t.Fatal(err)
	}
	f.stations[0].put(rebooting, 2*time.Second)
	if _, err := pool.Poll(t.Context(), h); !errors.Is(err, hosts.ErrNotConnected) {
		t.Errorf("as the host goes away: %v", err)
	}
	if err := pool.Connect(t.Context(), h); hosts.OutcomeOf(err) != hosts.Unreachable {
		t.Errorf("while the host is away: outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
	var after hosts.Snapshot
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for after, err = read(t.Context(), pool, h); err != nil; after, err = read(t.Context(), pool, h) {
		if hosts.OutcomeOf(err) != hosts.Unreachable {
			t.Fatal(err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal("it never came back")
		case <-retry.C:
		}
	}
	if before.BootID == after.BootID {
		t.Error("the boot id is the same after a reboot")
	}
}

func TestFrozenAndThawed(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 1, Pace: time.Hour})
	pool, h := newPool(t), inv.Hosts[0]
	if _, err := read(t.Context(), pool, h); err != nil {
		t.Fatal(err)
	}
	f.stations[0].put(frozen, time.Hour)
	h.Timeout, h.ConnectTimeout = time.Second, time.Second
	if _, err := pool.Poll(t.Context(), h); hosts.OutcomeOf(err) != hosts.Timeout {
		t.Errorf("poll: outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
	if err := pool.Connect(t.Context(), h); hosts.OutcomeOf(err) != hosts.Timeout {
		t.Errorf("connect: outcome %q, error %v", hosts.OutcomeOf(err), err)
	}
	f.stations[0].put(frozen, 50*time.Millisecond)
	if _, err := read(t.Context(), pool, inv.Hosts[0]); err != nil {
		t.Errorf("after the thaw: %v", err)
	}
}

// Close must not wait for outages to end.
func TestCloseInAnOutage(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 2, Pace: time.Hour})
	pool := newPool(t)
	for i, o := range []outage{gone, frozen} {
		h := inv.Hosts[i]
		h.Timeout, h.ConnectTimeout = time.Second, time.Second
		f.stations[i].put(o, time.Hour)
		if _, err := read(t.Context(), pool, h); err == nil {
			t.Errorf("%s answers", h.Name)
		}
	}
	f.Close()
}

func TestOtherCommandsAreRefused(t *testing.T) {
	f, inv := startFleet(t, Config{Hosts: 1})
	key, err := os.ReadFile(inv.Hosts[0].SSH.IdentityFile)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	server := f.stations[0].server
	client, err := ssh.Dial("tcp", server.Addr().String(), &ssh.ClientConfig{
		User: "monitor", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(server.HostKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }() // The test is over.
	command, err := systemctl.Query{Nonce: systemctl.NewNonce(), Limit: time.Second}.Command()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"id", "systemctl restart nginx.service", command + "; id"} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		session.Stdout, session.Stderr = &stdout, &stderr
		err = session.Run(command)
		exit, ok := errors.AsType[*ssh.ExitError](err)
		if !ok || exit.ExitStatus() != refusedStatus || stdout.Len() > 0 || !strings.Contains(stderr.String(), "only reports status") {
			t.Errorf("%s: %v, stdout %q, stderr %q", command, err, &stdout, &stderr)
		}
	}
}

// TestUnits has hosts with more units than their roles have, of several types, all of which answer.
func TestUnits(t *testing.T) {
	t.Parallel()
	const units = 20
	f, err := Start(Config{Hosts: 5, Units: units, Seed: 1, Steady: true, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inv, err := inventory.Load(f.InventoryPath())
	if err != nil {
		t.Fatal(err)
	}
	pool := hosts.New(hosts.Config{})
	defer pool.Close()
	for _, h := range inv.Hosts {
		if err := pool.Connect(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		snapshot, err := pool.Poll(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		added := map[string]int{}
		for _, u := range snapshot.Units {
			if strings.Contains(u.Name, "app") && u.LoadState == "loaded" && u.ActiveState == "active" {
				added[filepath.Ext(u.Name)]++
			}
		}
		if len(snapshot.Units) != units || added[".service"] < 3 || added[".socket"] < 3 || added[".mount"] < 3 {
			t.Errorf("%s: %d units, added %v", h.Name, len(snapshot.Units), added)
		}
	}
}

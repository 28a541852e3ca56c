package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/knownhosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// A keyFleet stands for hosts behind jump hosts: each has a key, and is reached only while those before it are trusted.
type keyFleet struct {
	file string
	keys map[string]ssh.PublicKey

	mu    sync.Mutex
	asked []string
}

func (f *keyFleet) standing(h inventory.Host) knownhosts.Verdict {
	known, err := new(knownhosts.Index).Open(f.file)
	if err != nil {
		panic(err)
	}
	return known.Check(hosts.KnownHostsName(h), f.keys[h.Name], time.Now())
}

func (f *keyFleet) scan(_ context.Context, h inventory.Host) (hosts.Offer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, h.Name)
	for jump := h.Via; jump != nil; jump = jump.Via {
		if !f.standing(*jump).Standing.Accepted() {
			return hosts.Offer{}, errors.New("asked before its jump host was trusted")
		}
	}
	return hosts.Offer{Name: hosts.KnownHostsName(h), Key: f.keys[h.Name], Verdict: f.standing(h)}, nil
}

// newKeyFleet makes hosts a, behind b, behind c; d; and e, behind d.
func newKeyFleet(t *testing.T) (*keyFleet, map[string]*inventory.Host) {
	t.Helper()
	f := &keyFleet{file: filepath.Join(t.TempDir(), "known_hosts"), keys: make(map[string]ssh.PublicKey)}
	all := make(map[string]*inventory.Host)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		_, signer, err := sshtest.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		f.keys[name] = signer.PublicKey()
		all[name] = &inventory.Host{Name: name, Address: name, SSH: inventory.SSH{Port: 22, KnownHosts: []string{f.file}}}
	}
	all["a"].Via, all["b"].Via, all["e"].Via = all["b"], all["c"], all["d"]
	return f, all
}

func (f *keyFleet) trust(t *testing.T, selected ...*inventory.Host) (*keyRing, string, error) {
	t.Helper()
	var chosen []inventory.Host
	for _, h := range selected {
		chosen = append(chosen, *h)
	}
	keys := newKeyRing(chosen, f.scan)
	var stderr bytes.Buffer
	a := &app{stdout: &stderr, stderr: &stderr}
	err := a.trustAll(t.Context(), keys, trustFlags{yes: true, format: "table"})
	if wrong := a.printKeys(&stderr, keys); wrong != nil {
		t.Fatal(wrong)
	}
	return keys, stderr.String(), err
}

// Jump hosts are trusted before what is behind them is asked, whether they are selected or not; each host is asked once.
func TestTrustsJumpHostsFirst(t *testing.T) {
	f, all := newKeyFleet(t)
	keys, out, err := f.trust(t, all["a"], all["d"], all["e"])
	if err != nil || keys.left() != nil {
		t.Fatalf("%v, %v:\n%s", keys.left(), err, out)
	}
	if diff := cmp.Diff([]string{"c", "d", "b", "e", "a"}, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	for name, h := range all {
		if got := f.standing(*h).Standing; got != knownhosts.Known {
			t.Errorf("%s is %s", name, got)
		}
	}
	if n := strings.Count(out, "\n"); n != 3+1+5 { // Three times added, a heading, five hosts.
		t.Errorf("%d lines:\n%s", n, out)
	}
}

// What is behind a jump host with a changed key is not asked.
func TestTrustStopsAtChangedJumpHost(t *testing.T) {
	f, all := newKeyFleet(t)
	if err := os.WriteFile(f.file, append([]byte("c "), ssh.MarshalAuthorizedKey(f.keys["d"])...), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, out, err := f.trust(t, all["a"], all["e"])
	if left := keys.left(); err != nil || left == nil || left.Error() != "1 host without a trusted key, 2 hosts could not be asked" {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, want := range []string{"not asked: its jump host b is not trusted", "not asked: its jump host c is not trusted", "changed"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if diff := cmp.Diff([]string{"c", "d", "e"}, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// Of a jump host that does not answer it is not said that its key is not trusted.
func TestTrustBehindJumpHostThatIsAway(t *testing.T) {
	f, all := newKeyFleet(t)
	keys := newKeyRing([]inventory.Host{*all["e"]}, func(context.Context, inventory.Host) (hosts.Offer, error) {
		return hosts.Offer{}, errors.New("away")
	})
	keys.scan(t.Context())
	if got := keys.why(keys.byName["e"]).Error(); got != "not asked: its jump host d could not be asked" || f.asked != nil {
		t.Errorf("%q, asked %v", got, f.asked)
	}
	if left := keys.left(); left == nil || left.Error() != "2 hosts could not be asked" {
		t.Errorf("left: %v", left)
	}
}

// What was under way when trust was told to stop is not told as the host's trouble.
func TestInterruptedTrust(t *testing.T) {
	_, all := newKeyFleet(t)
	ctx, cancel := context.WithCancel(t.Context())
	keys := newKeyRing([]inventory.Host{*all["c"], *all["d"]}, func(ctx context.Context, h inventory.Host) (hosts.Offer, error) {
		if h.Name == "d" {
			cancel()
			return hosts.Offer{}, context.Cause(ctx)
		}
		return hosts.Offer{}, errors.New("away")
	})
	var stdout bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stdout}
	err := a.trustAll(ctx, keys, trustFlags{format: "table"})
	if err == nil || err.Error() != "interrupted: of 2 hosts, 1 were asked; nothing more was added" || exitOf(err) != exitHost {
		t.Errorf("%v", err)
	}
	if err := a.printKeys(&stdout, keys); err != nil {
		t.Fatal(err)
	}
	if out := stdout.String(); !strings.Contains(out, "away") || strings.Count(out, "\n") != 2 || len(keys.results()) != 1 {
		t.Errorf("it printed\n%sand %+v", out, keys.results())
	}
}

// A jump host of no entry of its own is selected by its name.
func TestFindJump(t *testing.T) {
	gate := &inventory.Host{Name: "me@gate:2222", Address: "gate"}
	all := []inventory.Host{{Name: "a"}, {Name: "b", Via: &inventory.Host{Name: "bastion", Via: gate}}}
	if got := findJump(all, "me@gate:2222"); got != gate {
		t.Errorf("%v", got)
	}
	for _, name := range []string{"bastion", "me@gate", "a"} {
		if got := findJump(all, name); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// No more hosts are asked at once than may be; an end of the context ends it.
func TestKeyRingBounds(t *testing.T) {
	var selected []inventory.Host
	for i := range 50 {
		selected = append(selected, inventory.Host{Name: string(rune('A' + i))})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var now, asked atomic.Int64
	var tooMany atomic.Bool
	keys := newKeyRing(selected, func(context.Context, inventory.Host) (hosts.Offer, error) {
		if now.Add(1) > 4 {
			tooMany.Store(true)
		}
		defer now.Add(-1)
		if asked.Add(1) == 30 {
			cancel()
		}
		return hosts.Offer{}, errors.New("away")
	})
	keys.limits.Dials = 4
	keys.scan(ctx)
	if n := asked.Load(); tooMany.Load() || n < 30 || n > 34 {
		t.Errorf("too many at once: %t; %d asked", tooMany.Load(), n)
	}
	if got := keys.why(keys.candidates[len(keys.candidates)-1]).Error(); got != "not asked: interrupted" {
		t.Errorf("%q", got)
	}
}

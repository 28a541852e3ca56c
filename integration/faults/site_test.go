//go:build integration && linux

package faults_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts/sshtest"
	"service_manager/integration/hostile"
	"service_manager/integration/sshd"
	"service_manager/inventory"
)

// A site is a test's own user key and folder.
type site struct {
	dir     string
	userKey ssh.PublicKey
}

func newSite(t *testing.T) site {
	t.Helper()
	private, signer, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s := site{dir: t.TempDir(), userKey: signer.PublicKey()}
	s.write(t, "id", string(private))
	return s
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

func (s site) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fileName makes a host's name, which is also a folder's, of a test's.
func fileName(test string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ,()'", r) {
			return '_'
		}
		return r
	}, test)
}

// patience is a time-out that no healthy host comes near, however busy the machine is.
const patience = 30 * time.Second

// host is the inventory's entry for a server, whose key it makes known.
func (s site) host(t *testing.T, name string, addr *net.TCPAddr, key ssh.PublicKey) inventory.Host {
	t.Helper()
	known := "known_hosts_" + name
	s.write(t, known, knownhosts.Line([]string{knownhosts.Normalize(addr.String())}, key)+"\n")
	return inventory.Host{
		Name:           name,
		Group:          "default",
		Address:        addr.IP.String(),
		Units:          []string{"nginx.service", "backup.timer"},
		Interval:       time.Second,
		Timeout:        patience,
		ConnectTimeout: patience,
		SSH: inventory.SSH{
			User: sshd.User, Port: addr.Port, IdentityFile: s.path("id"), KnownHosts: []string{s.path(known)},
		},
	}
}

// refusing is a host where nothing listens: on a port that no program is given by chance, as it may be one where a server has been.
func (s site) refusing(t *testing.T, name string) inventory.Host {
	t.Helper()
	return s.host(t, name, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, s.userKey)
}

// hostile starts a server in the process.
func (s site) hostile(t *testing.T, name string, act hostile.Act) (*hostile.Server, inventory.Host) {
	t.Helper()
	server, err := hostile.Start(act, s.userKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, s.host(t, name, server.Addr(), server.HostKey())
}

// sshd starts a real one, whose systemctl knows all units and finds them active.
func (s site) sshd(t *testing.T, name string, config sshd.Config) (*sshd.Server, inventory.Host) {
	t.Helper()
	config.Dir = s.path(name)
	if err := os.Mkdir(config.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if config.UserKey == nil {
		config.UserKey = s.userKey
	}
	if config.Files == nil {
		config.Files = map[string]string{"bin/systemctl": systemctl}
	}
	server, err := sshd.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, s.host(t, name, server.Addr(), server.HostKey())
}

// neighbours are two healthy hosts.
func (s site) neighbours(t *testing.T) []inventory.Host {
	t.Helper()
	var all []inventory.Host
	for _, name := range []string{"neighbour-1", "neighbour-2"} {
		_, h := s.hostile(t, name, hostile.Act{})
		all = append(all, h)
	}
	return all
}

// hurry makes a host's time-outs short, for one that does not answer in any time.
func hurry(h *inventory.Host) { h.Timeout, h.ConnectTimeout = 2*time.Second, 5*time.Second }

// systemctl is a program that answers like the real one on a host where every unit is active.
const systemctl = `#!/bin/sh
shift 4 # --no-pager --no-ask-password show --property=...
if [ $# = 0 ]; then
	printf 'Version=252\nSystemState=running\nNFailedUnits=0\nNJobs=0\n'
	exit
fi
shift # --
separator=
for unit do
	printf "$separator"'Id=%s\nNames=%s\nLoadState=loaded\nActiveState=active\nSubState=running\n' "$unit" "$unit"
	separator='\n'
done
`

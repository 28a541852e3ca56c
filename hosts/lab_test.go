package hosts_test

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
	"service_manager/inventory"
)

// A lab is a network of servers without sockets, for the bubble of testing/synctest.
type lab struct {
	site
	servers map[string]*sshtest.Server // by address

	mu         sync.Mutex
	knownHosts string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return &lab{site: newSite(t), servers: make(map[string]*sshtest.Server)}
}

// add starts a server, at port 22 of its name.
func (l *lab) add(t *testing.T, name string, config sshtest.Config) *sshtest.Server {
	t.Helper()
	if config.UserKey == nil {
		config.UserKey = l.userKey
	}
	server, err := sshtest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.servers[net.JoinHostPort(name, "22")] = server
	l.knownHosts += name + " " + string(ssh.MarshalAuthorizedKey(server.HostKey()))
	l.write(t, "known_hosts", l.knownHosts)
	return server
}

// pool is one that dials in the lab.
func (l *lab) pool(t *testing.T) *hosts.Pool {
	t.Helper()
	return newPool(t, hosts.Config{Dial: l.dial})
}

func (l *lab) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	server := l.servers[address]
	l.mu.Unlock()
	if server == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return server.Dial(ctx, network, address)
}

// host is the inventory's entry for the server of that name.
func (l *lab) host(name string, via *inventory.Host) inventory.Host {
	h := l.hostAt(22)
	h.Name, h.Address, h.Via = name, name, via
	h.Timeout, h.ConnectTimeout = 8*time.Second, 5*time.Second
	return h
}

// began is for how long something took.
func began() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

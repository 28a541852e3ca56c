package hosts_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts"
	"service_manager/hosts/sshtest"
)

// Behind a jump host it is the host's own key and login that are told of, and the jump host itself is asked for a tunnel.
func TestExamineBehindAJumpHost(t *testing.T) {
	s := newSite(t)
	behind := s.start(t, sshtest.Config{Exec: commands(seen(well()))})
	bastion := s.start(t, sshtest.Config{
		Exec:    commands(seen(well())),
		Forward: new(net.Dialer).DialContext,
	})
	s.write(t, "known_hosts", knownhosts.Line([]string{knownhosts.Normalize(behind.Addr().String())}, behind.HostKey())+"\n"+
		knownhosts.Line([]string{knownhosts.Normalize(bastion.Addr().String())}, bastion.HostKey())+"\n")
	via, h := s.host(bastion), s.host(behind)
	via.Name, via.Units, h.Units = "bastion", nil, []string{"nginx.service"}
	h.Via = &via
	pool := newPool(t, hosts.Config{})
	r := pool.Examine(t.Context(), h, 0)
	if got := trouble(r); got != nil || r.Outcome != hosts.OK {
		t.Fatalf("outcome %s, trouble %q: %+v", r.Outcome, got, r.Findings)
	}
	for step, want := range map[string]string{"connect": "through bastion in ", "host key": ssh.FingerprintSHA256(behind.HostKey())} {
		i := slices.IndexFunc(r.Findings, func(f hosts.Finding) bool { return f.Step == step })
		if i < 0 || !strings.Contains(r.Findings[i].Detail, want) {
			t.Errorf("%s: %+v, want %q", step, r.Findings, want)
		}
	}
	if got := trouble(pool.Examine(t.Context(), via, 1)); got != nil {
		t.Errorf("the jump host: trouble %q", got)
	}
	bastion.Close()
	r = pool.Examine(t.Context(), h, 0)
	last := r.Findings[len(r.Findings)-1]
	if r.Outcome != hosts.Unreachable || !strings.Contains(last.Detail, "its jump host bastion") {
		t.Errorf("behind a jump host that is gone: outcome %s, %+v", r.Outcome, last)
	}
}

// When the jump host goes away in the middle of it, that is told, and not that the host's sshd hung up.
func TestExamineLosesItsJumpHost(t *testing.T) {
	s := newSite(t)
	var bastion *sshtest.Server
	behind := s.start(t, sshtest.Config{Greet: func(ctx context.Context, c net.Conn) bool {
		_, _ = c.Read(make([]byte, 1)) // The client's banner: the tunnel stands on both ends.
		bastion.Disconnect()
		<-ctx.Done()
		return false
	}})
	bastion = s.start(t, sshtest.Config{Forward: new(net.Dialer).DialContext})
	s.know(t, bastion, bastion.HostKey())
	via, h := s.host(bastion), s.host(behind)
	via.Name, h.Via = "bastion", &via
	r := newPool(t, hosts.Config{}).Examine(t.Context(), h, 0)
	last := r.Findings[len(r.Findings)-1]
	if r.Outcome != hosts.Unreachable || !strings.Contains(last.Detail, "the connection to its jump host bastion broke") {
		t.Errorf("outcome %s, %+v", r.Outcome, last)
	}
}

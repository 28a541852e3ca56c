//go:build integration && linux

package faults_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts"
	"service_manager/integration/hostile"
	"service_manager/integration/sshd"
	"service_manager/inventory"
)

// behind puts hosts behind a jump host.
func behind(via *inventory.Host, all []inventory.Host) []inventory.Host {
	for i := range all {
		all[i].Via = via
	}
	return all
}

// All misdeeds come through a tunnel of a real sshd as they come directly: each ends in its outcome within its time, and neither the
// healthy hosts behind the same jump host nor its connection are disturbed.
func TestSickHostsBehindAJumpHost(t *testing.T) {
	s := newSite(t)
	server, via := s.sshd(t, "bastion", sshd.Config{})
	all, wants := s.misbehave(t)
	hole, err := hostile.NewBlackhole()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hole.Close)
	dark := s.host(t, "black_hole", hole.Addr(), s.userKey)
	hurry(&dark)
	gone := s.refusing(t, "refused")
	wants[dark.Name] = want("bastion answers, but had no connection to the host", hosts.Unreachable)
	wants[gone.Name] = want("bastion could not connect to it: Connection refused", hosts.Unreachable)
	o := observe(t, behind(&via, append(append(s.neighbours(t), all...), dark, gone))...)
	for range 2 {
		for name, status := range o.next(t) {
			if e, ok := wants[name]; ok {
				t.Run(name, func(t *testing.T) { e.check(t, status) })
			}
		}
	}
	if n := strings.Count(server.Log(), "Accepted publickey"); n != 1 {
		t.Errorf("%d connections to the jump host, want one", n)
	}
}

// The trouble of a jump host is told as its own, whatever it is, and passes when a person has mended it.
func TestJumpHostKeyChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server, via := s.sshd(t, "bastion", sshd.Config{})
	_, h := s.hostile(t, "sick", hostile.Act{})
	h.Via = &via
	o := observe(t, append(s.neighbours(t), h)...)
	want("", hosts.OK).check(t, o.sick(t))
	other := s.newKey(t, "other", "ed25519")
	s.write(t, "bastion/host_key", s.read(t, "other"))
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	status := o.await(t, hosts.Unreachable)
	for _, text := range []string{"its jump host bastion: ", "was installed anew", ssh.FingerprintSHA256(other)} {
		want(text, hosts.Unreachable).check(t, status)
	}
	pattern, _, _ := strings.Cut(s.read(t, "known_hosts_bastion"), " ")
	s.write(t, "known_hosts_bastion", plain(pattern, s.read(t, "other.pub")))
	o.await(t, hosts.OK)
}

// A key that may do nothing on a jump host but report status and reach named hosts, as `authorized-keys --help` has it.
func TestBoundJumpHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, h := s.hostile(t, "permitted", hostile.Act{})
	_, sick := s.hostile(t, "sick", hostile.Act{})
	_, via := s.sshd(t, "bastion", sshd.Config{Files: map[string]string{
		"bin/systemctl": systemctl,
		"authorized_keys": fmt.Sprintf("restrict,command=\"sh -c \\\"$SSH_ORIGINAL_COMMAND\\\"\",port-forwarding,permitopen=\"127.0.0.1:%d\" %s",
			h.SSH.Port, ssh.MarshalAuthorizedKey(s.userKey)),
	}})
	all := observe(t, append(append(s.neighbours(t), via), behind(&via, []inventory.Host{h, sick})...)...).next(t)
	want("", hosts.OK).check(t, all["bastion"])
	want("", hosts.OK).check(t, all["permitted"])
	want("permitopen", hosts.Unreachable).check(t, all["sick"])
}

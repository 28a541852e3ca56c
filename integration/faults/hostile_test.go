//go:build integration && linux

package faults_test

import (
	"testing"

	"service_manager/hosts"
	"service_manager/integration/hostile"
	"service_manager/inventory"
)

// A misdeed is an act and what must come of it.
type misdeed struct {
	name  string
	act   hostile.Act
	hurry bool // it would take all the time there is
	want  expectation
}

func misdeeds() []misdeed {
	return []misdeed{
		{"silent", hostile.Silent(), true, want("no SSH banner", hosts.Timeout)},
		{"hangs up", hostile.HangUp(), false, want("MaxStartups", hosts.Throttled)},
		{"banner, a byte a second", hostile.SlowBanner(), true, want("handshake was not finished", hosts.Timeout)},
		{"endless greeting", hostile.EndlessGreeting(), false, want("Welcome to this host!", hosts.ProtocolError)},
		{"garbage", hostile.Garbage(), false, want("no SSH server", hosts.ProtocolError)},
		{"garbage behind the banner", hostile.GarbagePackets(), false, want("handshake failed", hosts.ProtocolError)},
		{"huge packet", hostile.HugePacket(), false, want("handshake failed", hosts.ProtocolError)},
		{"hangs up behind the banner", hostile.Cut(1), false, want("handshake failed", hosts.ProtocolError)},
		{"hangs up behind its proposal", hostile.Cut(2), false, want("handshake failed", hosts.ProtocolError)},
		{"hangs up behind the key exchange", hostile.Cut(4), false, want("hung up during authentication", hosts.Denied)},
		{"stalls behind the banner", hostile.Stall(1), true, want("handshake was not finished", hosts.Timeout)},
		{"stalls behind its proposal", hostile.Stall(2), true, want("handshake was not finished", hosts.Timeout)},
		{"stalls behind the key exchange", hostile.Stall(4), true, want("authentication was not finished", hosts.Timeout)},
		{"silent login", hostile.SilentLogin(), true, want("authentication was not finished", hosts.Timeout)},
		{"refused login", hostile.RefuseLogin(), false, want("authorized_keys", hosts.AuthFailed)},
		{"hangs up after login", hostile.HangUpAfterLogin(), false, want("connection", hosts.ProtocolError)},
		{"silent channel open", hostile.SilentOpen(), true, want("no answer within", hosts.Timeout)},
		{"hangs up on channel open", hostile.HangUpOnOpen(), false, want("connection lost", hosts.ProtocolError)},
		{"silent exec", hostile.SilentExec(), true, want("no answer within", hosts.Timeout)},
		{"hangs up on exec", hostile.HangUpOnExec(), false, want("connection lost", hosts.ProtocolError)},
		{"silent command", hostile.SilentCommand(), true, want("no answer within", hosts.Timeout)},
		{"flood on stdout", hostile.FloodStdout(), false, want("more output", hosts.ProtocolError)},
		{"flood on stderr", hostile.FloodStderr(), false, want("more output", hosts.ProtocolError)},
		{"output, a byte a second", hostile.SlowOutput(), true, want("no answer within", hosts.Timeout)},
		{"hangs up in a record", hostile.HangUpInRecord(), false, want("connection lost", hosts.ProtocolError)},
		{"ends in a record", hostile.EndInRecord(), false, want("cut off", hosts.ProtocolError)},
		// The answer is whole, so that either is right.
		{"never closes the channel", hostile.NeverClose(), true, want("no answer within", hosts.Timeout, hosts.OK)},
		{"never ends its output", hostile.NeverEnd(), true, want("no answer within", hosts.Timeout, hosts.OK)},
		{"another poll's markers", hostile.OtherNonce(), false, want("did not start", hosts.ProtocolError)},
		{"a unit that was not asked for", hostile.ForgedUnit(), false, want("more records than units", hosts.ProtocolError)},
		{"escape sequences", hostile.EscapeSequences(), false, want("harmless", hosts.ProtocolError)},
		{"flood of requests", hostile.FloodRequests(), true, want("", hosts.ProtocolError, hosts.Timeout)},
		{"a thousand requests", hostile.Chatty(), false, want("", hosts.OK)},
		{"healthy", hostile.Act{}, false, want("", hosts.OK)},
	}
}

// misbehave starts a server for each misdeed. It returns their hosts, and what to expect of them by the hosts' names.
func (s site) misbehave(t *testing.T) ([]inventory.Host, map[string]expectation) {
	t.Helper()
	var all []inventory.Host
	wants := make(map[string]expectation)
	for _, m := range misdeeds() {
		_, h := s.hostile(t, fileName(m.name), m.act)
		if m.hurry {
			hurry(&h)
		}
		all, wants[h.Name] = append(all, h), m.want
	}
	return all, wants
}

// TestHostileServers plays all acts at once beside healthy hosts, twice: what the first poll leaves behind must not change the second.
func TestHostileServers(t *testing.T) {
	s := newSite(t)
	all, wants := s.misbehave(t)
	o := observe(t, append(s.neighbours(t), all...)...)
	for range 2 {
		for name, status := range o.next(t) {
			if e, ok := wants[name]; ok {
				t.Run(name, func(t *testing.T) { e.check(t, status) })
			}
		}
	}
}

// A host behind a firewall that drops, and one that has no sshd.
func TestNoConnection(t *testing.T) {
	t.Run("black hole", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		hole, err := hostile.NewBlackhole()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(hole.Close)
		h := s.host(t, "sick", hole.Addr(), s.userKey)
		hurry(&h)
		o := observe(t, append(s.neighbours(t), h)...)
		for range 2 {
			want("firewall", hosts.Unreachable).check(t, o.sick(t))
		}
	})
	t.Run("refused", func(t *testing.T) { // While nothing else starts that may be given the same port.
		s := newSite(t)
		server, h := s.hostile(t, "sick", hostile.Act{})
		o := observe(t, append(s.neighbours(t), h)...)
		want("", hosts.OK).check(t, o.sick(t))
		server.Close()
		status := o.await(t, hosts.Unreachable)
		want("connection refused", hosts.Unreachable).check(t, status)
		if status.StaleSince == nil || len(status.Units) != 2 {
			t.Errorf("stale since %v, %d units; want the last known ones", status.StaleSince, len(status.Units))
		}
	})
	t.Run("no such name", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, h := s.hostile(t, "sick", hostile.Act{})
		h.Address = "sick.invalid" // RFC 6761: it never exists.
		o := observe(t, append(s.neighbours(t), h)...)
		want("sick.invalid", hosts.Unreachable).check(t, o.sick(t))
	})
}

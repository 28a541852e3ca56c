package change

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
)

var errFull = errors.New("the outbox is full")

// invocation returns a property with an invocation id that no captured unit has.
func invocation(n int) string { return fmt.Sprintf("InvocationID=%032x", n) }

// A sequence is what happens to a captured host after its first poll, poll by poll, and what is told of it.
type sequence struct {
	name  string
	polls []func(*scene) hosts.Outcome
	want  []string
}

// when is a poll that goes well, after something has happened.
func when(happens func(*scene)) func(*scene) hosts.Outcome {
	return func(s *scene) hosts.Outcome {
		happens(s)
		return hosts.OK
	}
}

// set is a poll that goes well, after a unit has got those properties.
func set(unit string, properties ...string) func(*scene) hosts.Outcome {
	return when(func(s *scene) { s.set(unit, properties...) })
}

// ends is a poll that ends so.
func ends(outcome hosts.Outcome) func(*scene) hosts.Outcome {
	return func(*scene) hosts.Outcome { return outcome }
}

func sequences() []sequence {
	const (
		mount     = "mount_controller.service"
		api       = "api.service"
		broken    = "broken.service"
		crashloop = "crashloop.service"
		oneshot   = "oneshot.service"
		backup    = "backup.service"
		masked    = "masked.service"
		ghost     = "ghost.service"
	)
	type polls = []func(*scene) hosts.Outcome
	return []sequence{
		{"nothing happens", polls{ends(hosts.OK), ends(hosts.OK)}, nil},
		{"only what is not compared", polls{set(api, "MainPID=77", "CPUUsageNSec=5", "StatusText=busy", "Description=New")}, nil},
		{"a manual restart", polls{set(mount, invocation(1))}, []string{
			"unit.restarted mount_controller.service: active/running > active/running, restarts 1, at 10:00:10",
		}},
		{"Restart= restarts it once", polls{set(mount, invocation(1), "NRestarts=1")}, []string{
			"unit.restarted mount_controller.service: active/running > active/running, restarts 1, at 10:00:10",
		}},
		{"Restart= restarts it several times", polls{set(mount, invocation(1), "NRestarts=3")}, []string{
			"unit.restarted mount_controller.service: active/running > active/running, restarts 3, at 10:00:10",
		}},
		{"restarted by hand, then by Restart=", polls{
			set(mount, invocation(1), "NRestarts=4"),
			set(mount, invocation(2), "NRestarts=2"),
		}, []string{
			"unit.restarted mount_controller.service: active/running > active/running, restarts 4, at 10:00:10",
			"unit.restarted mount_controller.service: active/running > active/running, restarts 3, at 10:00:20",
		}},
		{"stopped in a crash loop and started again: the count stays", polls{
			set(mount, "ActiveState=activating", "SubState=auto-restart", invocation(1), "NRestarts=40"),
			set(mount, "ActiveState=inactive", "SubState=dead"),
			set(mount, "ActiveState=active", "SubState=running", invocation(2)),
		}, []string{
			"unit.restarted mount_controller.service: active/running > activating/auto-restart, restarts 40, at 10:00:10",
			"unit.changed mount_controller.service: activating/auto-restart > inactive/dead, at 10:00:20",
			"unit.restarted mount_controller.service: inactive/dead > active/running, restarts 1, at 10:00:30",
		}},
		{"a restart that is queued is counted when it begins", polls{
			set(mount, "ActiveState=activating", "SubState=auto-restart-queued", "NRestarts=1"),
			set(mount, "ActiveState=active", "SubState=running", invocation(1)),
		}, []string{
			"unit.changed mount_controller.service: active/running > activating/auto-restart-queued, at 10:00:10",
			"unit.restarted mount_controller.service: activating/auto-restart-queued > active/running, restarts 1, at 10:00:20",
		}},
		{"a restart that is queued and given up is none", polls{
			set(mount, "ActiveState=activating", "SubState=auto-restart-queued", "NRestarts=1"),
			set(mount, "ActiveState=inactive", "SubState=dead"),
		}, []string{
			"unit.changed mount_controller.service: active/running > activating/auto-restart-queued, at 10:00:10",
			"unit.changed mount_controller.service: activating/auto-restart-queued > inactive/dead, at 10:00:20",
		}},
		{"restarting and refreshing are on the way up", polls{
			set(mount, "ActiveState=activating", "SubState=start", invocation(1)),
			set(mount, "ActiveState=refreshing", "SubState=mounting", invocation(2)),
			set(mount, "ActiveState=deactivating", "SubState=stop", invocation(3)),
		}, []string{
			"unit.restarted mount_controller.service: active/running > activating/start, restarts 1, at 10:00:10",
			"unit.restarted mount_controller.service: activating/start > refreshing/mounting, restarts 1, at 10:00:20",
			"unit.changed mount_controller.service: refreshing/mounting > deactivating/stop, restarts 1, at 10:00:30",
		}},
		{"stopped and started between two polls", polls{
			set(api, "ActiveState=inactive", "SubState=dead"),
			set(api, "ActiveState=active", "SubState=running", invocation(1)),
		}, []string{
			"unit.changed api.service: active/running > inactive/dead, at 10:00:10",
			"unit.restarted api.service: inactive/dead > active/running, restarts 1, at 10:00:20",
		}},
		{"a oneshot run between two polls", polls{set(backup, invocation(1))}, []string{
			"unit.changed backup.service: inactive/dead > inactive/dead, restarts 1, at 10:00:10",
		}},
		{"a failure", polls{set(api, "ActiveState=failed", "SubState=failed", "Result=exit-code", "ExecMainCode=1", "ExecMainStatus=2")}, []string{
			"unit.failed api.service: active/running > failed/failed, at 10:00:10",
		}},
		{"a failure cured by an automatic restart shows as the restart", polls{set(api, invocation(1), "NRestarts=1")}, []string{
			"unit.restarted api.service: active/running > active/running, restarts 1, at 10:00:10",
		}},
		{"failed in another invocation", polls{set(broken, invocation(1))}, []string{
			"unit.failed broken.service: failed/failed > failed/failed, restarts 1, at 10:00:10",
		}},
		{"failed, and its file edited", polls{set(broken, "NeedDaemonReload=yes")}, []string{
			"unit.changed broken.service: failed/failed > failed/failed",
		}},
		{"reset-failed, then started", polls{
			set(broken, "ActiveState=inactive", "SubState=dead", "Result=success"),
			set(broken, "ActiveState=active", "SubState=running", invocation(1)),
		}, []string{
			"unit.recovered broken.service: failed/failed > inactive/dead, at 10:00:10",
			"unit.restarted broken.service: inactive/dead > active/running, restarts 1, at 10:00:20",
		}},
		{"recovered by a start", polls{set(broken, "ActiveState=active", "SubState=running", invocation(1))}, []string{
			"unit.recovered broken.service: failed/failed > active/running, restarts 1, at 10:00:10",
		}},
		{"daemon-reload needed, then done", polls{set(api, "NeedDaemonReload=yes"), set(api, "NeedDaemonReload=no")}, []string{
			"unit.changed api.service: active/running > active/running",
			"unit.changed api.service: active/running > active/running",
		}},
		{"disabled", polls{set(api, "UnitFileState=disabled")}, []string{"unit.changed api.service: active/running > active/running"}},
		{"masked while it runs, stopped, unmasked, started", polls{
			set(api, "LoadState=masked", "UnitFileState=masked"),
			set(api, "ActiveState=inactive", "SubState=dead"),
			set(api, "LoadState=loaded", "UnitFileState=enabled"),
			set(api, "ActiveState=active", "SubState=running", invocation(1)),
		}, []string{
			"unit.changed api.service: active/running > masked active",
			"unit.changed api.service: masked active > masked inactive, at 10:00:20",
			"unit.changed api.service: masked inactive > inactive/dead",
			"unit.restarted api.service: inactive/dead > active/running, restarts 1, at 10:00:40",
		}},
		{"a masked unit fails to be one", polls{set(masked, "LoadState=bad-setting", "UnitFileState=bad")}, []string{
			"unit.changed masked.service: masked inactive > bad-setting inactive",
		}},
		{"removed while it runs, then stopped, then back", polls{
			set(api, "LoadState=not-found", "UnitFileState="),
			set(api, "ActiveState=inactive", "SubState=dead", "InvocationID="),
			set(api, "LoadState=loaded", "UnitFileState=enabled", "ActiveState=active", "SubState=running", invocation(1)),
		}, []string{
			"unit.missing api.service: active/running > not-found active",
			"unit.changed api.service: not-found active > not-found inactive, at 10:00:20",
			"unit.appeared api.service: not-found inactive > active/running, restarts 1, at 10:00:30",
		}},
		{"installed", polls{set(ghost, "LoadState=loaded", "UnitFileState=disabled")}, []string{
			"unit.appeared ghost.service: not-found inactive > inactive/dead",
		}},
		{"failed and removed", polls{set(broken, "LoadState=not-found")}, []string{"unit.missing broken.service: failed/failed > not-found failed"}},
		{"no longer listed, though asked for, and back", polls{
			when(func(s *scene) { s.drop(oneshot, ghost); s.asked = []string{oneshot, ghost} }),
			ends(hosts.OK),
			when(func(s *scene) { *s = *withUnits(s) }),
		}, []string{
			"unit.missing oneshot.service: active/exited > null",
			"unit.appeared oneshot.service: null > active/exited",
		}},
		{"no longer listed, then not-found, then installed", polls{
			when(func(s *scene) { s.drop(oneshot); s.asked = []string{oneshot} }),
			when(func(s *scene) {
				*s = *withUnits(s)
				s.set(oneshot, "LoadState=not-found", "ActiveState=inactive", "SubState=dead")
			}),
			set(oneshot, "LoadState=loaded"),
		}, []string{
			"unit.missing oneshot.service: active/exited > null",
			"unit.appeared oneshot.service: null > inactive/dead",
		}},
		{"no longer asked for, and asked for again", polls{
			when(func(s *scene) { s.drop(oneshot, crashloop) }),
			when(func(s *scene) { *s = *withUnits(s) }),
		}, nil},
		{"an alias beside its unit tells nothing of its own", polls{set(mount, invocation(1))}, []string{
			"unit.restarted mount_controller.service: active/running > active/running, restarts 1, at 10:00:10",
		}},
		{"an alias comes to stand for another unit", polls{
			when(func(s *scene) { s.drop(mount) }), // The alias comes into sight.
			when(func(s *scene) { s.become("mount-controller.service", oneshot); s.drop(oneshot) }),
		}, []string{
			"unit.restarted oneshot.service: active/running > active/exited, restarts 1, at 09:15:51",
		}},
		{"away and back, unchanged", polls{ends(hosts.Timeout), ends(hosts.Timeout), ends(hosts.OK)}, []string{
			"host.unreachable: ok 1f0c > timeout 1f0c",
			"host.recovered: timeout 1f0c > ok 1f0c",
		}},
		{"away for several reasons, and back with changes", polls{
			ends(hosts.Unreachable), ends(hosts.AuthFailed), ends(hosts.HostKeyChanged), ends(hosts.HostKeyUnknown),
			set(api, invocation(1)),
		}, []string{
			"host.unreachable: ok 1f0c > unreachable 1f0c",
			"host.unreachable: unreachable 1f0c > auth_failed 1f0c",
			"host.key_changed: auth_failed 1f0c > host_key_changed 1f0c",
			"host.unreachable: host_key_changed 1f0c > host_key_unknown 1f0c",
			"host.recovered: host_key_unknown 1f0c > ok 1f0c",
			"unit.restarted api.service: active/running > active/running, restarts 1, at 10:00:50",
		}},
		{"a reboot behind an outage", polls{ends(hosts.Timeout), when(func(s *scene) {
			s.reboot()
			s.set(mount, invocation(1))
			s.set(broken, "ActiveState=inactive", "SubState=dead", "InvocationID=")
		})}, []string{
			"host.unreachable: ok 1f0c > timeout 1f0c",
			"host.recovered: timeout 1f0c > ok 2a1d",
			"host.rebooted: timeout 1f0c > ok 2a1d, at 10:00:20",
			"unit.restarted mount_controller.service: active/running > active/running, restarts 1, at 10:00:20",
			"unit.recovered broken.service: failed/failed > inactive/dead, at 10:00:20",
		}},
		{"a reboot between two polls", polls{when((*scene).reboot)}, []string{"host.rebooted: ok 1f0c > ok 2a1d, at 10:00:10"}},
		{"a soft reboot has the same kernel", polls{when(func(s *scene) { s.reboot(); s.bootID = bootA })}, []string{
			"host.rebooted: ok 1f0c > ok 1f0c, at 10:00:10",
		}},
		{"a boot id that is not told, and another one", polls{
			when(func(s *scene) { s.bootID = "" }), when(func(s *scene) { s.bootID = bootB }),
		}, []string{"host.rebooted: ok 1f0c > ok 2a1d, at 09:15:50"}},
	}
}

// withUnits is s with all units asked for again.
func withUnits(s *scene) *scene {
	fresh := captured(s.tb, "252")
	fresh.baseline, fresh.now = s.baseline, s.now
	return fresh
}

func TestSequences(t *testing.T) {
	t.Parallel()
	for _, tc := range sequences() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := captured(t, "252")
			if got := s.poll(hosts.OK); got != nil {
				t.Errorf("the first poll has told %q", got)
			}
			var got []string
			for _, poll := range tc.polls {
				got = append(got, s.poll(poll(s))...)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
			if diff := cmp.Diff(s.baseline.State(), s.stored); diff != "" {
				t.Error("-baseline +stored:\n" + diff)
			}
		})
	}
}

// TestSequencesLate has the same sequences while commits fail: what is told late is the same as if only the last poll had been.
func TestSequencesLate(t *testing.T) {
	t.Parallel()
	for _, tc := range sequences() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			late, once := captured(t, "252"), captured(t, "252")
			late.poll(hosts.OK)
			once.poll(hosts.OK)
			before := late.baseline.State()
			var want []string
			for i, poll := range tc.polls {
				late.failing = i < len(tc.polls)-1
				outcome := poll(late)
				poll(once)
				if late.failing {
					late.poll(outcome)
					if diff := cmp.Diff(before, late.baseline.State()); diff != "" {
						t.Fatal("a commit has failed, and the baseline moved: -want +got:\n" + diff)
					}
					once.now = once.now.Add(10 * time.Second)
					continue
				}
				want = once.poll(outcome)
				if diff := cmp.Diff(want, late.poll(outcome)); diff != "" {
					t.Error("-want +got:\n" + diff)
				}
			}
		})
	}
}

// TestOtherVersions has one sequence on each captured host.
func TestOtherVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"247", "252", "257"} {
		s := captured(t, version)
		s.poll(hosts.OK)
		s.set("api.service", "ActiveState=failed", "SubState=failed")
		got := s.poll(hosts.OK)
		s.set("api.service", "ActiveState=active", "SubState=running", invocation(1))
		got = append(got, s.poll(hosts.OK)...)
		if diff := cmp.Diff([]string{
			"unit.failed api.service: active/running > failed/failed, at 10:00:10",
			"unit.recovered api.service: failed/failed > active/running, restarts 1, at 10:00:20",
		}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", version, diff)
		}
	}
}

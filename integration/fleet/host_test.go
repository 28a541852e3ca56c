package fleet

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts/systemctl"
)

// start is when the simulations of the tests begin.
func start() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }

func simulate(config Config) []*host {
	if config.Pace == 0 {
		config.Pace = 20 * time.Second
	}
	groups := groups()
	return newHosts(config, &groups, start())
}

// ask gives h the real command and returns what it prints, and that parsed.
func ask(t *testing.T, h *host, units []string, now time.Time) ([]byte, systemctl.Answer) {
	t.Helper()
	query := systemctl.Query{Nonce: strings.Repeat("0123456789abcdef", 2), Units: units, Limit: time.Second}
	command, err := query.Command()
	if err != nil {
		t.Fatal(err)
	}
	request, err := systemctl.ParseCommand(command)
	if err != nil {
		t.Fatal(err)
	}
	h.advance(now)
	out := h.answer(nil, request, now)
	answer, err := query.Parse(out, nil)
	if err != nil {
		t.Fatalf("%s at %v: %v in\n%s", h.name, now, err, out)
	}
	if answer.Regroup || len(answer.Units) != len(units) {
		t.Fatalf("%s: regroup %v, %d units of %d", h.name, answer.Regroup, len(answer.Units), len(units))
	}
	return out, answer
}

// A life is a quarter of an hour of a host, asked every second.
func life(t *testing.T, h *host, visit func(now time.Time, answer systemctl.Answer)) {
	t.Helper()
	units := h.group.watched()
	for now := start(); now.Before(start().Add(15 * time.Minute)); now = now.Add(time.Second) {
		if _, answer := ask(t, h, units, now); h.out == present {
			visit(now, answer)
		}
	}
}

func TestEveryAnswerIsLegal(t *testing.T) {
	for seed := range uint64(2) {
		for _, h := range simulate(Config{Hosts: 8, Seed: seed + 1}) {
			var before systemctl.Answer
			life(t, h, func(now time.Time, answer systemctl.Answer) {
				for i, u := range answer.Units {
					problem := illegal(u, now)
					if problem == "" && before.BootID == answer.BootID {
						problem = illegalChange(before.Units[i], u)
					}
					if problem != "" {
						t.Fatalf("seed %d, %s at %v: %s:\n%+v", seed+1, h.name, now, problem, u)
					}
				}
				before = answer
			})
		}
	}
}

// illegal says what of a unit no systemd would say, "" for nothing.
func illegal(u systemctl.Unit, now time.Time) string {
	if u.LoadState != "loaded" {
		return illegalUnloaded(u)
	}
	state := u.ActiveState + " " + u.SubState
	isService := strings.HasSuffix(u.Name, ".service")
	running := isService && (u.ActiveState == active || u.ActiveState == reloading)
	switch {
	case !slices.Contains(legalStates(u.Name), state):
		return "state " + state
	case u.ActiveState == failed && u.Result == "success", u.ActiveState == active && u.Result != "success":
		return "result " + u.Result
	case u.ActiveState == active && (u.Since == nil || u.InvocationID == ""):
		return "active, but never started"
	case running && (u.MainPID == nil || u.ExitCode != "" || u.MemoryBytes == nil || u.Tasks == nil):
		return "running without a process"
	case isService && !running && u.SubState != subStart && u.SubState != subStopSigterm && u.MainPID != nil:
		return "a process, but not running"
	case u.SubState == subAutoRestart && u.Result == "success":
		return "an automatic restart after a success"
	case u.Since != nil && u.Since.After(now), u.StateChange != nil && u.StateChange.After(now):
		return "it has happened in the future"
	case u.Since != nil && u.StateChange.Before(*u.Since):
		return "since a time after its last change"
	case strings.HasSuffix(u.Name, ".timer") && u.ActiveState == active && u.NextElapse == nil:
		return "a timer without a next elapse"
	case strings.HasSuffix(u.Name, ".timer") && u.SubState == subWaiting && u.NextElapse.Before(now.Add(-2*time.Second)): // Boot times are whole seconds.
		return "a timer that missed its time"
	}
	return ""
}

func illegalUnloaded(u systemctl.Unit) string {
	want := systemctl.Unit{
		RequestedAs: u.RequestedAs, Name: u.Name, Description: u.Name, LoadState: u.LoadState,
		ActiveState: inactive, SubState: subDead, UnitFileState: u.UnitFileState, NeedDaemonReload: new(false),
	}
	return cmp.Diff(want, u)
}

func legalStates(name string) []string {
	switch name[strings.LastIndexByte(name, '.'):] {
	case ".service":
		return []string{
			"inactive dead", "activating start", "activating auto-restart", "active running", "reloading reload",
			"deactivating stop-sigterm", "failed failed",
		}
	case ".timer":
		return []string{"inactive dead", "active waiting", "active running"}
	case ".socket":
		return []string{"inactive dead", "active listening", "active running"}
	}
	return []string{"inactive dead", "active mounted"}
}

// illegalChange says what of a change from one second to the next cannot be, without a reboot between them.
func illegalChange(before, after systemctl.Unit) string {
	sameInvocation := before.InvocationID == after.InvocationID
	switch {
	case before.Restarts != nil && *after.Restarts > *before.Restarts && sameInvocation:
		return "NRestarts rose within one invocation"
	case before.StateChange != nil && after.StateChange.Before(*before.StateChange):
		return "its last change became earlier"
	case before.StateChange != nil && before.StateChange.Equal(*after.StateChange) && sameInvocation &&
		before.ActiveState != after.ActiveState && !before.StateChange.After(*after.Since):
		return "" // More than one change within the second that timestamps tell.
	case before.SubState != after.SubState && after.StateChange == nil:
		return "a change without a time"
	case sameInvocation && before.CPUSeconds != nil && *after.CPUSeconds < *before.CPUSeconds:
		return "CPU time went back"
	}
	return ""
}

func TestEveryKindOfEventWithinThreeMinutes(t *testing.T) {
	for seed := range uint64(8) {
		seen := make(map[string]bool)
		for _, h := range simulate(Config{Hosts: 5, Seed: seed + 1}) {
			for now := start(); now.Before(start().Add(3 * time.Minute)); now = now.Add(time.Second) {
				_, answer := ask(t, h, h.group.watched(), now)
				seen[fmt.Sprint("outage ", h.out)] = true
				for _, u := range answer.Units {
					seen[u.SubState] = true
					seen[fmt.Sprint("daemon-reload ", *u.NeedDaemonReload)] = true
					seen[u.Result] = true
				}
			}
		}
		for _, want := range []string{
			"outage 0", "outage 1", "outage 2", "outage 3", "daemon-reload true", subReload, subAutoRestart, subFailed,
			subStopSigterm, subRunning, subWaiting, "exit-code",
		} {
			if !seen[want] {
				t.Errorf("seed %d: no %s within three minutes", seed+1, want)
			}
		}
	}
}

func TestFirstSweep(t *testing.T) {
	for _, n := range []int{1, 5, 23} {
		for seed := range uint64(8) {
			seen := make(map[string]int)
			for _, h := range simulate(Config{Hosts: n, Seed: seed + 1}) {
				_, answer := ask(t, h, h.group.watched(), start().Add(2*time.Second))
				if h.out != present {
					t.Errorf("%d hosts, seed %d: %s is away", n, seed+1, h.name)
				}
				for _, u := range answer.Units {
					seen[u.ActiveState]++
					seen[u.LoadState]++
				}
			}
			if seen[failed] == 0 || seen["not-found"] == 0 || seen[active] < 3*n {
				t.Errorf("%d hosts, seed %d: states %v", n, seed+1, seen)
			}
		}
	}
}

// A large fleet takes its time to be read for the first time; until then no host goes away.
func TestFirstSweepOfManyHosts(t *testing.T) {
	hosts := simulate(Config{Hosts: 500, Seed: 1, Pace: time.Second})
	for _, moment := range []struct {
		at   time.Duration
		away bool
	}{{4900 * time.Millisecond, false}, {time.Minute, true}} {
		away := 0
		for _, h := range hosts {
			h.advance(start().Add(moment.at))
			if h.out != present {
				away++
			}
		}
		if (away > 0) != moment.away {
			t.Errorf("%d of 500 hosts are away after %v", away, moment.at)
		}
	}
}

func TestNames(t *testing.T) {
	var got []string
	for _, h := range simulate(Config{Hosts: 7}) {
		got = append(got, h.name)
	}
	want := []string{"web-01", "web-02", "web-03", "web-04", "db-01", "cache-01", "worker-01"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if last := simulate(Config{Hosts: 1000})[0].name; last != "web-001" {
		t.Errorf("the first of 1,000 hosts is %s, want web-001", last)
	}
	if next := simulate(Config{Hosts: 7, After: 120})[0].name; next != "web-121" {
		t.Errorf("the first after 120 is %s, want web-121", next)
	}
}

// What a host does must not depend on when it is asked.
func TestSameSeedSameCourse(t *testing.T) {
	often, once := simulate(Config{Hosts: 5, Seed: 7}), simulate(Config{Hosts: 5, Seed: 7})
	other := simulate(Config{Hosts: 5, Seed: 8})
	end := start().Add(10 * time.Minute)
	for i, h := range often {
		units := h.group.watched()
		for now := start(); now.Before(end); now = now.Add(700 * time.Millisecond) {
			h.advance(now)
		}
		first, _ := ask(t, h, units, end)
		second, _ := ask(t, once[i], units, end)
		if diff := cmp.Diff(string(first), string(second)); diff != "" {
			t.Errorf("%s, asked often and once (-often +once):\n%s", h.name, diff)
		}
		if third, _ := ask(t, other[i], units, end); bytes.Equal(first, third) {
			t.Errorf("%s does the same with another seed", h.name)
		}
	}
}

func TestSteadyNeverChanges(t *testing.T) {
	for _, h := range simulate(Config{Hosts: 5, Steady: true}) {
		units := h.group.watched()
		first, answer := ask(t, h, units, start())
		if later, _ := ask(t, h, units, start().Add(24*time.Hour)); !bytes.Equal(first, later) {
			t.Errorf("%s changed", h.name)
		}
		for _, u := range answer.Units {
			if u.ActiveState == activating {
				t.Errorf("%s: %s is activating for ever", h.name, u.Name)
			}
		}
	}
}

func TestRebootBeginsAnew(t *testing.T) {
	for _, h := range simulate(Config{Hosts: 5, Seed: 3}) {
		var before systemctl.Answer
		reboots := 0
		life(t, h, func(_ time.Time, answer systemctl.Answer) {
			if before.BootID != "" && before.BootID != answer.BootID {
				reboots++
				if !answer.Manager.UserspaceTime.After(*before.Manager.UserspaceTime) || answer.Manager.State != "starting" {
					t.Errorf("%s: manager before %+v, after %+v", h.name, before.Manager, answer.Manager)
				}
				for i, u := range answer.Units {
					if u.InvocationID != "" && u.InvocationID == before.Units[i].InvocationID {
						t.Errorf("%s: %s kept its invocation", h.name, u.Name)
					}
				}
			}
			before = answer
		})
		if reboots == 0 {
			t.Errorf("%s never rebooted", h.name)
		}
	}
}

// A crash loop shows as rising NRestarts with a new invocation each, never as failed before its end.
func TestCrashLoop(t *testing.T) {
	most := 0
	for _, h := range simulate(Config{Hosts: 5, Seed: 5}) {
		life(t, h, func(_ time.Time, answer systemctl.Answer) {
			for _, u := range answer.Units {
				if u.Restarts != nil {
					most = max(most, *u.Restarts)
				}
			}
		})
	}
	if most < 4 {
		t.Errorf("NRestarts never exceeded %d", most)
	}
}

// In a large fleet as much happens as a person can follow, and few hosts are in trouble at a time, so that these stand out.
func TestLargeFleetIsMostlyWell(t *testing.T) {
	const hosts, minutes = 1000, 30
	fleet := simulate(Config{Hosts: hosts, Seed: 1, Pace: paceOf(hosts)})
	before := make([]int, hosts)
	for i, h := range fleet {
		before[i] = h.turn
	}
	incidents := 0
	for minute := range minutes {
		troubled := 0
		for i, h := range fleet {
			h.advance(start().Add(time.Duration(minute) * time.Minute))
			if h.turn != before[i] {
				incidents++
			}
			before[i] = h.turn
			if h.out != present || h.countUnits(failed) > 0 || h.group.name == "web" && h.find("promtail.service") == nil {
				troubled++
			}
		}
		if troubled == 0 || troubled > hosts/40 {
			t.Errorf("after %d minutes %d of %d hosts are in trouble", minute, troubled, hosts)
		}
	}
	if perMinute := incidents / minutes; perMinute < 10 || perMinute > 20 {
		t.Errorf("%d incidents per minute, want about 15", perMinute)
	}
}

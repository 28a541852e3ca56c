//go:build integration

package integration

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/publish"
)

// The hosts of the stack, their groups and systemd versions.
func stackHosts() map[string]struct{ key, systemd string } {
	return map[string]struct{ key, systemd string }{
		"web-01": {"status.web.web-01", "252"},
		"web-02": {"status.web.web-02", "257"},
		"db-01":  {"status.db.db-01", "247"},
	}
}

func from(host string, and func(received) bool) func(received) bool {
	return func(r received) bool { return r.status.Host.Name == host && and(r) }
}

func isOK(r received) bool { return r.status.Outcome == "ok" }

func outcome(word string) func(received) bool {
	return func(r received) bool { return r.status.Outcome == word }
}

func TestEveryHostUnderItsKey(t *testing.T) {
	all := consume(t, "status.#")
	seen := map[string]received{}
	for len(seen) < len(stackHosts()) {
		r := all.wait(t, "an ok status of every host", isOK)
		seen[r.status.Host.Name] = r
	}
	for host, want := range stackHosts() {
		r := seen[host]
		if r.RoutingKey != want.key {
			t.Errorf("%s: routing key %q, want %q", host, r.RoutingKey, want.key)
		}
		if r.status.System == nil || r.status.System.Systemd == nil || *r.status.System.Systemd != want.systemd {
			t.Errorf("%s: system %+v, want systemd %s", host, r.status.System, want.systemd)
		}
	}
	for _, r := range all.collect(t, 6*time.Second) {
		if want := stackHosts()[r.status.Host.Name]; r.RoutingKey != want.key {
			t.Errorf("a message of %q under %q", r.status.Host.Name, r.RoutingKey)
		}
	}
}

func TestConsumerGetsWhatItBindsTo(t *testing.T) {
	for key, want := range map[string][]string{
		"status.db.db-01": {"db-01"},
		"*.*.web-02":      {"web-02"},
		"status.web.*":    {"web-01", "web-02"},
		"status.#":        {"db-01", "web-01", "web-02"},
		"event.cache.*":   nil,
		"status.cache.*":  nil,
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			hosts := map[string]bool{}
			for _, r := range consume(t, key).collect(t, 10*time.Second) {
				hosts[r.status.Host.Name] = true
			}
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(hosts))); diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
		})
	}
}

// facts is what a status and systemctl on the host must agree on.
func facts(units []publish.Unit) map[string]string {
	word := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	all := map[string]string{}
	for _, u := range units {
		if u.Name == "crashloop.service" {
			continue // Never twice the same.
		}
		pid, since := "0", ""
		if u.MainPID != nil {
			pid = strconv.Itoa(*u.MainPID)
		}
		if u.Since != nil {
			since = u.Since.UTC().Format(time.DateTime)
		}
		all[u.Name] = strings.Join([]string{
			u.LoadState, u.ActiveState, u.SubState, word(u.UnitFileState), word(u.InvocationID), pid, since, word(u.Description),
		}, "|")
	}
	return all
}

// hostFacts asks systemctl on the host for the same, one unit at a time.
func hostFacts(t *testing.T, host string, units []publish.Unit) map[string]string {
	t.Helper()
	const ask = `for unit; do systemctl show -p LoadState,ActiveState,SubState,UnitFileState,InvocationID,MainPID,` +
		`ActiveEnterTimestamp,InactiveEnterTimestamp,Description -- "$unit"; echo "$unit"; done`
	args := []string{"exec", "--env", "TZ=UTC", "--env", "LC_ALL=C", stack.container(t, host), "sh", "-c", ask, "sh"}
	args = append(args, slices.Sorted(maps.Keys(facts(units)))...)
	out, err := stack.run(t.Context(), "docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	all, of := map[string]string{}, map[string]string{}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if property, value, ok := strings.Cut(line, "="); ok {
			of[property] = value
			continue
		}
		all[line] = hostFact(of)
		of = map[string]string{}
	}
	return all
}

func hostFact(of map[string]string) string {
	entered, since, pid := of["ActiveEnterTimestamp"], "", of["MainPID"]
	if of["ActiveState"] != "active" {
		entered = of["InactiveEnterTimestamp"]
	}
	if at, err := time.Parse("Mon 2006-01-02 15:04:05 MST", entered); err == nil {
		since = at.Format(time.DateTime)
	}
	if pid == "" || of["LoadState"] != "loaded" {
		pid = "0"
	}
	return strings.Join([]string{
		of["LoadState"], of["ActiveState"], of["SubState"], of["UnitFileState"], of["InvocationID"], pid, since, of["Description"],
	}, "|")
}

func TestStatesMatchTheHost(t *testing.T) {
	for host := range stackHosts() {
		t.Run(host, func(t *testing.T) {
			messages := consume(t, "*.*."+host)
			var diff string
			// A unit may change between the two looks at it.
			for range 5 {
				r := messages.wait(t, "an ok status", isOK)
				if diff = cmp.Diff(hostFacts(t, host, r.status.Units), facts(r.status.Units)); diff == "" {
					return
				}
			}
			t.Errorf("states (-systemctl +message):\n%s", diff)
		})
	}
}

func TestStatesOfTheSampleUnits(t *testing.T) {
	for _, host := range []string{"web-01", "web-02"} {
		r := consume(t, "*.*."+host).wait(t, "a crash loop's restarts", func(r received) bool {
			u := r.unit("crashloop.service")
			return u.Restarts != nil && *u.Restarts > 0 && u.ActiveState == "activating"
		})
		for name, want := range map[string]string{
			"mount_controller.service": "loaded active",
			"api.service":              "loaded active",
			"worker@1.service":         "loaded active",
			"nasty.service":            "loaded active",
			"oneshot.service":          "loaded active",
			"metrics.socket":           "loaded active",
			"backup.timer":             "loaded active",
			"backup.service":           "loaded inactive",
			"broken.service":           "loaded failed",
			"masked.service":           "masked inactive",
			"ghost.service":            "not-found inactive",
		} {
			if u := r.unit(name); u.LoadState+" "+u.ActiveState != want {
				t.Errorf("%s: %s is %s %s, want %s", host, name, u.LoadState, u.ActiveState, want)
			}
		}
		if len(r.status.Units) != 12 {
			t.Errorf("%s: %d units, want the 12 that are watched", host, len(r.status.Units))
		}
		broken := r.unit("broken.service")
		if broken.Result == nil || *broken.Result != "exit-code" || broken.ExitCode == nil || *broken.ExitCode != "exited" || *broken.ExitStatus != 3 {
			t.Errorf("%s: broken.service: result %v, exit %v %v", host, broken.Result, broken.ExitCode, broken.ExitStatus)
		}
		if text := r.unit("api.service").StatusText; text == nil || *text != "ready=yes requests=0 errors=0" {
			t.Errorf("%s: api.service: status text %v", host, text)
		}
		if timer := r.unit("backup.timer"); timer.NextElapse == nil || timer.LastTrigger == nil || !timer.NextElapse.After(timer.LastTrigger.Time) {
			t.Errorf("%s: backup.timer: next %v, last %v", host, timer.NextElapse, timer.LastTrigger)
		}
		if u := r.unit("ghost.service"); u.Result != nil || u.Restarts != nil || u.MainPID != nil || u.MemoryBytes != nil {
			t.Errorf("%s: a unit that is not there has figures: %+v", host, u)
		}
		if u := r.unit("nasty.service"); u.MainPID == nil || *u.MainPID == 666 {
			t.Errorf("%s: nasty.service: main pid %v", host, u.MainPID)
		}
	}
	r := consume(t, "*.*.db-01").wait(t, "a status", isOK)
	u := r.unit("mount_controller.service")
	if u.RequestedAs == nil || *u.RequestedAs != "mount-controller.service" {
		t.Errorf("db-01: asked for an alias: %+v", u)
	}
}

package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"service_manager/hosts/systemctl"
	"service_manager/integration/fleet"
	"service_manager/inventory"
)

func TestBatchSize(t *testing.T) {
	for _, test := range []struct {
		text  string
		total int
		want  int
	}{
		{"1", 5, 1},
		{"7", 5, 7},
		{"10%", 5, 1},
		{"10%", 19, 1},
		{"10%", 20, 2},
		{"10%", 1000, 100},
		{"100%", 7, 7},
		{"1%", 0, 1},
	} {
		if got, err := batchSize(test.text, test.total); err != nil || got != test.want {
			t.Errorf("%s of %d: %d (%v), want %d", test.text, test.total, got, err, test.want)
		}
	}
	for _, text := range []string{"", "0", "-1", "0%", "101%", "%", "1.5", "all", "10 %"} {
		if n, err := batchSize(text, 10); err == nil {
			t.Errorf("%q is taken for %d", text, n)
		}
	}
}

func TestPlan(t *testing.T) {
	active := systemctl.Unit{Name: "nginx.service", LoadState: "loaded", ActiveState: "active", SubState: "running"}
	aim := func(name, become string) target {
		t := newTarget(inventory.Host{Name: name, Units: []string{"a.service"}, Globs: []string{"*"}, SSH: inventory.SSH{User: "ops", Become: become}},
			systemctl.Stop, "nginx.service")
		t.before = active
		return t
	}
	p := plan{
		verb: systemctl.Stop, unit: "nginx.service",
		batches: inBatches([]target{aim("a", ""), aim("b", "sudo"), aim("c", "")}, 2),
		leftOut: []operated{{Host: "d"}},
	}
	p.leftOut[0].tell(context.DeadlineExceeded)
	var out strings.Builder
	p.print(&out)
	want := `to run as ops on a, c:
  systemctl --no-ask-password stop -- nginx.service
to run as ops on b:
  sudo -n systemctl --no-ask-password stop -- nginx.service
batch 1 of 2: a (now active/running), b (now active/running)
batch 2 of 2: c (now active/running)
left out: d: context deadline exceeded
`
	if out.String() != want {
		t.Errorf("it is shown as\n%swant\n%s", out.String(), want)
	}
	if got, want := p.question(), "Stop nginx.service on 3 hosts, in 2 batches?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if units := p.batches[0][0].host.Units; len(units) != 1 || units[0] != "nginx.service" || p.batches[0][0].host.Globs != nil {
		t.Errorf("a target asks for %v", units)
	}
}

// unit makes a unit of words such as "active running 1", with the invocation behind the states.
func unit(words string) systemctl.Unit {
	u := systemctl.Unit{Name: "a.service", LoadState: "loaded", Result: "success", UnitFileState: "enabled"}
	fields := strings.Fields(words)
	u.ActiveState, u.SubState = fields[0], fields[1]
	if len(fields) > 2 {
		u.InvocationID = fields[2]
	}
	if u.ActiveState == "failed" {
		status := 3
		u.Result, u.ExitCode, u.ExitStatus = "exit-code", "exited", &status
	}
	return u
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		verb        systemctl.Verb
		before, now string
		want        stage
		why         string
	}{
		{systemctl.Start, "inactive dead", "active running 1", there, ""},
		{systemctl.Start, "active running 1", "active running 1", there, ""},
		{systemctl.Start, "inactive dead", "activating start 1", underway, ""},
		{systemctl.Start, "inactive dead", "activating auto-restart 1", astray, "it died at once, and systemd starts it again"},
		{systemctl.Start, "inactive dead", "failed failed 1", astray, "it failed (exit-code, exited 3)"},
		{systemctl.Start, "inactive dead", "inactive dead", there, ""},
		{systemctl.Start, "active running 1", "inactive dead 1", astray, "it is inactive/dead"},
		{systemctl.Restart, "active running 1", "active running 2", there, ""},
		{systemctl.Restart, "active running", "active running", there, ""}, // Before systemd 232.
		{systemctl.Restart, "active running 1", "active running 1", astray, "it was not started anew: the invocation is the same"},
		{systemctl.Restart, "failed failed 1", "active running 2", there, ""},
		{systemctl.Restart, "active running 1", "deactivating stop-sigterm 1", underway, ""},
		{systemctl.Restart, "active running 1", "inactive dead 2", astray, "it is inactive/dead"},
		{systemctl.Reload, "active running 1", "active running 1", there, ""},
		{systemctl.Reload, "active running 1", "reloading reload 1", underway, ""},
		{systemctl.Reload, "active running 1", "active running 2", astray, "it was started anew instead"},
		{systemctl.Reload, "inactive dead", "inactive dead", astray, "it is inactive/dead"},
		{systemctl.Stop, "active running 1", "inactive dead 1", there, ""},
		{systemctl.Stop, "active running 1", "inactive dead", there, ""},
		{systemctl.Stop, "active running 1", "deactivating stop-sigterm 1", underway, ""},
		{systemctl.Stop, "active running 1", "failed failed 1", astray, "it stopped, but failed at that (exit-code, exited 3)"},
		{systemctl.Stop, "failed failed 1", "failed failed 1", there, ""},
		{systemctl.Stop, "active running 1", "active running 2", astray, "it is active again"},
		{systemctl.ResetFailed, "failed failed 1", "inactive dead 1", there, ""},
		{systemctl.ResetFailed, "failed failed 1", "failed failed 1", astray, "it is failed"},
	} {
		far, why := judge(test.verb, unit(test.before), unit(test.now))
		if far != test.want || !strings.HasPrefix(why, test.why) || (why == "") != (test.why == "") {
			t.Errorf("%s, %s before, %s now: %d, %q; want %d, %q", test.verb, test.before, test.now, far, why, test.want, test.why)
		}
	}
}

func TestJudgeOfFiles(t *testing.T) {
	for _, test := range []struct {
		verb  systemctl.Verb
		state string
		want  stage
	}{
		{systemctl.Enable, "enabled", there},
		{systemctl.Enable, "disabled", astray},
		{systemctl.Enable, "static", astray},
		{systemctl.Disable, "disabled", there},
		{systemctl.Disable, "indirect", there},
		{systemctl.Disable, "enabled", astray},
	} {
		now := unit("active running 1")
		now.UnitFileState = test.state
		if far, why := judge(test.verb, now, now); far != test.want || (why == "") != (far == there) {
			t.Errorf("%s: %s is judged %d, %q", test.verb, test.state, far, why)
		}
		now.LoadState = "not-found"
		if far, why := judge(test.verb, now, now); far != astray || why != "it is not-found" {
			t.Errorf("%s: not-found is judged %d, %q", test.verb, far, why)
		}
	}
}

func TestStrayed(t *testing.T) {
	for _, test := range []struct {
		verb              systemctl.Verb
		before, then, now string
		want              string
	}{
		{systemctl.Restart, "active running 1", "active running 2", "active running 2", ""},
		{systemctl.Restart, "active running 1", "active running 2", "active running 3", "it did not stay well: it died, and systemd started it again"},
		{systemctl.Restart, "active running 1", "active running 2", "failed failed 2", "it did not stay well: it failed (exit-code, exited 3)"},
		{systemctl.Restart, "active running 1", "active running 2", "activating start 2", "it did not stay well: it is activating/start"},
		{systemctl.Start, "inactive dead", "inactive dead", "inactive dead", ""},
		{systemctl.Stop, "active running 1", "inactive dead 1", "inactive dead", ""},
		{systemctl.Stop, "active running 1", "inactive dead 1", "active running 2", "it did not stay well: it is active again"},
	} {
		got := strayed(test.verb, unit(test.before), unit(test.then), unit(test.now))
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s, %s then, %s now: %q, want %q", test.verb, test.then, test.now, got, test.want)
		}
	}
}

// watchedFleet is a fleet that calls do after so many polls.
func watchedFleet(t *testing.T, polls int64, do func(*fleet.Fleet)) *fleet.Fleet {
	t.Helper()
	var (
		started atomic.Pointer[fleet.Fleet]
		seen    atomic.Int64
	)
	f, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true, Served: func(string, int, time.Time) {
		if seen.Add(1) == polls {
			do(started.Load())
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	started.Store(f)
	t.Cleanup(func() { goleak.VerifyNone(t) })
	t.Cleanup(f.Close)
	return f
}

// A unit that dies within --settle makes the batch a bad one. The polls before are that of the survey of both hosts, the one before the
// restart, and the one that finds the unit well.
func TestOperateSettles(t *testing.T) {
	f := watchedFleet(t, 4, func(f *fleet.Fleet) {
		if _, err := f.FailUnit("web-01", "nginx.service"); err != nil {
			t.Error(err)
		}
	})
	var stdout, stderr bytes.Buffer
	args := []string{"restart", "nginx", "@web", "--yes", "--settle", "20s", "-i", f.InventoryPath()}
	code := execute(t.Context(), args, nil, &stdout, &stderr)
	if code != exitUnit || !strings.Contains(stdout.String(), "it did not stay well: it failed (exit-code, exited 1)") ||
		!strings.Contains(stdout.String(), "web-02  not done") {
		t.Errorf("exit code %d, it printed\n%s%s", code, stdout.String(), stderr.String())
	}
}

// Told to end, it says what was done and what not, and begins nothing more.
func TestInterruptedOperation(t *testing.T) {
	for _, test := range []struct {
		polls  int64
		settle string
		want   []string
		said   string
	}{
		{1, "0s", nil, "interrupted while the hosts were read; nothing was done"},
		{4, "20s", []string{"web-01  unknown ", "web-02  not done"}, "interrupted in batch 1 of 2; it was not done on 1 host; go on with: "},
		{5, "0s", []string{"web-01  done ", "web-02  not done"}, "interrupted in batch 2 of 2; it was not done on 1 host; "},
	} {
		t.Run(test.said, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f := watchedFleet(t, test.polls, func(*fleet.Fleet) { cancel() })
			var stdout, stderr bytes.Buffer
			args := []string{"restart", "nginx", "@web", "--yes", "--settle", test.settle, "-i", f.InventoryPath()}
			if code := execute(ctx, args, nil, &stdout, &stderr); code != exitHost {
				t.Errorf("exit code %d, want %d", code, exitHost)
			}
			for _, want := range test.want {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("no %q", want)
				}
			}
			if !strings.Contains(stderr.String(), test.said) || t.Failed() {
				t.Errorf("it printed\n%s%s", stdout.String(), stderr.String())
			}
		})
	}
}

// Once no one reads the results any more, nothing more is begun, and what is left undone is named where a person may still see it.
func TestOperationEndsWithItsReader(t *testing.T) {
	simulated, err := fleet.Start(fleet.Config{Hosts: 10, Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	var stderr bytes.Buffer
	args := []string{"restart", "nginx", "@web", "--yes", "--settle", "0s", "-i", simulated.InventoryPath()}
	if code := execute(t.Context(), args, nil, brokenPipe{}, &stderr); code != exitOwn {
		t.Errorf("exit code %d, want %d", code, exitOwn)
	}
	const want = "after batch 1 of 4 the results could not be written: broken pipe; it was not done on 3 hosts; when that is mended, go on with: "
	if !strings.Contains(stderr.String(), want) {
		t.Errorf("it said\n%s", &stderr)
	}
}

// No message can lead to an operation: the one place that changes a host is behind the commands of a person, and the one that receives
// messages only prints them.
func TestOnlyAPersonOperates(t *testing.T) {
	places := map[string][]string{".Operate(": nil, "publish.NewSubscriber(": nil}
	for _, folder := range []string{"cmd", "collector", "hosts", "inventory", "publish"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for call := range places {
				if strings.Contains(string(text), call) {
					places[call] = append(places[call], filepath.Base(path))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]string{".Operate(": {"operate_host.go"}, "publish.NewSubscriber(": {"tail.go"}}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

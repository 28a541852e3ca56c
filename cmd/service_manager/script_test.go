package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"service_manager/integration/fleet"
	"service_manager/inventory"
	"service_manager/publish"
)

func TestMain(m *testing.M) {
	testscript.Main(leakFree{m}, map[string]func(){
		"service_manager": func() { os.Exit(withSignals()) },
	})
}

// leakFree fails tests that leave goroutines behind. It is [goleak.VerifyTestMain] for who does not end the process himself.
type leakFree struct{ *testing.M }

func (m leakFree) Run() int {
	// Where it is ignored, as under nohup(1), run does not reload on it, and nothing else that the tests start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestScripts runs the scripts in testdata/script. $FLEET is the inventory of five simulated hosts of the script's own, on which nothing
// changes by itself; $FLEETDIR is the folder of its keys, $FLEETPORT one of its ports. "exits N command…" runs a command and wants its exit
// code.
func TestScripts(t *testing.T) {
	defer goleak.VerifyNone(t)
	// The scripts run in parallel.
	t.Run("script", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: filepath.Join("testdata", "script"),
			Setup: func(env *testscript.Env) error {
				simulated, err := fleet.Start(fleet.Config{Dir: filepath.Join(env.WorkDir, ".fleet"), Seed: 1, Steady: true})
				if err != nil {
					return err
				}
				env.Defer(simulated.Close)
				inv, err := inventory.Load(simulated.InventoryPath())
				if err != nil {
					return err
				}
				env.Setenv("FLEET", simulated.InventoryPath())
				env.Setenv("FLEETDIR", filepath.Dir(simulated.InventoryPath()))
				env.Setenv("FLEETPORT", strconv.Itoa(inv.Hosts[0].SSH.Port))
				env.Setenv("HOME", env.WorkDir)
				return nil
			},
			Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
			RequireUniqueNames:  true,
			RequireExplicitExec: true,
		})
	})
}

// A command that runs until it is told to stop ends with exit code 0 then.
func TestEndsWhenToldTo(t *testing.T) {
	defer goleak.VerifyNone(t)
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	for _, args := range [][]string{{"run", "--dry-run", "-i", simulated.InventoryPath()}, {"demo", "--seed", "1"}} {
		t.Run(args[0], func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stdout, in := io.Pipe()
			var stderr bytes.Buffer
			ended := make(chan int)
			go func() {
				code := execute(ctx, args, nil, in, &stderr)
				_ = in.Close()
				ended <- code
			}()
			lines := bufio.NewScanner(stdout)
			for statuses := 0; statuses < 5 && lines.Scan(); {
				switch key, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), `{"routing_key":"`), "."); key {
				case publish.KindStatus:
					statuses++
				case publish.KindEvent, publish.KindCollector:
				default:
					t.Errorf("line %q", lines.Text())
				}
			}
			cancel()
			for lines.Scan() { // What was under way still comes.
			}
			if code := <-ended; code != 0 {
				t.Errorf("exit code %d; it said:\n%s", code, stderr.String())
			}
		})
	}
}

// When the reader of stdout goes away, as head does, the program cleans up and ends without a complaint.
func TestEndsWithItsReader(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Setenv("TMPDIR", t.TempDir())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	var stderr bytes.Buffer
	if code := execute(t.Context(), []string{"demo", "--seed", "1"}, nil, w, &stderr); code != exitPipe {
		t.Errorf("exit code %d, want %d", code, exitPipe)
	}
	if strings.Contains(stderr.String(), "broken pipe") {
		t.Errorf("it complained:\n%s", stderr.String())
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
	_ = w.Close() // Its reader is gone.
}

// A reader that stops reading, such as a pager, does not keep the program from ending when it is told to.
func TestEndsThoughNoOneReads(t *testing.T) {
	stdout, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	var stderr bytes.Buffer
	go func() { ended <- execute(ctx, []string{"demo", "--seed", "1"}, nil, in, &stderr) }()
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if code := <-ended; code != exitOwn || !strings.Contains(stderr.String(), "stopped reading") {
		t.Errorf("exit code %d, want %d; it said:\n%s", code, exitOwn, stderr.String())
	}
	_ = stdout.Close() // Frees the write.
}

// programPath returns a PATH on which the program is found: this test is the program by that name, see TestMain.
func programPath(t *testing.T) string {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(own, filepath.Join(dir, "service_manager")); err != nil {
		t.Fatal(err)
	}
	return dir + string(filepath.ListSeparator) + os.Getenv("PATH")
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

//go:build integration

package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
)

// A collector is the program itself, which is killed and started again on one state file. The oracle knows when it lives.
type collector struct {
	t         *testing.T
	oracle    *oracle
	binary    string
	inventory string
	state     string // folder
	log       string // file, of all its lives

	mu     sync.Mutex
	cmd    *exec.Cmd  // nil while it does not run
	ended  chan error // what Wait returned
	waited conc.WaitGroup
}

// newCollector builds the program, with the race detector if the test has it too.
func newCollector(ctx context.Context, t *testing.T, o *oracle, inventory string) *collector {
	t.Helper()
	dir := t.TempDir()
	c := &collector{
		t: t, oracle: o, inventory: inventory,
		binary: filepath.Join(dir, "service_manager"), state: filepath.Join(dir, "state"), log: filepath.Join(dir, "log"),
	}
	if err := os.Mkdir(c.state, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "-o", c.binary}
	if races() {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, "../../cmd/service_manager")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return c
}

// races says whether this test was built with the race detector.
func races() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// start starts it, or does so again.
func (c *collector) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                                                                   // The process has its own.
	cmd := exec.CommandContext(context.WithoutCancel(c.t.Context()), c.binary, "run", "-i", c.inventory) // See end.
	cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+c.state)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	c.oracle.born(time.Now())
	ended := make(chan error, 1)
	c.cmd, c.ended = cmd, ended
	c.waited.Go(func() { ended <- cmd.Wait() })
	return nil
}

// end ends it by a signal, if it runs, and waits for that.
func (c *collector) end(signal syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return nil
	}
	cmd := c.cmd
	c.cmd = nil
	select {
	case err := <-c.ended:
		return errors.Join(fmt.Errorf("the collector has ended by itself; its log ends with\n%s", c.tail()), err)
	default:
	}
	began := time.Now()
	c.oracle.died(began)
	if err := cmd.Process.Signal(signal); err != nil {
		return err
	}
	err := <-c.ended
	if took := time.Since(began); signal == syscall.SIGTERM && (err != nil || took > 10*time.Second) {
		return errors.Join(fmt.Errorf("the collector ended %v after SIGTERM, want 10 s at most, and without an error", took), err)
	}
	return nil
}

// restart ends it by a signal and starts it at once.
func (c *collector) restart(signal syscall.Signal) error {
	if err := c.end(signal); err != nil {
		return err
	}
	return c.start()
}

// checkLog fails the test if the race detector has found something, in any of the lives, or one ended in a panic.
func (c *collector) checkLog() {
	log, err := os.ReadFile(c.log)
	if err != nil {
		c.t.Error(err)
	}
	for _, trouble := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", "SIGSEGV"} {
		if at := bytes.Index(log, []byte(trouble)); at >= 0 {
			c.t.Errorf("the collector's log has %q:\n%s", trouble, log[at:min(len(log), at+6000)])
		}
	}
}

// tail is what it has logged last.
func (c *collector) tail() string {
	log, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(log), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"github.com/sourcegraph/conc"
)

// endsWithin is how long a process may take to end. The program itself promises 10 s.
const endsWithin = 15 * time.Second

// build makes the binaries that are measured, the program as it is released and the simulated hosts, in a folder of their own. It must be
// called within the module.
func (r Run) build(ctx context.Context) (programs string, remove func() error, err error) {
	programs, err = os.MkdirTemp(r.Dir, "programs-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(programs) }
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", programs+string(filepath.Separator),
		"service_manager/cmd/service_manager", "service_manager/integration/bench/simulate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", nil, errors.Join(fmt.Errorf("building the programs: %w\n%s", err, out), remove())
	}
	return programs, remove, nil
}

// A process is one of ours that runs on its own, so that what it costs is apart.
type process struct {
	proc   procfs.Proc
	end    context.CancelFunc
	cmd    *exec.Cmd
	stderr bytes.Buffer // To be read when it has ended.
	waits  conc.WaitGroup
}

// launch starts a process, which is told to end when ctx does or end is called. Alive ends with it, whatever the reason. Prepare may add to
// its command.
func launch(ctx context.Context, binary string, prepare func(*exec.Cmd) error, args ...string) (p *process, alive context.Context, err error) {
	ctx, cancel := context.WithCancel(ctx)
	p = &process{end: cancel, cmd: exec.CommandContext(ctx, binary, args...)}
	p.cmd.Stderr = &p.stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = endsWithin
	if err = prepare(p.cmd); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("starting %s: %w", filepath.Base(binary), err)
	}
	alive, died := context.WithCancelCause(ctx)
	p.waits.Go(func() {
		_ = p.cmd.Wait() // Its exit code says it.
		died(p.ended())
	})
	if p.proc, err = procfs.NewProc(p.cmd.Process.Pid); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("looking for %s in /proc: %w", filepath.Base(binary), err), p.stop())
	}
	return p, alive, nil
}

// ended says how the process ended.
func (p *process) ended() error {
	return fmt.Errorf("%s has ended with exit code %d: %s", filepath.Base(p.cmd.Path), p.cmd.ProcessState.ExitCode(), p.stderr.Bytes())
}

// stop ends the process, and fails if that has failed.
func (p *process) stop() error {
	p.end()
	p.waits.Wait()
	if p.cmd.ProcessState.ExitCode() != 0 {
		return p.ended()
	}
	return nil
}

// cpu is what the process has used so far.
func (p *process) cpu() (time.Duration, error) {
	stat, err := p.proc.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading what %s costs: %w", filepath.Base(p.cmd.Path), err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), nil
}

// resident is how many bytes of memory the process has.
func (p *process) resident() (float64, error) {
	stat, err := p.proc.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading what memory %s has: %w", filepath.Base(p.cmd.Path), err)
	}
	return float64(stat.ResidentMemory()), nil
}

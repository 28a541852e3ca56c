package farm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupTree is where cgroup2 is mounted: alone, or beside the controllers of v1. It counts CPU time also where it has no controllers.
func cgroupTree() (string, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			return fields[1], nil
		}
	}
	return "", errors.New("cgroup2 is not mounted; mount it, by which the CPU time of hosts and clients is read")
}

// CgroupOf is the path of the cgroup of a process.
func CgroupOf(pid int) (string, error) {
	tree, err := cgroupTree()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			return filepath.Join(tree, strings.TrimSpace(path)), nil
		}
	}
	return "", fmt.Errorf("process %d has no cgroup in the tree %s", pid, tree)
}

// CgroupCPU is the CPU time that all processes that ever were in a cgroup, or below it, have used there.
func CgroupCPU(path string) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(path, "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "usage_usec "); found {
			µs, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return time.Duration(µs) * time.Microsecond, err
		}
	}
	return 0, fmt.Errorf("%s does not tell how much CPU time was used", path)
}

// CgroupProcesses are the ids of the processes in a cgroup and below it.
func CgroupProcesses(path string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		below, err := CgroupProcesses(filepath.Join(path, entry.Name()))
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		pids = append(pids, below...)
	}
	return pids, nil
}

// isGone reports whether a cgroup was removed while it was read.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) }

// A Group is a cgroup of our own, in which commands run with all that they start, also what outlives them.
type Group struct{ path string }

// NewGroup makes a cgroup beside that of this process. The caller must end it.
func NewGroup(name string) (*Group, error) {
	tree, err := cgroupTree()
	if err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(tree, "bench-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("making a cgroup, which takes root: %w", err)
	}
	return &Group{path}, nil
}

// Command is a command that will run in the group.
func (g *Group) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	const enter = `echo $$ >"$0/cgroup.procs" && exec "$@"`
	return exec.CommandContext(ctx, "sh", append([]string{"-c", enter, g.path, name}, args...)...)
}

// CPU is what the commands have used so far, with all that they started.
func (g *Group) CPU() (time.Duration, error) { return CgroupCPU(g.path) }

// Empty ends what still runs in the group.
func (g *Group) Empty(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for {
		pids, err := CgroupProcesses(g.path)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Signal(syscall.SIGTERM) // It may have ended.
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v do not end: %w", pids, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// End empties and removes the group.
func (g *Group) End(ctx context.Context) error {
	return errors.Join(g.Empty(ctx), os.Remove(g.path))
}

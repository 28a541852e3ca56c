package farm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ready is a command line that waits until a host has booted, broken.service or not, and sshd listens.
const ready = `until systemctl is-system-running 2>/dev/null | grep -qxE 'running|degraded' && ss -ltn | grep -q ':22 '; do sleep 0.5; done`

// A Host is one host of a [Farm].
type Host struct {
	Name, Address, Debian string

	dir       string // The farm's.
	container string // Docker's id.
	pid       int    // Of its process 1, here.
	cgroup    string // Of the container, a path in the tree of cgroup2.
}

// boot starts the host, and waits for its end.
func (h *Host) boot(ctx context.Context, project, image string) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	runner := h.runnerDir()
	if err := os.MkdirAll(runner, 0o755); err != nil { //nolint:gosec // G301: the host's account uses it.
		return err
	}
	out, err := run(ctx, "docker", "run", "--detach", "--hostname", h.Name,
		"--label", "com.docker.compose.project="+project, "--label", "com.docker.compose.service="+h.Name,
		"--cap-add", "SYS_ADMIN", "--security-opt", "apparmor:unconfined", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
		"--volume", filepath.Join(h.dir, "keys")+":/keys:ro", "--volume", runner+":/runner:ro",
		"--volume", filepath.Join(h.dir, "logind")+":/etc/systemd/logind.conf.d:ro",
		"--volume", "/dev/null:/etc/systemd/system/crashloop.service:ro", image)
	if err != nil {
		return err
	}
	h.container = strings.TrimSpace(out)
	if _, err := run(ctx, "docker", "exec", h.container, "sh", "-c", ready); err != nil {
		logs, _ := run(ctx, "docker", "logs", "--tail=20", h.container)
		return fmt.Errorf("%s has not booted: %w\n%s", h.Name, err, logs)
	}
	return h.inspect(ctx)
}

// inspect finds out where the host is.
func (h *Host) inspect(ctx context.Context) error {
	out, err := run(ctx, "docker", "inspect", "--format", "{{.State.Pid}}{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}", h.container)
	if err != nil {
		return err
	}
	fields := strings.Fields(out)
	if len(fields) < 2 {
		return fmt.Errorf("%s: Docker tells %q, and not a process and an address", h.Name, out)
	}
	h.Address = fields[1]
	if h.pid, err = strconv.Atoi(fields[0]); err != nil {
		return err
	}
	own, err := CgroupOf(h.pid)
	h.cgroup = strings.TrimSuffix(own, "/init.scope") // where systemd puts itself
	return err
}

// Root runs a shell command line on the host as root, and returns what it printed on stdout.
func (h *Host) Root(ctx context.Context, commandLine string) (string, error) {
	return run(ctx, "docker", "exec", h.container, "sh", "-c", commandLine)
}

// CPU is what one of the host's cgroups, such as init.scope, and all below it have used since they are there; "" is the whole host.
func (h *Host) CPU(cgroup string) (time.Duration, error) {
	return CgroupCPU(filepath.Join(h.cgroup, cgroup))
}

// Processes are the ids of all the host's processes, here.
func (h *Host) Processes() ([]int, error) { return CgroupProcesses(h.cgroup) }

func (h *Host) loggedIn() bool {
	scopes, err := filepath.Glob(filepath.Join(h.cgroup, "user.slice", "user-*.slice"))
	return err != nil || len(scopes) > 0
}

// accepted reads from the host's network namespace how many TCP connections were accepted (RFC 4022, tcpPassiveOpens).
func (h *Host) accepted() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/snmp", h.pid))
	if err != nil {
		return 0, fmt.Errorf("counting the connections of %s: %w", h.Name, err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		values := strings.Fields(line)
		if len(values) == 0 || values[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = values
			continue
		}
		for i, name := range names {
			if name == "PassiveOpens" && i < len(values) {
				return strconv.Atoi(values[i])
			}
		}
	}
	return 0, fmt.Errorf("counting the connections of %s: the kernel does not tell PassiveOpens", h.Name)
}

// run runs a command, and returns what it printed on stdout.
func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 10 * time.Second // What it started may hold its output open.
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), errors.Join(err, context.Cause(ctx)), stderr.String())
	}
	return stdout.String(), nil
}

//go:build integration && linux

package faults_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"service_manager/inventory"
	"service_manager/publish"
)

// A program is service_manager itself, which runs on an inventory and prints its messages.
type program struct {
	cmd    *exec.Cmd
	stderr strings.Builder
	ended  sync.WaitGroup
}

// start runs the program on hosts. It calls observe with each status, in one goroutine, as soon as it is printed.
func start(t *testing.T, hosts []inventory.Host, interval time.Duration, observe func(publish.Status)) *program {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "service_manager")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/service_manager").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	path := filepath.Join(dir, "inventory.toml")
	if err := os.WriteFile(path, []byte(inventoryText(hosts, interval)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), binary, "run", "--dry-run", "-i", path)}
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.ended.Go(func() {
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var line struct {
				Body publish.Status `json:"body"`
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Errorf("a line that is no message: %v: %s", err, lines.Bytes())
			}
			if line.Body.Type == publish.KindStatus {
				observe(line.Body)
			}
		}
	})
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // As a rule stop has ended it.
		p.ended.Wait()
		_ = p.cmd.Wait() // As above.
	})
	return p
}

func inventoryText(hosts []inventory.Host, interval time.Duration) string {
	var text strings.Builder
	fmt.Fprintf(&text, "[collector]\nname = \"faults\"\ninterval = %q\n", interval.String())
	for _, h := range hosts {
		fmt.Fprintf(&text, "[[hosts]]\nname = %q\naddress = %q\nunits = [\"%s\"]\n[hosts.ssh]\nuser = %q\nport = %d\nidentity_file = %q\nknown_hosts = [%q]\n",
			h.Name, h.Address, strings.Join(h.Units, `", "`), h.SSH.User, h.SSH.Port, h.SSH.IdentityFile, h.SSH.KnownHosts[0])
	}
	return text.String()
}

// peakMemory is the most resident memory that the program has had.
func (p *program) peakMemory(t *testing.T) (bytes int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(peak, "kB")
	kib, err := strconv.Atoi(strings.TrimSpace(peak))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// stop ends the program with SIGTERM, as systemd does, and wants that within 10 s. It returns the CPU time that it has taken.
func (p *program) stop(t *testing.T) time.Duration {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.ended.Wait()
	err := p.cmd.Wait()
	if took := time.Since(began); err != nil || took > 10*time.Second {
		t.Errorf("it ended with %v, %v after SIGTERM: %s", err, took, p.stderr.String())
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

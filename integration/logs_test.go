//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// readableLogs lets the monitor's account read the journal of hosts by running what logs has printed, and takes it back after the test.
func readableLogs(t *testing.T, printed string, hosts ...string) {
	t.Helper()
	command := regexp.MustCompile(`(?m)^  sudo (usermod .*)$`).FindStringSubmatch(printed)
	if command == nil {
		t.Fatalf("it did not tell how to allow it:\n%s", printed)
	}
	for _, host := range hosts {
		stack.must(t, host, command[1])
		container := stack.container(t, host)
		t.Cleanup(func() {
			if _, err := stack.run(context.Background(), "docker", "exec", container, "gpasswd", "--delete", "monitor", "systemd-journal"); err != nil {
				t.Error(err)
			}
		})
	}
}

// journalctls are the journalctl processes of the monitor on a host.
func journalctls(t *testing.T, host string) string {
	t.Helper()
	return strings.TrimSpace(stack.on(t, host, "pgrep -u monitor -x journalctl"))
}

// Real journals, of systemd 247, 252 and 257: who may not read them is told how to allow it; then lines come merged and followed, and
// Ctrl-C, or the death of the program, ends what runs on the hosts.
func TestLogs(t *testing.T) {
	hosts := []string{"web-01", "web-02", "db-01"}
	denied := operate(t, "logs", "mount-controller.service", "--all")
	if denied.code != 2 || denied.stdout != "" || !strings.Contains(denied.stderr, "db-01, web-01, web-02: denied: monitor may not read the journal there") {
		t.Fatalf("exit code %d, want 2 and how to allow it:\n%s%s", denied.code, denied.stdout, denied.stderr)
	}
	readableLogs(t, denied.stderr, hosts...)

	const line = `web-01 [A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d\.\d{3} `
	for _, host := range hosts {
		stack.must(t, host, "systemd-run --quiet --wait --unit=speaker sh -c 'echo one; sleep 0.2; echo two'")
	}
	operate(t, "logs", "speaker", "--all", "-n", "2").wants(t, 0, `^`+line+`(sh\[\d+\]: two|systemd\[1\]: speaker\.service: .*)$`)
	read := operate(t, "logs", "speaker", "@web", "-o", "cat", "--since", "10m")
	read.wants(t, 0, `^web-01 one$`)
	if first, second := strings.Index(read.stdout, "web-01 two"), strings.Index(read.stdout, "web-02 one"); first < 0 || second < first {
		t.Errorf("not in the order of time:\n%s", read.stdout)
	}
	operate(t, "logs", "speaker", "web-01", "-o", "json", "-n", "all").wants(t, 0,
		`^\{"host":"web-01","time":"20[-0-9]+T[:0-9]+\.\d{6}Z","unit":"speaker.service","identifier":"sh","pid":\d+,"priority":6,"message":"two",`)
	operate(t, "logs", "speaker", "web-01", "-p", "err").wants(t, 0, `^$`)
	operate(t, "logs", "speak*", "web-01", "--until", "1h").wants(t, 0, `^$`)

	f := followLogs(t, "speaker", hosts...)
	stack.must(t, "db-01", "systemd-run --quiet --wait --unit=speaker echo three")
	f.wait(t, "db-01 three")
	stack.must(t, "web-02", "systemd-run --quiet --wait --unit=speaker echo four")
	f.wait(t, "web-02 four")
	for _, host := range hosts {
		if journalctls(t, host) == "" {
			t.Errorf("%s: no journalctl is seen there: this test cannot tell whether one is left", host)
		}
	}
	f.end(t, os.Interrupt, 0)
	for _, host := range hosts {
		eventually(t, host+" has no journalctl left after Ctrl-C", func() bool { return journalctls(t, host) == "" })
	}
	f = followLogs(t, "speaker", hosts...)
	f.wait(t, "db-01 three")
	f.end(t, os.Kill, -1)
	for _, host := range hosts {
		eventually(t, host+" has no journalctl left after SIGKILL", func() bool { return journalctls(t, host) == "" })
	}
}

// What a unit logs while its host cannot be reached is shown when it can be again.
func TestLogsOfAHostThatWasAway(t *testing.T) {
	readableLogs(t, operate(t, "logs", "speaker", "web-01").stderr, "web-01")
	stack.must(t, "web-01", "systemd-run --quiet --wait --unit=speaker echo before")
	f := followLogs(t, "speaker", "web-01")
	f.wait(t, "before")
	stack.must(t, "web-01", "systemctl stop ssh.socket 2>/dev/null; systemctl stop ssh && pkill -u monitor sshd; systemd-run --quiet --wait --unit=speaker echo meanwhile")
	time.Sleep(2 * time.Second)
	stack.must(t, "web-01", "systemctl start ssh")
	f.wait(t, "meanwhile")
	stderr := f.end(t, os.Interrupt, 0)
	if !strings.Contains(stderr, "web-01: the connection broke") || !strings.Contains(stderr, "web-01: connected again") {
		t.Errorf("it did not tell what happened:\n%s", stderr)
	}
}

// A following is `logs -f -o cat`, on this machine.
type following struct {
	cmd    *exec.Cmd
	lines  chan string
	stderr *bytes.Buffer
}

func followLogs(t *testing.T, unit string, hosts ...string) *following {
	t.Helper()
	dir, binary := outside(t)
	var text strings.Builder
	text.WriteString("[ssh]\nuser = \"monitor\"\nidentity_file = \"id_ed25519\"\nknown_hosts = [\"known_hosts\"]\n")
	for _, host := range hosts {
		fmt.Fprintf(&text, "[[hosts]]\nname = %q\naddress = %q\nssh = {host_key_alias = %[1]q}\n", host, addressOf(t, host))
	}
	if err := os.WriteFile(dir+"/inventory.toml", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.Background())
	f := &following{
		cmd:   exec.CommandContext(ctx, binary, "logs", "-f", "-o", "cat", unit, "--all", "-i", dir+"/inventory.toml"),
		lines: make(chan string, 1000), stderr: new(bytes.Buffer),
	}
	f.cmd.Stderr = f.stderr
	stdout, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			f.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		kill()
		_ = f.cmd.Wait() // It may have been waited for.
	})
	return f
}

// wait waits for a line.
func (f *following) wait(t *testing.T, want string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-f.lines:
			if !ok {
				t.Fatalf("it ended before %q came:\n%s", want, f.stderr)
			}
			if strings.Join(strings.Fields(line), " ") == want { // Names are padded.
				return
			}
		case <-late:
			t.Fatalf("no line %q", want)
		}
	}
}

// end sends the program a signal, waits for its end, and returns what it had to say.
func (f *following) end(t *testing.T, signal os.Signal, code int) (stderr string) {
	t.Helper()
	_ = f.cmd.Process.Signal(signal) // It may have ended.
	ended := time.AfterFunc(30*time.Second, func() { _ = f.cmd.Process.Kill() })
	defer ended.Stop()
	for range f.lines { // To its end.
	}
	_ = f.cmd.Wait() // Its exit code says it.
	if got := f.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("after %v it ended with %d, want %d:\n%s", signal, got, code, f.stderr)
	}
	return f.stderr.String()
}

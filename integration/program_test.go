//go:build integration

package integration

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The README shows how to receive messages; what it shows must work.
func TestConsumersOfTheReadme(t *testing.T) {
	t.Run("shell", func(t *testing.T) {
		out := stack.do(t, "exec", "-T", "consumer", "timeout", "20", "amqp-consume", "--url=amqp://consumer:consumer@broker",
			"--exchange=service_manager", "--routing-key=status.db.db-01", "--count=2", "cat")
		if n := strings.Count(out, `"host":{"name":"db-01"`); n != 2 || strings.Contains(out, "web-01") {
			t.Errorf("amqp-consume got %d messages of db-01: %s", n, out)
		}
	})
	t.Run("python", func(t *testing.T) {
		logs := stack.do(t, "logs", "--no-color", "consumer")
		for host, want := range stackHosts() {
			if !strings.Contains(logs, want.key+" ok ") {
				t.Errorf("the stack's consumer has printed nothing of %s: %s", host, logs)
			}
		}
	})
	t.Run("go", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		binary := t.TempDir() + "/consume"
		if _, err := stack.run(ctx, "go", "build", "-o", binary, "./examples/consume"); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(ctx, binary)
		cmd.Env = append(cmd.Environ(), "AMQP_URL="+stack.url("consumer"))
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for buffer := make([]byte, 4096); !strings.Contains(got.String(), "web-01 broken.service failed") ||
			!strings.Contains(got.String(), "web-02 broken.service failed"); {
			n, err := stdout.Read(buffer)
			if err != nil {
				t.Fatalf("the example ended: %v; it printed %q", err, got.String())
			}
			got.Write(buffer[:n])
		}
		cancel()
		_ = cmd.Wait() // It was killed.
	})
}

func TestStatusCommand(t *testing.T) {
	out, err := stack.run(t.Context(), "docker", "exec", stack.container(t, "collector"), "/service_manager", "status", "web-*")
	exit, ok := err.(interface{ Unwrap() error })
	if !ok || !strings.Contains(exit.Unwrap().Error(), "exit status 1") {
		t.Errorf("error %v, want exit status 1: units are failed", err)
	}
	lines := strings.Split(out, "\n")
	for i, want := range []string{"HOST", "web-01  broken.service", "web-01  ghost.service", "web-02  broken.service", "web-02  ghost.service"} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want it to begin with %q: trouble first", i, lines[i], want)
		}
	}
	if strings.Contains(out, "db-01") {
		t.Errorf("a host that was not selected:\n%s", out)
	}
}

// SIGTERM ends the collector cleanly within 10 s, after which Docker kills it with another exit code.
func TestCollectorEndsOnSIGTERM(t *testing.T) {
	container := stack.container(t, "collector")
	stack.do(t, "stop", "--timeout", "10", "collector")
	out, err := stack.run(t.Context(), "docker", "inspect", "--format", "{{.State.ExitCode}}", container)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := strconv.Atoi(strings.TrimSpace(out)); err != nil || code != 0 {
		t.Errorf("exit code %s, want 0", out)
	}
	stack.do(t, "start", "collector")
	consume(t, "status.#").wait(t, "a status of the collector started again", isOK)
}

// A host that shows another key than the known one is refused, not read, and the message says how to mend it.
func TestHostKeyChanged(t *testing.T) {
	messages := consume(t, "status.db.db-01")
	messages.wait(t, "an ok status", isOK)
	const reconnect = " && systemctl restart ssh.service && pkill -KILL -u monitor sshd"
	stack.must(t, "db-01", "cd /etc/ssh && mv ssh_host_ed25519_key /root/ && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key"+reconnect)
	r := messages.wait(t, "host_key_changed", outcome("host_key_changed"))
	if r.status.Error == nil || !strings.Contains(*r.status.Error, "ssh-keygen -R db-01 -f /keys/known_hosts && ssh-keyscan ") {
		t.Errorf("error %v, want the commands that mend it", r.status.Error)
	}
	if len(r.status.Units) == 0 || r.status.StaleSince == nil {
		t.Errorf("stale since %v, %d units; want the last known ones", r.status.StaleSince, len(r.status.Units))
	}
	// The collector leaves such a host alone for minutes, so it is started anew here.
	stack.must(t, "db-01", "mv /root/ssh_host_ed25519_key /etc/ssh/ && systemctl restart ssh.service")
	stack.do(t, "restart", "collector")
	messages.wait(t, "ok again", isOK)
}

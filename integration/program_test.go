//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"service_manager/integration/proxy"
)

// A program is the service_manager binary, run on this machine with an inventory of one host that no one listens at, and the stack's
// broker behind a proxy.
type program struct {
	binary, inventory string
	proxy             *proxy.Proxy
}

func newProgram(t *testing.T) program {
	t.Helper()
	url, p := through(t)
	dir := t.TempDir()
	made := program{binary: dir + "/service_manager", inventory: dir + "/inventory.toml", proxy: p}
	if _, err := stack.run(t.Context(), "go", "build", "-o", made.binary, "../cmd/service_manager"); err != nil {
		t.Fatal(err)
	}
	key, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/id").CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, key)
	}
	text := fmt.Sprintf("[collector]\nname = \"program\"\ninterval = \"1s\"\nstate = \"state.db\"\n[broker]\nurl = %q\n[ssh]\nidentity_file = \"id\"\n"+
		"[[hosts]]\nname = \"nobody\"\ngroup = \"%s\"\naddress = \"127.0.0.1\"\nssh = {port = 1}\n[groups.%s]\n", url, "alone", "alone")
	if err := os.WriteFile(made.inventory, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return made
}

// start runs the program; end tells it to stop and returns its exit code, -1 where it had to be killed after 10 s.
func (p program) start(t *testing.T, args ...string) (end func() int) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, p.binary, append(args, "-i", p.inventory)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kill)
	return func() int {
		defer kill()
		_ = cmd.Process.Signal(os.Interrupt) // It may have ended.
		defer time.AfterFunc(10*time.Second, kill).Stop()
		_ = cmd.Wait() // Its exit code says it.
		return cmd.ProcessState.ExitCode()
	}
}

func TestRunOncePublishes(t *testing.T) {
	p := newProgram(t)
	messages := consume(t, "status.alone.nobody")
	_, err := stack.run(t.Context(), p.binary, "run", "--once", "-i", p.inventory)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 {
		t.Errorf("error %v, want exit code 2: the host cannot be read", err)
	}
	messages.wait(t, "its message", outcome("unreachable"))
}

// A broker that is not there when the program starts is waited for.
func TestRunWaitsForTheBroker(t *testing.T) {
	p := newProgram(t)
	p.proxy.SetMode(proxy.Refuse)
	messages := consume(t, "status.alone.nobody")
	end := p.start(t, "run")
	if early := messages.collect(t, 3*time.Second); len(early) != 0 {
		t.Errorf("%d messages through a broker that refuses", len(early))
	}
	p.proxy.SetMode(proxy.Forward)
	messages.wait(t, "a message after the broker came", outcome("unreachable"))
	if code := end(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A signal ends the program within 10 s also when the broker has frozen.
func TestRunEndsThoughTheBrokerIsFrozen(t *testing.T) {
	for _, args := range [][]string{{"run"}, {"run", "--once"}} {
		p := newProgram(t)
		messages := consume(t, "status.alone.nobody")
		if len(args) == 1 {
			end := p.start(t, args...)
			messages.wait(t, "a message", outcome("unreachable"))
			p.proxy.SetMode(proxy.Freeze)
			messages.collect(t, 2*time.Second)
			if code := end(); code != 0 {
				t.Errorf("%v: exit code %d, want 0", args, code)
			}
			continue
		}
		p.proxy.SetMode(proxy.Freeze)
		end := p.start(t, args...)
		messages.collect(t, 2*time.Second)
		if code := end(); code != 4 {
			t.Errorf("%v: exit code %d, want 4: a broker error", args, code)
		}
	}
}

func TestStatusCommand(t *testing.T) {
	out, err := stack.run(t.Context(), "docker", "exec", stack.container(t, "collector"), "/service_manager", "status", "web-*")
	exit, ok := err.(interface{ Unwrap() error })
	if !ok || !strings.Contains(exit.Unwrap().Error(), "exit status 1") {
		t.Errorf("error %v, want exit status 1: units are failed", err)
	}
	lines := strings.Split(out, "\n")
	for i, want := range []string{"HOST UNIT", "! web-01 broken.service", "! web-01 ghost.service", "! web-02 broken.service", "! web-02 ghost.service"} {
		if !strings.HasPrefix(strings.Join(strings.Fields(lines[i]), " "), want) {
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
	if r.status.Error == nil || !strings.Contains(*r.status.Error, "service_manager trust --replace db-01") {
		t.Errorf("error %v, want the command that mends it", r.status.Error)
	}
	if len(r.status.Units) == 0 || r.status.StaleSince == nil {
		t.Errorf("stale since %v, %d units; want the last known ones", r.status.StaleSince, len(r.status.Units))
	}
	// The collector leaves such a host alone for minutes, so it is started anew here.
	stack.must(t, "db-01", "mv /root/ssh_host_ed25519_key /etc/ssh/ && systemctl restart ssh.service")
	stack.do(t, "restart", "collector")
	messages.wait(t, "ok again", isOK)
}

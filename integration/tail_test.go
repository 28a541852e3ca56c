//go:build integration

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"

	"service_manager/publish"
)

// A tailing is a running service_manager tail.
type tailing struct {
	cmd            *exec.Cmd
	stdout, stderr chan string // lines; closed at the end
	readers        conc.WaitGroup
}

// buildProgram returns the path of the service_manager binary.
func buildProgram(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "service_manager")
	if _, err := stack.run(t.Context(), "go", "build", "-o", binary, "../cmd/service_manager"); err != nil {
		t.Fatal(err)
	}
	return binary
}

// A sendable is a status, event or notice.
type sendable interface {
	Message() (publish.Message, error)
}

// tail starts the program and waits until it receives.
func tail(t *testing.T, binary string, args ...string) *tailing {
	t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	r := &tailing{
		cmd:    exec.CommandContext(ctx, binary, append([]string{"tail"}, args...)...),
		stdout: make(chan string, 1000), stderr: make(chan string, 1000),
	}
	for _, s := range []struct {
		pipe  func() (io.ReadCloser, error)
		lines chan string
	}{{r.cmd.StdoutPipe, r.stdout}, {r.cmd.StderrPipe, r.stderr}} {
		pipe, err := s.pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.readers.Go(func() {
			defer close(s.lines)
			for scanner := bufio.NewScanner(pipe); scanner.Scan(); {
				s.lines <- scanner.Text()
			}
		})
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill()
		r.readers.Wait()
		_ = r.cmd.Wait() // It was killed, or end has seen to it.
	})
	await(t, r.stderr, "receiving ")
	return r
}

// await returns the first of the lines that contains text.
func await(t *testing.T, lines <-chan string, text string) string {
	t.Helper()
	late := time.After(patience)
	var before []string
	for {
		select {
		case line, ok := <-lines:
			if strings.Contains(line, text) {
				return line
			}
			if !ok {
				t.Fatalf("it ended before it printed %q, after %q", text, before)
			}
			before = append(before, line)
		case <-late:
			t.Fatalf("it does not print %q, but %q", text, before)
		}
	}
}

// end returns the exit code, which it waits for.
func (r *tailing) end(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	defer timer.Stop()
	r.readers.Wait()
	_ = r.cmd.Wait() // Its exit code says it.
	return r.cmd.ProcessState.ExitCode()
}

// tell publishes what a collector might, to the stack's exchange.
func tell(t *testing.T, all ...sendable) {
	t.Helper()
	conn, err := dialBroker(stack.url("collector"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for _, each := range all {
		m, err := each.Message()
		if err != nil {
			t.Fatal(err)
		}
		publishing := amqp.Publishing{MessageId: m.ID, Type: m.Type, Timestamp: m.Time, Body: m.Body}
		confirm, err := ch.PublishWithDeferredConfirm("service_manager", m.Key, false, false, publishing)
		if err != nil {
			t.Fatal(err)
		}
		if !confirm.Wait() {
			t.Fatal("the broker did not take a message")
		}
	}
}

// unitFailed is the event of that number of a host that only this test knows.
func unitFailed(seq uint64) publish.Event {
	state := func(active string) *publish.EventState {
		return &publish.EventState{Unit: &publish.UnitState{Name: "a.service", LoadState: "loaded", ActiveState: active, SubState: active}}
	}
	return publish.Event{
		Collector: "tail", Epoch: "e1", Seq: seq, Event: publish.UnitFailed, Host: publish.HostRef{Name: "tail-01", Group: "tail"},
		Unit: new("a.service"), ObservedAt: publish.Time{Time: time.Now()}, Before: state("active"), After: state("failed"),
	}
}

func statusOf(host string) publish.Status {
	return publish.Status{
		ID: "id-" + host, Collector: "tail", Host: publish.HostRef{Name: host, Group: "tail"}, Time: publish.Time{Time: time.Now()}, Outcome: "ok",
	}
}

func TestTailPrints(t *testing.T) {
	r := tail(t, buildProgram(t), "--broker", stack.url("consumer"), "-n", "3", "*.tail.*")
	notice := publish.Notice{ID: "n", Collector: "tail", Event: "moved", Time: publish.Time{Time: time.Now()}}
	tell(t, statusOf("tail-01"), statusOf("tail-01"), unitFailed(1), notice)
	await(t, r.stdout, "  tail-01 ok, no units watched")
	if got := <-r.stdout; !strings.HasSuffix(got, " ! tail-01 a.service active → failed") {
		t.Errorf("it printed %q", got)
	}
	await(t, r.stdout, "  tail collector moved, 0 hosts")
	if code := r.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTailJSONLines(t *testing.T) {
	r := tail(t, buildProgram(t), "--broker", stack.url("consumer"), "-n", "2", "-o", "jsonl", "status.tail.*", "event.tail.*")
	status, failed := statusOf("tail.01"), unitFailed(1)
	tell(t, status, failed)
	for _, sent := range []sendable{status, failed} {
		m, err := sent.Message()
		if err != nil {
			t.Fatal(err)
		}
		line := await(t, r.stdout, "")
		if want := fmt.Sprintf(`{"routing_key":%q,"body":%s}`, m.Key, m.Body); line != want || !json.Valid([]byte(line)) {
			t.Errorf("it printed %s\nwant %s", line, want)
		}
	}
	if code := r.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// It comes back by itself after any end of its connection, says so, and finds what it missed.
func TestTailSurvives(t *testing.T) {
	r := tail(t, buildProgram(t), "--broker", stack.url("consumer"), "event.tail.*")
	const lost, back = "lost the broker, connecting again; what is sent meanwhile is missed", "receiving again, from amqp://127.0.0.1:"
	tell(t, unitFailed(1))
	await(t, r.stdout, "tail-01")

	stack.must(t, "broker", "rabbitmqctl --quiet close_all_connections 'by a test'")
	await(t, r.stderr, lost)
	await(t, r.stderr, back)
	tell(t, unitFailed(5))
	await(t, r.stderr, "tail-01: events 2..4 were missed")
	await(t, r.stdout, "tail-01")

	stack.do(t, "restart", "broker")
	await(t, r.stderr, lost)
	await(t, r.stderr, back)
	tell(t, unitFailed(5), unitFailed(6))
	await(t, r.stdout, "tail-01")

	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := r.end(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C", code)
	}
	if more, ok := <-r.stdout; ok {
		t.Errorf("it also printed %q: an event twice?", more)
	}
}

// The collector's account is refused, with the command that makes one that is not, and that command is enough.
func TestTailAccounts(t *testing.T) {
	binary := buildProgram(t)
	inventory := filepath.Join(t.TempDir(), "inventory.toml")
	if err := os.WriteFile(inventory, fmt.Appendf(nil, "[broker]\nurl = %q\n", stack.url("collector")), 0o600); err != nil {
		t.Fatal(err)
	}
	refused, err := exec.CommandContext(t.Context(), binary, "tail", "-i", inventory).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 4 {
		t.Errorf("error %v, want exit code 4", err)
	}
	if !strings.Contains(string(refused), "--broker amqp://") || strings.Contains(string(refused), "collector:collector") {
		t.Errorf("it said: %s", refused)
	}
	grant := regexp.MustCompile(`rabbitmqctl set_permissions .*`).FindString(string(refused))
	if grant == "" {
		t.Fatalf("it names no command: %s", refused)
	}

	stack.must(t, "broker", "rabbitmqctl --quiet add_user reader reader && "+strings.Replace(grant, " USER ", " reader ", 1))
	defer stack.must(t, "broker", "rabbitmqctl --quiet delete_user reader")
	r := tail(t, binary, "--broker", stack.url("reader"), "-n", "1", "status.tail.*")
	tell(t, statusOf("tail-02"))
	await(t, r.stdout, "tail-02 ok")
	if code := r.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

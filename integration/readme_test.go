//go:build integration

package integration

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sourcegraph/conc"

	"service_manager/publish"
)

// readme returns the block of the README that has its language and contains the given text, with the stack's broker in it.
func readme(t *testing.T, language, containing string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "```"+language+"\n") {
		block, _, _ = strings.Cut(block, "```")
		if strings.Contains(block, containing) {
			return strings.ReplaceAll(block, "guest:guest@localhost", "consumer:consumer@broker")
		}
	}
	t.Fatalf("README.md has no %s that contains %q", language, containing)
	return ""
}

// An example is a consumer of the README that runs. A test reads its output, line by line.
type example struct{ *bufio.Scanner }

// startExample starts a consumer of a group's hosts, which the test's end stops.
func startExample(t *testing.T, language, group string) example {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	keys := []string{"status." + group + ".*", "event." + group + ".*"}
	var cmd *exec.Cmd
	switch language {
	case "go":
		binary := t.TempDir() + "/consume"
		if _, err := stack.run(ctx, "go", "build", "-o", binary, "./examples/consume"); err != nil {
			t.Fatal(err)
		}
		cmd = exec.CommandContext(ctx, binary, keys...)
		cmd.Env = append(cmd.Environ(), "AMQP_URL="+stack.url("consumer"))
	case "python":
		script := readme(t, "python", "import pika")
		for i, key := range []string{"status.web.*", "event.web.*"} {
			script = strings.ReplaceAll(script, key, keys[i])
		}
		removeQueue(t, "consumer.units")
		// Killing docker(1) ends nothing in the container, so that timeout(1) does.
		cmd = exec.CommandContext(ctx, "docker", "exec", stack.container(t, "consumer"), "timeout", "120", "python3", "-c", script)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // It was killed.
		if language == "python" {
			removeQueue(t, "consumer.units") // Which ends it in the container too.
		}
		if t.Failed() {
			t.Logf("it printed on stderr: %s", stderr.String())
		}
	})
	return example{bufio.NewScanner(stdout)}
}

func removeQueue(t *testing.T, name string) {
	t.Helper()
	conn, err := amqp.Dial(stack.url("admin"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
}

// until returns the lines up to the given one.
func (e example) until(t *testing.T, want string) []string {
	t.Helper()
	var lines []string
	for e.Scan() {
		lines = append(lines, e.Text())
		if e.Text() == want {
			return lines
		}
	}
	t.Fatalf("the example ended without %q; it printed:\n%s", want, strings.Join(lines, "\n"))
	return nil
}

// The README shows how to receive messages; what it shows must work.
func TestConsumersOfTheReadme(t *testing.T) {
	t.Run("sh", func(t *testing.T) {
		// It would go on for ever, so that timeout(1) ends it with 124.
		out, err := stack.compose(time.Minute, "exec", "-T", "consumer", "timeout", "10", "sh", "-c", readme(t, "sh", "amqp-consume"))
		for _, want := range []string{"web-01", "web-02"} {
			if !strings.Contains(out, want+" ok") || strings.Contains(out, "db-01") {
				t.Errorf("it printed %q (%v), want lines of %s and none of db-01", out, err, want)
			}
		}
	})
	t.Run("consumer.py", func(t *testing.T) {
		logs := stack.do(t, "logs", "--no-color", "consumer")
		for host, want := range stackHosts() {
			if !strings.Contains(logs, want.key+" ok ") {
				t.Errorf("the stack's consumer has printed nothing of %s: %s", host, logs)
			}
		}
	})
	for _, language := range []string{"go", "python"} {
		t.Run(language, func(t *testing.T) {
			seen := map[string]bool{}
			for lines := startExample(t, language, "web"); !seen["web-01"] || !seen["web-02"]; {
				if !lines.Scan() {
					t.Fatalf("it ended; seen: %v", seen)
				}
				host, told, _ := strings.Cut(lines.Text(), ": ")
				if host != "web-01" && host != "web-02" {
					t.Errorf("%q is of another group", lines.Text())
				}
				seen[host] = seen[host] || told == "broken.service is failed"
			}
		})
	}
}

// story is what a collector might send of one host in the worst of times, and what the examples print of it.
func story() ([]publish.Message, []string) {
	const old, anew = "20261122T090000.000Z-zzzzzzzz", "20261122T100000.000Z-aaaaaaaa"
	host := publish.HostRef{Name: "readme-01", Group: "readme"}
	status := func(epoch string, seq uint64, outcome, state string) publish.Message {
		s := publish.Status{
			ID: uuid.NewString(), Collector: "story", Epoch: epoch, Host: host, EventSeq: seq, Outcome: outcome,
			Units: []publish.Unit{{Name: "a.service", LoadState: "loaded", ActiveState: state, SubState: "sub"}},
		}
		return must(s.Message())
	}
	event := func(epoch string, seq uint64, kind, state string) publish.Message {
		e := publish.Event{Collector: "story", Epoch: epoch, Host: host, Seq: seq, Event: kind}
		if strings.HasPrefix(kind, "unit.") {
			e.Unit = new("a.service")
		}
		if state != "" {
			e.After = &publish.EventState{Unit: &publish.UnitState{Name: "a.service", LoadState: "loaded", ActiveState: state}}
		}
		return must(e.Message())
	}
	sent := []publish.Message{
		status(old, 16, "ok", "active"), // Not missed: we were not there.
		event(old, 17, publish.UnitFailed, "failed"),
		event(old, 17, publish.UnitFailed, "failed"),    // Again.
		event(old, 19, publish.UnitRecovered, "active"), // 18 is missing.
		status(old, 20, "ok", "inactive"),               // 20 is missing.
		status(old, 19, "timeout", "failed"),            // No news of units.
		event(old, 21, "unit.frozen", "frozen"),         // A kind that no one has heard of yet.
		event(old, 19, publish.UnitRecovered, "active"), // Again, after a crash of the collector,
		event(old, 21, "unit.frozen", "frozen"),         // with all that followed.
		event(old, 24, publish.Gap, ""),                 // 22 and 23 were dropped.
		event(old, 25, publish.UnitMissing, ""),         // By a glob: it is not listed any more.
		event(old, 26, publish.HostRemoved, ""),
		status(anew, 0, "ok", "active"),              // The state file was lost.
		event(old, 27, publish.UnitFailed, "failed"), // Late.
		event(anew, 1, publish.UnitFailed, "failed"),
		event(anew, 2, publish.UnitRecovered, "recovered"),
	}
	printed := []string{
		"readme-01: a.service is active",
		"readme-01: unit.failed: a.service is failed",
		"readme-01: missed events 18 to 18; the next status has the truth",
		"readme-01: unit.recovered: a.service is active",
		"readme-01: missed events 20 to 20; the next status has the truth",
		"readme-01: a.service is inactive",
		"readme-01: unit.frozen: a.service is frozen",
		"readme-01: missed events 22 to 23; the next status has the truth",
		"readme-01: gap",
		"readme-01: unit.missing: a.service is gone",
		"readme-01: host.removed",
		"readme-01: a.service is active",
		"readme-01: unit.failed: a.service is failed",
		"readme-01: unit.recovered: a.service is recovered",
	}
	return sent, printed
}

func must(m publish.Message, err error) publish.Message {
	if err != nil {
		panic(err)
	}
	return m
}

// The examples keep to the rules that the README gives to consumers, whatever comes.
func TestConsumersOfTheReadmeKeepCount(t *testing.T) {
	for _, language := range []string{"go", "python"} {
		t.Run(language, func(t *testing.T) {
			lines := startExample(t, language, "readme")
			conn, err := amqp.Dial(stack.url("admin"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			ch, err := conn.Channel()
			if err != nil {
				t.Fatal(err)
			}
			send := func(m publish.Message) {
				p := amqp.Publishing{ContentType: "application/json", MessageId: m.ID, Type: m.Type, Body: m.Body}
				if err := ch.PublishWithContext(t.Context(), "service_manager", m.Key, false, false, p); err != nil {
					t.Error(err)
				}
			}
			// A message of another host is sent until it arrives: then the example has its queue.
			arrived, ready := context.WithCancel(t.Context())
			var wg conc.WaitGroup
			wg.Go(func() {
				knock := publish.Event{Collector: "story", Epoch: "1", Seq: 1, Event: "host.knocks", Host: publish.HostRef{Name: "readme-02", Group: "readme"}}
				for ; arrived.Err() == nil; sleep(arrived, 200*time.Millisecond) {
					send(must(knock.Message()))
				}
			})
			lines.until(t, "readme-02: host.knocks")
			ready()
			wg.Wait()
			messages, want := story()
			for _, m := range messages {
				send(m)
			}
			if diff := cmp.Diff(want, lines.until(t, want[len(want)-1])); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
		})
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

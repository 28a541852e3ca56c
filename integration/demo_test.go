//go:build integration

package integration

import (
	"bufio"
	"context"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// A demo publishes to a real broker, and the command that it prints for receiving works there. No password is printed.
func TestDemoPublishes(t *testing.T) {
	demo := exec.CommandContext(context.WithoutCancel(t.Context()), buildProgram(t), "demo", "--broker", stack.url("admin"))
	demo.Dir = t.TempDir()
	demo.Env = append(demo.Environ(), "TMPDIR="+t.TempDir())
	stderr, err := demo.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	ours := consume(t, "status.cache.*") // The stack has no such group.
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	read := func(until string) (said string) {
		for lines.Scan() {
			said += lines.Text() + "\n"
			if strings.Contains(lines.Text(), until) {
				break
			}
		}
		return said
	}
	said := read("Ctrl-C ends it")
	ours.wait(t, "an ok status of a simulated host", isOK)
	command := regexp.MustCompile(`(?m)^  (.* tail .*)$`).FindStringSubmatch(said)
	if command == nil {
		t.Fatalf("it prints no command for receiving:\n%s", said)
	}
	receive := exec.CommandContext(t.Context(), "timeout", "5", "sh", "-c", command[1])
	received, _ := receive.CombinedOutput() // It is ended by timeout(1).
	if !strings.Contains(string(received), "receiving event.# from amqp://") {
		t.Errorf("of what it prints the command for receiving says:\n%s", received)
	}
	if err := demo.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said += read("this is never said")
	if err := demo.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, said)
	}
	if strings.Contains(said, "admin:") {
		t.Errorf("it prints the password:\n%s", said)
	}
}

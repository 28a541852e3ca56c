//go:build integration

package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"service_manager/integration/broker"
)

// A composeStack is a running stack of docker-compose.yml.
type composeStack struct {
	project       string
	env           []string
	port, tlsPort int // of the broker, on loopback
}

// startStack builds and starts the stack. It returns a stack also with an error, for its logs.
func startStack() (*composeStack, error) {
	port, err := broker.FreePort(context.Background())
	if err != nil {
		return nil, err
	}
	tlsPort, err := broker.FreePort(context.Background())
	if err != nil {
		return nil, err
	}
	uiPort, err := broker.FreePort(context.Background())
	if err != nil {
		return nil, err
	}
	project := cmp.Or(os.Getenv("COMPOSE_PROJECT_NAME"), "service_manager_test")
	s := &composeStack{project: project, port: port, tlsPort: tlsPort, env: append(os.Environ(), "COMPOSE_PROJECT_NAME="+project,
		"BROKER_PORT="+strconv.Itoa(port), "BROKER_TLS_PORT="+strconv.Itoa(tlsPort), "BROKER_UI_PORT="+strconv.Itoa(uiPort), "CONSUMER_JSON=")}
	// docker-compose 1.29 trips over containers of an earlier start.
	if _, err := s.compose(5*time.Minute, "down", "--volumes", "--remove-orphans"); err != nil {
		return s, err
	}
	if _, err := s.compose(25*time.Minute, "up", "--build", "--detach"); err != nil {
		return s, err
	}
	return s, nil
}

// stop removes all that the stack made but its images.
func (s *composeStack) stop() error {
	if os.Getenv("KEEP_STACK") != "" {
		fmt.Fprintln(os.Stderr, "the stack is left running, its broker on port", s.port)
		return nil
	}
	_, err := s.compose(5*time.Minute, "down", "--volumes", "--remove-orphans")
	return err
}

// dump prints what the containers have logged last.
func (s *composeStack) dump() {
	out, _ := s.compose(time.Minute, "ps")
	logs, _ := s.compose(time.Minute, "logs", "--no-color", "--tail=40")
	fmt.Fprintf(os.Stderr, "%s\n%s\n", out, logs)
}

// compose runs Compose on the stack, and returns what it printed on stdout.
func (s *composeStack) compose(limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return s.run(ctx, "stack/compose", args...)
}

func (s *composeStack) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = s.env
	cmd.WaitDelay = 10 * time.Second // What it started may hold its output open.
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// do is compose for a test, which fails when it does.
func (s *composeStack) do(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.compose(3*time.Minute, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// container returns the id of a service's container. To ask Compose for it would cost a second of CPU.
func (s *composeStack) container(t *testing.T, service string) string {
	t.Helper()
	out, err := s.run(t.Context(), "docker", "ps", "--all", "--quiet",
		"--filter", "label=com.docker.compose.project="+s.project, "--filter", "label=com.docker.compose.service="+service)
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(out)
	if id == "" {
		t.Fatalf("service %s has no container", service)
	}
	return id
}

// removeContainer removes a container that a test has started beside those of Compose.
func (s *composeStack) removeContainer(t *testing.T, id string) {
	t.Helper()
	if os.Getenv("KEEP_STACK") != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.run(ctx, "docker", "rm", "--force", "--volumes", id); err != nil {
		t.Error(err)
	}
}

// docker runs a Docker command on a service's container.
func (s *composeStack) docker(t *testing.T, command, service string) {
	t.Helper()
	if _, err := s.run(t.Context(), "docker", append(strings.Fields(command), s.container(t, service))...); err != nil {
		t.Fatal(err)
	}
}

// on runs a shell command line on a host as root, whatever its exit status, and returns what it printed on stdout.
func (s *composeStack) on(t *testing.T, host, commandLine string) string {
	t.Helper()
	out, err := s.run(t.Context(), "docker", "exec", "--env", "TZ=UTC", "--env", "LC_ALL=C", s.container(t, host), "sh", "-c", commandLine)
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return out
}

// must is on for a command line that has to succeed.
func (s *composeStack) must(t *testing.T, host, commandLine string) string {
	t.Helper()
	out := s.on(t, host, commandLine+"; echo $?")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status := lines[len(lines)-1]; status != "0" {
		t.Fatalf("%s: %q ended with exit status %s: %s", host, commandLine, status, out)
	}
	return strings.Join(lines[:len(lines)-1], "\n")
}

// url is the broker's URL for one of the stack's users, whose password is the name.
func (s *composeStack) url(user string) string {
	return fmt.Sprintf("amqp://%s:%s@127.0.0.1:%d/", user, user, s.port)
}

// tlsAddr is the address of the broker's TLS port.
func (s *composeStack) tlsAddr() string {
	return fmt.Sprintf("127.0.0.1:%d", s.tlsPort)
}

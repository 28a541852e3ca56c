package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"service_manager/hosts/sshtest"
)

// frozen is an inventory of two hosts: one refuses connections, and one takes them and says nothing, for as long as anyone waits.
// Each of its connections is told to reached.
func frozen(t *testing.T) (inventory string, reached <-chan struct{}) {
	t.Helper()
	private, _, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{}, 1)
	server, err := sshtest.Start(sshtest.Config{Greet: func(ctx context.Context, _ net.Conn) bool {
		connected <- struct{}{}
		<-ctx.Done()
		return false
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	dir := t.TempDir()
	for name, text := range map[string]string{"id": string(private), "known_hosts": "", "inventory.toml": fmt.Sprintf(`
[collector]
connect_timeout = "5m"
[ssh]
user = "monitor"
identity_file = "id"
known_hosts = ["known_hosts"]
[[hosts]]
name = "frozen"
address = "127.0.0.1"
ssh = {port = %d}
[[hosts]]
name = "refused"
address = "127.0.0.1"
ssh = {port = 1}
`, server.Addr().Port)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "inventory.toml"), connected
}

// A command that is told to stop does so at once, and shows what is known. A host whose turn was interrupted is not said to be in trouble.
func TestInterruptedCommands(t *testing.T) {
	for command, complaint := range map[string]string{
		"doctor": "interrupted: of 2 hosts, ",
		"status": "interrupted before every host was read",
		"trust":  "interrupted: of 2 hosts, ",
	} {
		for _, format := range []string{"table", "json"} {
			t.Run(command+" "+format, func(t *testing.T) {
				t.Cleanup(func() { goleak.VerifyNone(t) }) // When the server has ended.
				inventory, reached := frozen(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					<-reached
					cancel()
				}()
				var stdout, stderr bytes.Buffer
				if code := execute(ctx, []string{command, "-i", inventory, "-o", format}, nil, &stdout, &stderr); code != exitHost {
					t.Errorf("exit code %d, want %d", code, exitHost)
				}
				out := stdout.String()
				if strings.Contains(out, "frozen") || (format == "json") != strings.HasPrefix(out, "[") ||
					!strings.Contains(stderr.String(), complaint) {
					t.Errorf("it printed\n%s%s", out, stderr.String())
				}
			})
		}
	}
}

package hosts_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"service_manager/hosts/sshtest"
	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// A site is where the tests' files are: a user key that the servers accept, and a known_hosts file.
type site struct {
	dir     string
	userKey ssh.PublicKey
}

func newSite(t *testing.T) site {
	t.Helper()
	s := site{dir: t.TempDir()}
	private, signer, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s.userKey = signer.PublicKey()
	s.write(t, "id", string(private))
	s.write(t, "known_hosts", "")
	return s
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

func (s site) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs a server that accepts the site's key.
func (s site) start(t *testing.T, config sshtest.Config) *sshtest.Server {
	t.Helper()
	if config.UserKey == nil {
		config.UserKey = s.userKey
	}
	server, err := sshtest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// know makes key the server's key in known_hosts.
func (s site) know(t *testing.T, server *sshtest.Server, key ssh.PublicKey) {
	t.Helper()
	s.write(t, "known_hosts", knownhosts.Line([]string{knownhosts.Normalize(server.Addr().String())}, key)+"\n")
}

// host is the inventory's entry for a server, with time-outs that no healthy server of a test comes near.
func (s site) host(server *sshtest.Server) inventory.Host {
	return s.hostAt(server.Addr().Port)
}

func (s site) hostAt(port int) inventory.Host {
	return inventory.Host{
		Name:           "web-01",
		Address:        "127.0.0.1",
		Units:          []string{"nginx.service", "ghost.service"},
		Interval:       10 * time.Second,
		Timeout:        20 * time.Second,
		ConnectTimeout: 20 * time.Second,
		SSH:            inventory.SSH{User: "monitor", Port: port, IdentityFile: s.path("id"), KnownHosts: []string{s.path("known_hosts")}},
	}
}

// systemd answers the collector's command as a host with the given systemd does.
func systemd(version string) func(context.Context, string, io.Writer, io.Writer) int {
	return func(_ context.Context, command string, stdout, stderr io.Writer) int {
		request, err := systemctl.ParseCommand(command)
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 127
		}
		answer(request, version, stdout)
		return 0
	}
}

// answer is what a host with the given systemd prints.
func answer(request systemctl.Request, version string, stdout io.Writer) {
	section := func(name, body string) {
		_, _ = io.WriteString(stdout, systemctl.BeginMarker(request.Nonce, name)+body+systemctl.EndMarker(request.Nonce, name, 0))
	}
	section(systemctl.SectionManager, "Version="+version+"\nSystemState=running\nNFailedUnits=0\nNJobs=0\n")
	section(systemctl.SectionBoot, "8d3f3f3c-7a1f-4a53-9d1e-2f4f5b0c9a11\n")
	for _, group := range request.Groups {
		var records []string
		for _, name := range group.Units {
			load, active, sub := "loaded", "active", "running"
			if name == "ghost.service" {
				load, active, sub = "not-found", "inactive", "dead"
			}
			records = append(records, fmt.Sprintf("Id=%s\nNames=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\n", name, name, load, active, sub))
		}
		section(systemctl.SectionUnits, strings.Join(records, "\n"))
	}
}

// script answers any command with the same output and exit status.
func script(stdout, stderr string, status int) func(context.Context, string, io.Writer, io.Writer) int {
	return func(_ context.Context, _ string, out, errout io.Writer) int {
		_, _ = io.WriteString(out, stdout)
		_, _ = io.WriteString(errout, stderr)
		return status
	}
}

// greet sends text and hangs up.
func greet(text string) func(context.Context, net.Conn) bool {
	return func(_ context.Context, c net.Conn) bool {
		_, _ = io.WriteString(c, text)
		return false
	}
}

func encryptedKey(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func ecdsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

//go:build integration

package integration

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pageBlocks are the fenced blocks of a page in cmd/service_manager/docs that are in a language.
func pageBlocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "cmd", "service_manager", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```(\\S*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no block in %s", page, language)
	}
	return all
}

// The accounts that broker.md makes may do what they are for, with each of its permissions, and nothing more than these.
func TestBrokerAccountsOfTheDocs(t *testing.T) {
	binary := buildProgram(t)
	broker := stack.container(t, "broker")
	rabbitmqctl := func(commands string) {
		t.Helper()
		if _, err := stack.run(t.Context(), "docker", "exec", broker, "sh", "-ec", commands); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		removeQueue(t, "web-events")
		// What is not there needs no removing.
		_, _ = stack.compose(time.Minute, "exec", "-T", "broker", "sh", "-c",
			"rabbitmqctl delete_user service_manager & rabbitmqctl delete_user reader & rabbitmqctl clear_policy web-events & wait")
	})
	queue := "\n" + queueOf(t)
	ran := map[string]bool{}
	for _, block := range pageBlocks(t, "broker.md", "sh") {
		heading, commands, _ := strings.Cut(block, "\n")
		if !strings.HasPrefix(commands, "rabbitmqctl ") || strings.HasPrefix(heading, "rabbitmq-plugins ") { // Of a certificate: the stack's own.
			continue
		}
		rabbitmqctl(commands)
		ran[heading] = true
		switch heading {
		case `# declare = "passive"`:
			publishAs(t, binary, "declare = \"passive\"\n")
			publishAs(t, binary, "declare = \"none\"\n")
		case `# declare = "active"`:
			publishAs(t, binary, "declare = \"active\"\n")
		case `# declare = "active" and queues`:
			publishAs(t, binary, "declare = \"active\"\n"+queue)
		case "# topic permissions":
			publishAs(t, binary, "declare = \"active\"\n"+queue)
		case "# reader":
			received := tail(t, binary, "--broker", stackURL("reader", "a password"), "status.#")
			await(t, received.stdout, "ok, ")
		case "# policy":
		default:
			t.Errorf("nothing tests the block %s", heading)
		}
	}
	if len(ran) != 6 {
		t.Errorf("only these were run: %v", ran)
	}
}

// queueOf is the queue that the page has declared.
func queueOf(t *testing.T) string {
	t.Helper()
	for _, block := range pageBlocks(t, "broker.md", "toml") {
		if _, queue, ok := strings.Cut(block, "[[broker.queues]]"); ok {
			return "[[broker.queues]]" + queue
		}
	}
	t.Fatal("broker.md declares no queue")
	return ""
}

// stackURL is the broker's for an account of a page.
func stackURL(user, password string) string {
	u := url.URL{Scheme: "amqp", User: url.UserPassword(user, password), Host: fmt.Sprintf("127.0.0.1:%d", stack.port), Path: "/"}
	return u.String()
}

// publishAs has the account service_manager publish the status of a host that is not there, and wants all of it confirmed.
func publishAs(t *testing.T, binary, broker string) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/id").CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	text := fmt.Sprintf("[collector]\nname = \"docs\"\nstate = \"state.db\"\n[ssh]\nidentity_file = \"id\"\n[[hosts]]\nname = \"nobody\"\n"+
		"address = \"127.0.0.1\"\nssh = {port = 1}\n[broker]\nurl = %q\n%s", stackURL("service_manager", "a password"), broker)
	if err := os.WriteFile(dir+"/inventory.toml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "run", "--once", "-i", dir+"/inventory.toml").CombinedOutput()
	// 2: the host cannot be read. With trouble of the broker it would be 4.
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || strings.Contains(string(out), "level=ERROR") {
		t.Errorf("with\n%s: %v, want exit code 2 and no error in\n%s", broker, err, out)
	}
}

// The sshd of each Debian takes what hardening-hosts.md has for all, and the newest what it has for OpenSSH 9.8 and newer.
func TestSSHDConfigOfTheDocs(t *testing.T) {
	try := func(host, config string) {
		t.Helper()
		const script = "cat >/run/docs.conf; mkdir -p /run/sshd; /usr/sbin/sshd -t -f /run/docs.conf && /usr/sbin/sshd -T -f /run/docs.conf -C user=monitor,host=x,addr=192.0.2.1"
		cmd := exec.CommandContext(t.Context(), "docker", "exec", "--interactive", stack.container(t, host), "sh", "-c", script)
		cmd.Stdin = strings.NewReader(config)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(strings.ToLower(string(out)), "deprecated") {
			t.Errorf("%s: %v: %s\nof\n%s", host, err, out, config)
		}
	}
	for _, config := range pageBlocks(t, "hardening-hosts.md", "sshd_config") {
		for _, host := range []string{"web-01", "web-02", "db-01"} {
			try(host, config)
		}
	}
	for _, config := range pageBlocks(t, "hardening-hosts.md", "sshd_config-9.8") {
		try("web-02", config)
	}
}

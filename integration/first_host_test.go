//go:build integration

package integration

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A pageStep is a command or an inventory of a page, by its beginning, and what it prints.
type pageStep struct{ step, prints string }

// firstSteps are those of first-host.md in their order. The fingerprint is shown on both sides.
func firstSteps() []pageStep {
	return []pageStep{
		{"sudo apt install ./service-manager_*_", `service_manager: name your hosts in /etc/service_manager/inventory.toml`},
		{"sudo -u service_manager ssh-keygen ", `^$`},
		{"ssh web-01.example.com sudo useradd ", `^$`},
		{"sudo cat /var/lib/service_manager/.ssh/id_ed25519.pub | ssh web-01.example.com ", `^$`},
		{"[ssh]", ""},
		{"sudo -u service_manager service_manager check", `ok: 1 host in 1 group, 2 units watched`},
		{"sudo -u service_manager service_manager check --print", `(?m)^web-01 .* status\.default\.web-01 +nginx.service ssh.service$`},
		{
			"sudo -u service_manager service_manager trust web-01",
			`(SHA256:\S+) +unknown(?s:.*)added 1 key to /var/lib/service_manager/.ssh/known_hosts`,
		},
		{"ssh-keygen -lf ", `^256 (SHA256:\S+) `},
		{"sudo -u service_manager service_manager doctor web-01", `(?m)^web-01 +ok +OpenSSH(?s:.*)^broker +ok +none in the inventory$`},
		{
			"sudo -u service_manager service_manager status web-01",
			`(?m)^ +web-01 +nginx.service +active/running (?s:.*)^ +web-01 +ssh.service +active/running `,
		},
		{"sudo -u service_manager service_manager run --dry-run", `\{"routing_key":"status.default.web-01",.*"outcome":"ok"`},
		{"sudo rabbitmqctl add_user service_manager ", `Adding user`},
		{"sudo rabbitmqctl set_permissions service_manager ", `Setting permissions`},
		{"sudo rabbitmqctl add_user reader ", `Adding user`},
		{"sudo rabbitmqctl set_permissions reader ", `Setting permissions`},
		{"[broker]", ""},
		{"printf 'a password' | sudo install ", `^$`},
		{"sudo -u service_manager service_manager doctor", `(?m)^web-01 +ok .*\n^broker +ok +\d+ steps$`},
		{"sudo systemctl enable --now service_manager", `^(Created symlink .*)?\n?$`},
		{"service_manager tail ", `receiving \*\.\*\.web-01 from amqp://rabbit\.example\.com:5672/`},
		{"ssh web-01.example.com sudo systemctl stop nginx", `^$`},
	}
}

// pageSteps are the commands and inventories of first-host.md, with the names that the stack has in place of some of the page. Its host has
// an account monitor already.
func pageSteps(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "cmd", "service_manager", "docs", "first-host.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := strings.NewReplacer("monitor", "newcomer", "_amd64.deb", "_"+runtime.GOARCH+".deb").Replace(string(text))
	var steps []string
	for _, m := range regexp.MustCompile("(?ms)^```(\\S*)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		switch m[1] {
		case "toml":
			steps = append(steps, m[2])
		case "sh":
			steps = append(steps, strings.Split(strings.TrimSpace(strings.ReplaceAll(m[2], "\\\n", "")), "\n")...)
		default:
			t.Errorf("no one types a block in %q", m[1])
		}
	}
	return steps
}

// A newcomer's machine is "manager", from which an administrator may log in to the host: the names of the page are known there.
func prepareNewcomer(t *testing.T) {
	t.Helper()
	stack.must(t, "manager", "rm -rf /etc/systemd/system/service_manager.service.d && systemctl daemon-reload && cd /root && mkdir -p .ssh && "+
		"cp b.deb service-manager_1.0.1_"+runtime.GOARCH+".deb && ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519 && "+
		"echo '"+addressOf(t, "web-01")+" web-01.example.com\n"+addressOf(t, "broker")+" rabbit.example.com' >>/etc/hosts && "+
		"printf 'Host web-01.example.com\\n User admin\\n StrictHostKeyChecking accept-new\\n LogLevel ERROR\\n' >.ssh/config")
	key := stack.must(t, "manager", "cat /root/.ssh/id_ed25519.pub")
	host, broker := stack.container(t, "web-01"), stack.container(t, "broker")
	t.Cleanup(func() {
		for container, commandLine := range map[string]string{
			host: "pkill -KILL -u newcomer; pkill -KILL -u admin; sleep 0.5; userdel --remove newcomer; userdel --remove admin; " +
				"systemctl disable --now nginx; rm /etc/sudoers.d/admin /etc/systemd/system/nginx.service /etc/ssh/ssh_host_ed25519_key.pub && systemctl daemon-reload",
			broker: "rabbitmqctl delete_user service_manager & rabbitmqctl delete_user reader; wait",
		} {
			if _, err := stack.run(context.Background(), "docker", "exec", container, "sh", "-c", commandLine); err != nil {
				t.Error(err)
			}
		}
	})
	stack.must(t, "web-01", `useradd --create-home --shell /bin/sh --password '*' admin &&
		cd /home/admin && mkdir .ssh && echo '`+key+`' >.ssh/authorized_keys &&
		chown -R admin .ssh && echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin && `+checkRules+` &&
		printf '[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/nginx.service &&
		systemctl enable --now nginx 2>&1 && ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key >/etc/ssh/ssh_host_ed25519_key.pub`)
}

// testFirstHost goes the way of the page, as someone who has nothing yet, and looks at what each of its commands prints.
func testFirstHost(t *testing.T) {
	prepareNewcomer(t)
	steps, wanted := pageSteps(t), firstSteps()
	if len(steps) != len(wanted) {
		t.Fatalf("the page has %d steps, the test %d", len(steps), len(wanted))
	}
	var fingerprints []string
	for i, step := range steps {
		want := wanted[i]
		if !strings.HasPrefix(step, want.step) {
			t.Fatalf("step %d of the page is %q, want %q", i+1, step, want.step)
		}
		printed := typeAsNewcomer(t, step)
		m := regexp.MustCompile(want.prints).FindStringSubmatch(printed)
		if m == nil {
			t.Fatalf("%s\nprinted\n%s\nwant %s", step, printed, want.prints)
		}
		if len(m) > 1 && strings.HasPrefix(m[1], "SHA256:") {
			fingerprints = append(fingerprints, m[1])
		}
	}
	if len(fingerprints) != 2 || fingerprints[0] != fingerprints[1] {
		t.Errorf("fingerprints %q: not those of one key", fingerprints)
	}
	stack.must(t, "manager", until(`grep ' web-01 nginx.service active → inactive' /root/tail`))
}

// typeAsNewcomer does a step, and returns what is printed, on stdout and stderr.
func typeAsNewcomer(t *testing.T, step string) string {
	t.Helper()
	machine, input := "manager", ""
	switch {
	case strings.HasPrefix(step, "[ssh]"):
		step, input = "cat >/etc/service_manager/inventory.toml", step
	case strings.HasPrefix(step, "[broker]"):
		step, input = "cat >>/etc/service_manager/inventory.toml", step
	case strings.HasPrefix(step, "sudo rabbitmqctl "):
		machine, step = "broker", strings.TrimPrefix(step, "sudo ")
	case strings.HasPrefix(step, "ssh-keygen -lf "):
		machine = "web-01"
	case strings.Contains(step, " trust "): // It asks on a terminal only.
		step, input = "script --quiet --return --command '"+step+"' /dev/null", "y\n"
	case strings.Contains(step, " run --dry-run"):
		step = "timeout --signal=INT --preserve-status 2 " + step
	case strings.Contains(step, "service_manager tail "):
		step = "{ timeout --signal=INT 60 " + step + " >tail 2>&1 & } && " + until("grep receiving tail")
	case strings.Contains(step, "apt install"):
		step = "DEBIAN_FRONTEND=noninteractive " + strings.Replace(step, "install", "install --yes", 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "exec", "--interactive", "--workdir", "/", stack.container(t, machine), "sh", "-c", "cd; "+step)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v:\n%s", step, err, out.String())
	}
	return out.String()
}

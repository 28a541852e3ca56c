//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"service_manager/hosts/systemctl"
)

// An operated is how a command of an operator ended.
type operated struct {
	code           int
	stdout, stderr string
}

// operate runs a command of an operator in the collector's container.
func operate(t *testing.T, args ...string) operated {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", append([]string{"exec", stack.container(t, "collector"), "/service_manager"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return operated{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// wants fails t unless the command ended so, and printed what matches.
func (o operated) wants(t *testing.T, code int, stdout string) {
	t.Helper()
	if o.code != code || !regexp.MustCompile("(?m)"+stdout).MatchString(o.stdout) {
		t.Fatalf("exit code %d, want %d with %q; it printed\n%s%s", o.code, code, stdout, o.stdout, o.stderr)
	}
}

// checkRules has visudo look at all rules of sudo. It wants files that it has written itself, or that look so.
const checkRules = "chmod 440 /etc/sudoers.d/* && visudo -cq"

// forgetLater removes a file of a host after the test.
func forgetLater(t *testing.T, host, file string) {
	t.Helper()
	container := stack.container(t, host)
	t.Cleanup(func() {
		if _, err := stack.run(context.Background(), "docker", "exec", container, "rm", "-f", file); err != nil {
			t.Error(err)
		}
	})
}

// allow gives the hosts the rule of sudo that the command printed.
func (o operated) allow(t *testing.T, hosts ...string) {
	t.Helper()
	rule := regexp.MustCompile(`(?m)^monitor ALL=.*$`).FindString(o.stderr)
	if rule == "" {
		t.Fatalf("it printed no rule:\n%s", o.stderr)
	}
	for _, host := range hosts {
		stack.must(t, host, "cat >>/etc/sudoers.d/service_manager <<'END'\n"+rule+"\nEND\n"+checkRules)
	}
}

// invocation is the unit's on a host.
func invocation(t *testing.T, host, unit string) string {
	t.Helper()
	return stack.must(t, host, "systemctl show --value --property=InvocationID "+unit)
}

// Real systemd and sudo: without a rule nothing is done; with the one that is printed a restart is one, and a unit that fails ends it.
func TestOperate(t *testing.T) {
	const inventory = "/operate.toml"
	text, err := os.ReadFile("stack/inventory.toml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "operate.toml")
	withSudo := strings.Replace(string(text), "[ssh]\n", "[ssh]\nbecome = \"sudo\"\n", 1)
	if err := os.WriteFile(file, []byte(withSudo), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := stack.run(t.Context(), "docker", "cp", file, stack.container(t, "collector")+":"+inventory); err != nil {
		t.Fatal(err)
	}
	forgetLater(t, "web-01", "/etc/sudoers.d/service_manager")
	forgetLater(t, "web-02", "/etc/sudoers.d/service_manager")

	before := []string{invocation(t, "web-01", managedUnit), invocation(t, "web-02", managedUnit)}
	restart := []string{"restart", managedUnit, "@web", "--yes"}
	without := operate(t, restart...)
	without.wants(t, 2, `^web-01 +failed +active/running .*denied: not permitted: `)
	without.wants(t, 2, `^web-02 +not done `)
	restart = append(restart, "-i", inventory)
	refused := operate(t, restart...)
	refused.wants(t, 2, `^web-01 +failed +active/running .*denied: sudo does not run it: sudo: `)
	if after := invocation(t, "web-01", managedUnit); after != before[0] {
		t.Fatal("refused, it was restarted")
	}

	refused.allow(t, "web-01", "web-02")
	operate(t, restart...).wants(t, 0, `^web-01 +done +active/running (?s:.*)^web-02 +done +active/running `)
	for i, host := range []string{"web-01", "web-02"} {
		if after := invocation(t, host, managedUnit); after == "" || after == before[i] {
			t.Errorf("%s: the invocation is still %s", host, after)
		}
	}
	operate(t, "stop", managedUnit, "@web", "--yes", "-i", inventory).wants(t, 2, `^web-01 +failed .*denied: `) // Another verb.

	broken := []string{"restart", "broken", "@web", "--yes", "-i", inventory}
	operate(t, broken...).allow(t, "web-01", "web-02")
	untouched := invocation(t, "web-02", "broken.service")
	stopped := operate(t, broken...)
	stopped.wants(t, 1, `^web-01 +failed +failed/failed .*\(exit-code, exited 3\)$`)
	stopped.wants(t, 1, `^web-02 +not done `)
	if !strings.Contains(stopped.stderr, "batch 1 of 2 did not go well") || invocation(t, "web-02", "broken.service") != untouched {
		t.Errorf("after a bad batch it went on:\n%s", stopped.stderr)
	}
}

// Real polkit: without a rule nothing is done; with the one that is printed a restart is one, without sudo, and nothing else is allowed.
func TestOperateByPolkit(t *testing.T) {
	const host, file = "web-02", "/etc/polkit-1/rules.d/50-service_manager.rules"
	stack.must(t, host, "test -x /usr/lib/polkit-1/polkitd")
	restart := []string{"restart", managedUnit, host, "--yes"}
	before := invocation(t, host, managedUnit)
	refused := operate(t, restart...)
	refused.wants(t, 2, `^web-02 +failed +active/running .*denied: not permitted: .*Interactive authentication required`)
	if after := invocation(t, host, managedUnit); after != before {
		t.Fatal("refused, it was restarted")
	}

	_, printed, found := strings.Cut(refused.stderr, ": "+file+"\n\n")
	rule, _, ended := strings.Cut(printed, "\n});\n")
	if !found || !ended {
		t.Fatalf("it printed no rule for %s:\n%s", file, refused.stderr)
	}
	forgetLater(t, host, file)
	stack.must(t, host, "cat >"+file+" <<'END'\n"+rule+"\n});\nEND\ntrue")
	eventually(t, "polkit to read the rule", func() bool { return operate(t, restart...).code == 0 }) // It looks for new ones itself.
	if after := invocation(t, host, managedUnit); after == "" || after == before {
		t.Errorf("the invocation is still %s", after)
	}
	operate(t, "stop", managedUnit, host, "--yes").wants(t, 2, `^web-02 +failed +active/running .*denied: not permitted: `)
	operate(t, "restart", "api", host, "--yes").wants(t, 2, `^web-02 +failed +active/running .*denied: not permitted: `)
}

// What sudo itself makes of a rule for a name with all characters that mean something to it.
func TestSudoersRule(t *testing.T) {
	odd := systemctl.Operation{Verb: systemctl.Restart, Unit: `srv-a\x2db:c.mount`, Sudo: true}
	stack.must(t, "web-01", "cat >/etc/sudoers.d/odd <<'END'\n"+odd.SudoersRule("monitor")+"\nEND\n"+checkRules)
	forgetLater(t, "web-01", "/etc/sudoers.d/odd")
	for unit, want := range map[string]string{odd.Unit: "0", `srv-ax2db:c.mount`: "1", `srv-a\x2db:c.mount other.service`: "1"} {
		out := stack.on(t, "web-01", `sudo -l -U monitor systemctl --no-ask-password restart -- `+strings.NewReplacer(`\`, `\\`).Replace(unit)+" >/dev/null; echo $?")
		if got := strings.TrimSpace(out); got != want {
			t.Errorf("%s: exit status %s, want %s", unit, got, want)
		}
	}
}

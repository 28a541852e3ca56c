//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts/systemctl"
	"service_manager/publish"
)

// An outpost is the program on one host of the stack, with a key of its own for the unprivileged account reporter, which
// all hosts get for the test.
type outpost struct {
	host    string
	program string // with its inventory
	ssh     string // command line up to the host, as reporter
}

// outpostDir is where it is.
const outpostDir = "/root/outpost"

// newOutpost sets everything up but the way in. The hosts differ in the account's login shell.
func newOutpost(t *testing.T) outpost {
	t.Helper()
	o := outpost{
		host:    "web-01",
		program: outpostDir + "/service_manager --inventory " + outpostDir + "/inventory.toml ",
		ssh: "ssh -n -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=" + outpostDir + "/known_hosts -i " + outpostDir +
			"/id_ed25519 -o ControlPath=" + outpostDir + "/%h.socket -l reporter ",
	}
	binary := t.TempDir() + "/service_manager"
	if _, err := stack.run(t.Context(), "env", "CGO_ENABLED=0", "go", "build", "-o", binary, "../cmd/service_manager"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for host := range stackHosts() { // The test's own context has ended.
			if _, err := stack.compose(time.Minute, "exec", "-T", host, "sh", "-c", "manager=user@$(id -u reporter).service; "+
				"pkill -KILL -u reporter; while pgrep -u reporter; do sleep 0.1; done; systemctl stop $manager; systemctl reset-failed $manager; "+
				"userdel --remove reporter; rm -rf "+outpostDir+" "+systemctl.WrapperPath); err != nil {
				t.Error(err)
			}
		}
	})
	stack.must(t, o.host, "mkdir "+outpostDir)
	if _, err := stack.run(t.Context(), "docker", "cp", binary, stack.container(t, o.host)+":"+outpostDir+"/"); err != nil {
		t.Fatal(err)
	}
	stack.must(t, o.host, "cd "+outpostDir+" && ssh-keygen -q -t ed25519 -N '' -C outpost -f id_ed25519 && "+
		"ssh-keyscan -t ed25519 web-01 web-02 db-01 >known_hosts 2>/dev/null")
	o.write(t, o.host, outpostDir+"/inventory.toml", `
[collector]
name = "outpost"
[ssh]
user = "reporter"
identity_file = "id_ed25519"
known_hosts = ["known_hosts"]
[groups.default]
units = [
	"mount_controller", "api", "backup.timer", "broken", "masked", "nasty", "metrics.socket", "ghost",
	"mount*", "worker@[!2-9].service", '*\x2d*',
]
[[hosts]]
name = "web-[01-02]"
[[hosts]]
name = "db-01"
`)
	for host, shell := range map[string]string{"web-01": "/bin/sh", "web-02": "/bin/bash", "db-01": "/bin/dash"} {
		stack.must(t, host, "useradd --create-home --shell "+shell+" --password '*' reporter")
	}
	return o
}

// write puts text into a file on a host.
func (o outpost) write(t *testing.T, host, file, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", "exec", "--interactive", stack.container(t, host), "sh", "-c",
		"mkdir -p "+path.Dir(file)+" && cat >"+file)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("writing %s on %s: %v: %s", file, host, err, out)
	}
}

// authorize makes text the authorized_keys of reporter everywhere.
func (o outpost) authorize(t *testing.T, text string) {
	t.Helper()
	const file = "/home/reporter/.ssh/authorized_keys"
	for host := range stackHosts() {
		o.write(t, host, file, text)
		stack.must(t, host, "chown -R reporter: /home/reporter/.ssh && chmod 700 /home/reporter/.ssh && chmod 600 "+file)
	}
}

// statuses are what the program reads now, by host.
func (o outpost) statuses(t *testing.T) map[string]publish.Status {
	t.Helper()
	return statusesBy(t, o.host, o.program)
}

func statusesBy(t *testing.T, host, program string) map[string]publish.Status {
	t.Helper()
	out := stack.on(t, host, program+" status -o json")
	var list []publish.Status
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	byHost := make(map[string]publish.Status)
	for _, s := range list {
		byHost[s.Host.Name] = s
	}
	return byHost
}

// attempt tries something as reporter, from the outpost.
func (o outpost) attempt(t *testing.T, commandLine string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", "exec", "--env", "LC_ALL=C", stack.container(t, o.host), "timeout", "30", "sh", "-c", commandLine)
	var out, errout strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errout
	if err := cmd.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); !ended {
			t.Fatal(err)
		}
	}
	return out.String(), errout.String(), cmd.ProcessState.ExitCode()
}

// steady is what two readings of the same host have in common.
func steady(s publish.Status) (string, []publish.Unit) {
	summary := s.Outcome
	if s.Error != nil {
		summary += " " + *s.Error
	}
	if s.System != nil && s.System.BootID != nil && s.System.Systemd != nil {
		summary += " " + *s.System.Systemd + " " + *s.System.BootID
	}
	var units []publish.Unit
	for _, u := range s.Units {
		u.MemoryBytes, u.CPUSeconds, u.Tasks, u.StatusText = nil, nil, nil, nil
		units = append(units, u)
	}
	return summary, units
}

// The whole program through the forced command, as authorized-keys prints it, reads the same as without; and the key that is
// bound so can do nothing else.
func TestForcedCommand(t *testing.T) {
	o := newOutpost(t)
	o.authorize(t, stack.must(t, o.host, "cat "+outpostDir+"/id_ed25519.pub")+"\n")
	free := o.statuses(t)

	line := stack.must(t, o.host, o.program+"authorized-keys --from '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.1'")
	if want := `,restrict,command="` + systemctl.WrapperPath + `" ssh-ed25519 `; strings.Count(line, "\n") != 0 || !strings.Contains(line, want) ||
		!strings.HasSuffix(line, " outpost") {
		t.Errorf("authorized-keys printed %q", line)
	}
	wrapper := stack.must(t, o.host, o.program+"authorized-keys --wrapper") + "\n"
	o.authorize(t, line+"\n")
	for host := range stackHosts() {
		o.write(t, host, systemctl.WrapperPath, wrapper)
		stack.must(t, host, "chmod 755 "+systemctl.WrapperPath)
	}
	bound := o.statuses(t)
	for host := range stackHosts() {
		summary, units := steady(free[host])
		gotSummary, gotUnits := steady(bound[host])
		byGlob := func(u publish.Unit) bool { return u.Name == "worker@1.service" }
		if !slices.ContainsFunc(units, byGlob) {
			t.Errorf("%s: no unit found by a glob: %+v", host, units)
		}
		if diff := cmp.Diff(units, gotUnits); diff != "" || summary != gotSummary || !strings.HasPrefix(summary, "ok ") || len(units) < 9 {
			t.Errorf("%s: %q without, %q with the forced command; units (-without +with):\n%s", host, summary, gotSummary, diff)
		}
	}

	t.Run("nothing else", func(t *testing.T) { testForcedCommandRefuses(t, o) })
	t.Run("by streams", func(t *testing.T) { testForcedStreams(t, o, bound) })
	t.Run("another version", func(t *testing.T) {
		for host := range stackHosts() {
			o.write(t, host, systemctl.WrapperPath, strings.ReplaceAll(wrapper, "--no-ask-password", "--quiet"))
		}
		for host, s := range o.statuses(t) {
			if s.Outcome != "denied" || s.Error == nil || !strings.Contains(*s.Error, "install this script anew: service_manager authorized-keys --wrapper") {
				t.Errorf("%s: status %+v", host, s)
			}
		}
	})
}

// testForcedStreams has mode = "stream" bring the same, over one shell per host that stays, and nothing of it stay when the program has ended.
func testForcedStreams(t *testing.T, o outpost, bound map[string]publish.Status) {
	t.Helper()
	const inventory = outpostDir + "/stream.toml"
	stack.must(t, o.host, "sed 's/^\\[ssh\\]$/&\\nmode = \"stream\"/' "+outpostDir+"/inventory.toml >"+inventory)
	program := outpostDir + "/service_manager --inventory " + inventory
	streams := func(host string) string {
		return strings.TrimSpace(stack.on(t, host, "pgrep -u reporter -f 'sh -c exec 2>/dev/null'"))
	}
	out := stack.on(t, o.host, program+" doctor -o jsonl")
	if strings.Contains(out, "no_stream") {
		t.Errorf("doctor: %s", out)
	}
	stack.must(t, o.host, program+" run --dry-run >"+outpostDir+"/statuses.jsonl 2>&1 & echo $! >"+outpostDir+"/pid")
	end := sync.OnceFunc(func() { stack.must(t, o.host, "kill $(cat "+outpostDir+"/pid)") })
	defer end()
	for host := range stackHosts() {
		eventually(t, host+" to be asked over a stream", func() bool { return streams(host) != "" })
		before := streams(host)
		eventually(t, "three statuses of "+host, func() bool {
			return strings.TrimSpace(stack.on(t, o.host, `grep -c '"type":"status".*"host":{"name":"`+host+`".*"outcome":"ok"' `+outpostDir+"/statuses.jsonl")) >= "3"
		})
		if after := streams(host); after != before {
			t.Errorf("%s: the stream was %s, then %s", host, before, after)
		}
	}
	byStream := statusesBy(t, o.host, program)
	for host := range stackHosts() {
		summary, units := steady(bound[host])
		gotSummary, gotUnits := steady(byStream[host])
		if diff := cmp.Diff(units, gotUnits); diff != "" || summary != gotSummary {
			t.Errorf("%s: %q by commands, %q by streams; units (-commands +streams):\n%s", host, summary, gotSummary, diff)
		}
	}
	end()
	for host := range stackHosts() {
		eventually(t, "no shell to be left on "+host, func() bool { return streams(host) == "" })
	}
}

func testForcedCommandRefuses(t *testing.T, o outpost) {
	t.Helper()
	query, err := systemctl.Query{Nonce: systemctl.NewNonce(), Limit: 5 * time.Second}.Command()
	if err != nil {
		t.Fatal(err)
	}
	quoted := "'" + strings.ReplaceAll(query, "'", `'\''`) + "'"
	const scp = "scp -O -o BatchMode=yes -o ControlPath=" + outpostDir + "/%h.socket reporter@"
	for host := range stackHosts() {
		stack.must(t, o.host, strings.Replace(o.ssh, "-n", "-MNf", 1)+host+" </dev/null >/dev/null 2>&1")
		if out, errout, code := o.attempt(t, o.ssh+host+" "+quoted); code != 0 || !strings.Contains(out, "\nVersion=") {
			t.Fatalf("%s: the collector's own query: exit code %d, %s%s", host, code, out, errout)
		}
		var want []string
		for _, attempt := range []struct{ command, logged string }{
			{o.ssh + host + " id", `(another command): id`},
			{o.ssh + host, `(no command):`},
			{o.ssh + host + " 'systemctl restart api.service'", `(another command): systemctl restart api.service`},
			{o.ssh + host + " 'exec timeout -k 1 5 sh -c id'", `(another command): exec timeout -k 1 5 sh -c id`},
			{o.ssh + host + " " + quoted + "'; touch /tmp/pwned'", `(a character): ` + query[strings.LastIndex(query, "' sh ")+5:] + `; touch /tmp/pwned`},
			{scp + host + ":/etc/passwd /tmp/passwd", `(another command): scp -f /etc/passwd`},
			{o.ssh + "-s " + host + " sftp", `(another command): /usr/lib/openssh/sftp-server`},
		} {
			out, errout, code := o.attempt(t, attempt.command)
			refused := strings.Contains(errout, "service_manager-report: refused (")
			if strings.Contains(attempt.command, " sftp") { // sshd keeps a subsystem's stderr.
				refused = true
			}
			if code == 0 || out != "" || !refused {
				t.Errorf("%s: %s: exit code %d, %s%s", host, attempt.command, code, out, errout)
			}
			want = append(want, attempt.logged)
		}
		for _, command := range []string{
			o.ssh + "-W localhost:22 " + host, o.ssh + "-O forward -R 2222:localhost:22 " + host,
		} {
			if out, errout, code := o.attempt(t, command); code == 0 || out != "" {
				t.Errorf("%s: %s: exit code %d, %s%s", host, command, code, out, errout)
			}
		}
		if _, errout, _ := o.attempt(t, o.ssh+"-tt "+host+" "+quoted); !strings.Contains(errout, "PTY allocation request failed") {
			t.Errorf("%s: with a terminal: %s", host, errout)
		}
		if diff := cmp.Diff(want, refusals(t, host)); diff != "" {
			t.Errorf("%s: log (-want +got):\n%s", host, diff)
		}
		if left := stack.on(t, host, "ls -d /tmp/pwned /tmp/passwd 2>/dev/null"); left != "" {
			t.Errorf("%s: it made %s", host, left)
		}
	}
}

// refusals are what the wrapper has logged on a host, without whom it refused.
func refusals(t *testing.T, host string) []string {
	t.Helper()
	out := stack.on(t, host, "journalctl --sync; journalctl --quiet --output=cat --identifier=service_manager-report SYSLOG_FACILITY=10")
	var logged []string
	for line := range strings.Lines(out) {
		logged = append(logged, regexp.MustCompile(`^refused to reporter from [0-9.]+ `).ReplaceAllString(strings.TrimSpace(line), ""))
	}
	return logged
}

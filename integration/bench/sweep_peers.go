package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"service_manager/integration/farm"
)

// A peer is a program that people use for such sweeps, from Debian's package, over OpenSSH's client with ControlPersist.
type peer struct {
	program string // What is run.
	name    string // For people.
	args    func(a *asker, commandLine string) []string
	// answers takes the hosts' answers apart, by address.
	answers func(a *asker, stdout []byte) (map[string][]byte, error)
}

const clush = "clush"

func peers() []peer {
	return []peer{
		{
			clush, clush,
			func(a *asker, commandLine string) []string {
				return []string{
					"--nostdin", "--maxrc", "--fanout", strconv.Itoa(len(a.addresses)), "--options", "-F " + a.config,
					"-w", strings.Join(a.addresses, ","), commandLine,
				}
			},
			clushAnswers,
		},
		{
			"parallel-ssh", "parallel-ssh",
			func(a *asker, commandLine string) []string {
				return []string{
					"--par", strconv.Itoa(len(a.addresses)), "--timeout", "0", "--extra-args", "-F " + a.config,
					"--outdir", a.outdir(), "--hosts", a.list, commandLine,
				}
			},
			parallelAnswers,
		},
		{
			"ansible", "Ansible raw",
			func(a *asker, commandLine string) []string {
				return []string{"all", "--inventory", a.list, "--forks", strconv.Itoa(len(a.addresses)), "--module-name", "raw", "--args", commandLine}
			},
			ansibleAnswers,
		},
	}
}

// AllPeers are the programs that take part in a sweep.
func AllPeers() []string {
	var names []string
	for _, p := range peers() {
		names = append(names, p.program)
	}
	return names
}

// clushAnswers takes lines apart, each of which is "HOST: TEXT".
func clushAnswers(_ *asker, stdout []byte) (map[string][]byte, error) {
	answers := map[string][]byte{}
	for line := range bytes.Lines(stdout) {
		host, text, found := strings.Cut(string(line), ": ")
		if !found {
			return nil, fmt.Errorf("a line of no host: %.200q", line)
		}
		answers[host] = append(answers[host], text...)
	}
	return answers, nil
}

// parallelAnswers reads files, one of each host.
func parallelAnswers(a *asker, _ []byte) (map[string][]byte, error) {
	answers := map[string][]byte{}
	for _, host := range a.addresses {
		var err error
		if answers[host], err = os.ReadFile(filepath.Join(a.outdir(), host)); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// ansibleHead is the line that the answer of a host begins with.
var ansibleHead = regexp.MustCompile(`(?m)^(\S+) \| CHANGED \| rc=0 >>\n`)

func ansibleAnswers(_ *asker, stdout []byte) (map[string][]byte, error) {
	answers := map[string][]byte{}
	heads := ansibleHead.FindAllSubmatchIndex(stdout, -1)
	for i, head := range heads {
		end := len(stdout)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		answers[string(stdout[head[2]:head[3]])] = stdout[head[1]:end]
	}
	return answers, nil
}

// An asker is a peer at work.
type asker struct {
	peer

	version   string
	addresses []string
	dir       string
	config    string // ssh_config(5)
	list      string // A file with the addresses, one a line.
	group     *farm.Group

	question question // Of the last sweep.
	stdout   bytes.Buffer
}

// sshConfig is what OpenSSH's client is told: what it needs to know, and to keep connections.
const sshConfig = `User %s
IdentityFile %s
IdentitiesOnly yes
UserKnownHostsFile %s
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
LogLevel ERROR
ControlMaster auto
ControlPersist 10m
ControlPath %s/%%h
`

// writeSSHConfig writes a client configuration with connections of its own, which are in dir.
func writeSSHConfig(f *farm.Farm, dir string) (string, error) {
	path := filepath.Join(dir, "ssh_config")
	return path, os.WriteFile(path, fmt.Appendf(nil, sshConfig, farm.User, f.IdentityFile(), f.KnownHosts(), dir), 0o600)
}

// ansibleConfig has Ansible use the same client configuration as the others, and no terminals.
const ansibleConfig = `[defaults]
gathering = explicit
nocolor = True
[ssh_connection]
pipelining = True
usetty = False
ssh_args = -F %s
`

func newAsker(ctx context.Context, f *farm.Farm, p peer) (*asker, error) {
	out, err := exec.CommandContext(ctx, p.program, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%w; as root, integration/setup %s installs what it takes", err, strings.Join(PeerPackages(), " "))
	}
	a := &asker{peer: p, version: regexp.MustCompile(`\d[\d.]*\d`).FindString(string(out))}
	for _, h := range f.Hosts {
		a.addresses = append(a.addresses, h.Address)
	}
	if a.dir, err = f.Dir(p.program); err != nil {
		return nil, err
	}
	if a.config, err = writeSSHConfig(f, a.dir); err != nil {
		return nil, err
	}
	a.list = filepath.Join(a.dir, "hosts")
	if err := errors.Join(
		os.WriteFile(a.list, []byte(strings.Join(a.addresses, "\n")+"\n"), 0o600),
		os.WriteFile(filepath.Join(a.dir, "ansible.cfg"), fmt.Appendf(nil, ansibleConfig, a.config), 0o600),
	); err != nil {
		return nil, err
	}
	a.group, err = farm.NewGroup(p.program)
	return a, err
}

// PeerPackages are the Debian packages of AllPeers.
func PeerPackages() []string { return []string{"clustershell", "pssh", "ansible-core"} }

func (a *asker) outdir() string { return filepath.Join(a.dir, "out") }

// close ends the standing connections too.
func (a *asker) close(ctx context.Context) error { return a.group.End(ctx) }

func (a *asker) sweeper() sweeper {
	return sweeper{name: a.name + " " + a.version, sweep: a.sweep, check: a.check, cpu: a.group.CPU, end: a.group.Empty}
}

func (a *asker) sweep(ctx context.Context) (answered time.Duration, err error) {
	if err := os.RemoveAll(a.outdir()); err != nil { // The answers of the last one.
		return 0, err
	}
	a.question = newQuestion(watchedUnits())
	commandLine, err := a.question.commandLine()
	if err != nil {
		return 0, err
	}
	cmd := a.group.Command(ctx, a.program, a.args(a, commandLine)...)
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+filepath.Join(a.dir, "ansible.cfg"), "ANSIBLE_LOCAL_TEMP="+a.dir, "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	a.stdout.Reset()
	cmd.Stdout, cmd.Stderr = &a.stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // What stays for the connections might hold its output open.
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%w: %.2000s", err, stderr.String())
	}
	return time.Since(began), nil
}

func (a *asker) check() error {
	answers, err := a.answers(a, a.stdout.Bytes())
	if err != nil {
		return err
	}
	for _, host := range a.addresses {
		if err := a.question.check(answers[host]); err != nil {
			return fmt.Errorf("the answer of %s: %w", host, err)
		}
	}
	return nil
}

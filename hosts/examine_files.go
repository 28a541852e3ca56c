package hosts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"service_manager/inventory"
)

// ExamineFiles looks at the files on this machine that connections to these hosts need: user keys and known_hosts. It returns one
// finding for each file, the same ones for any number of hosts.
func (p *Pool) ExamineFiles(ctx context.Context, list []inventory.Host) []Finding {
	var findings []Finding
	seen := make(map[string]bool)
	first := func(key string) bool {
		was := seen[key]
		seen[key] = true
		return !was
	}
	for _, h := range list {
		if first(fmt.Sprintln("key", h.SSH.Agent, h.SSH.IdentityFile, h.SSH.PassphraseFile, h.SSH.CertificateFile)) {
			findings = append(findings, p.examineKey(ctx, h.SSH))
		}
		if first("known " + strings.Join(h.SSH.KnownHosts, "\n")) {
			findings = append(findings, p.examineKnownHosts(h.SSH.KnownHosts)...)
		}
	}
	return findings
}

func (p *Pool) examineKey(ctx context.Context, how inventory.SSH) Finding {
	signer, err := p.signers.load(ctx, how)
	if err != nil {
		f := Finding{Step: "user key", Severity: SeverityError, Detail: oneLine(err.Error(), 400)}
		f.Code, f.Problem, f.Why, f.Remedy = ownAdvice(AuthFailed)
		return f
	}
	if how.Agent {
		return Finding{Step: "user key", Detail: "of the agent, " + signer.PublicKey().Type()}
	}
	path := how.IdentityFile
	if path == "" {
		path, _ = defaultIdentity() // It was found a moment ago.
	}
	return Finding{Step: "user key", Detail: fmt.Sprintf("%s, %s", path, signer.PublicKey().Type())}
}

// writable are those of the files that others may change.
func writable(files []string) []Finding {
	var findings []Finding
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o022 == 0 {
			continue
		}
		findings = append(findings, Finding{
			Step: "known_hosts", Code: "writable_known_hosts", Severity: SeverityWarning,
			Detail:  fmt.Sprintf("%s has mode %04o", file, info.Mode().Perm()),
			Problem: "others on this machine may change known_hosts", Why: "who adds a key to it can make the collector trust any host",
			Remedy: "chmod go-w " + quote(file),
		})
	}
	return findings
}

func (p *Pool) examineKnownHosts(files []string) []Finding {
	known, err := p.hostKeys.open(files)
	if err != nil {
		f := Finding{Step: "known_hosts", Severity: SeverityError, Detail: oneLine(err.Error(), 400)}
		f.Code, f.Problem, f.Why, f.Remedy = ownAdvice(HostKeyUnknown)
		return []Finding{f}
	}
	if len(files) == 0 {
		files = defaultKnownHosts()
	}
	exist := slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		_, err := os.Stat(file)
		return errors.Is(err, fs.ErrNotExist)
	})
	findings := writable(exist)
	for _, problem := range known.keys.Problems() {
		findings = append(findings, Finding{
			Step: "known_hosts", Code: "bad_known_hosts_line", Severity: SeverityWarning, Detail: oneLine(problem.String(), 400),
			Problem: "a line of known_hosts cannot be read, and counts for nothing", Why: "the hosts that it stands for are not known by it",
			Remedy: "correct or remove the line",
		})
	}
	switch {
	case len(exist) == 0:
		findings = append(findings, Finding{
			Step: "known_hosts", Code: "no_known_hosts", Severity: SeverityWarning, Detail: "none of these exists: " + strings.Join(files, ", "),
			Problem: "there is no known_hosts file", Why: "no host's key is known, so none can be read", Remedy: "service_manager trust {selector}",
		})
	case len(findings) == 0:
		findings = append(findings, Finding{Step: "known_hosts", Detail: strings.Join(exist, ", ")})
	}
	return findings
}

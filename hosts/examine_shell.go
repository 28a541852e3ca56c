package hosts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// probes is how often what varies is measured; the median counts.
const probes = 5

// slowShell is more than a login shell takes that reads no files of a person's.
const slowShell = 100 * time.Millisecond

// roundTrip measures how long sshd takes to answer when it has nothing to do.
func (e *examination) roundTrip(ctx context.Context) bool {
	stop := context.AfterFunc(ctx, e.conn.transport.abort)
	defer stop()
	var took [probes]time.Duration
	for i := range took {
		started := time.Now()
		// The answer may be a refusal; OpenSSH's is.
		if _, _, err := e.conn.ssh.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			e.lost("round trip", broken(ctx, err))
			return false
		}
		took[i] = time.Since(started)
	}
	e.report.RoundTrip = median(took[:])
	e.slowLogin()
	connects := handshakeTrips * e.report.RoundTrip
	if connects > e.host.ConnectTimeout/2 {
		e.add(Finding{
			Step: "round trip", Code: "far_away", Severity: SeverityWarning,
			Detail:  fmt.Sprintf("%s; a connection takes about %d of them, %s", brief(e.report.RoundTrip), handshakeTrips, brief(connects)),
			Problem: "the host is so far away that connecting takes half of connect_timeout",
			Why:     "with a few lost packets connections fail, and the host counts as unreachable",
			Remedy:  "raise connect_timeout in [collector], or run a collector near these hosts",
		})
		return true
	}
	e.ok("round trip", "%s", brief(e.report.RoundTrip))
	return true
}

func median(durations []time.Duration) time.Duration {
	slices.Sort(durations)
	return durations[len(durations)/2]
}

// shell measures what the login shell costs each poll, by a command that does nothing, and looks at what it prints. Of a key that
// may only report status that command is refused.
func (e *examination) shell(ctx context.Context) bool {
	var took []time.Duration
	for begun := time.Now(); len(took) < probes && time.Since(begun) < time.Second; {
		started := time.Now()
		out, err := e.conn.exec(ctx, "true", lookBytes)
		if err != nil && !errors.Is(err, errExecRefused) {
			e.lost("shell", err)
			return false
		}
		if err != nil || out.exit != 0 {
			e.refused = true
			return true
		}
		took = append(took, time.Since(started))
		if len(took) == 1 {
			e.noise(out)
		}
	}
	// To open the session is one round trip, to run the command another.
	e.report.Shell = max(median(took)-2*e.report.RoundTrip, 0)
	if e.report.Shell <= slowShell {
		e.ok("shell", "%s to start and end", brief(e.report.Shell))
		return true
	}
	quiet := "begin its ~/.bashrc with: case $- in *i*) ;; *) return ;; esac"
	if user := e.host.SSH.User; user != "root" {
		quiet = fmt.Sprintf("for an account that only the collector uses: sudo usermod --shell /bin/sh %s; else %s", quote(user), quiet)
	}
	e.add(Finding{
		Step: "shell", Code: "slow_shell", Severity: SeverityWarning,
		Detail:  brief(e.report.Shell) + " to start the login shell for a command that does nothing",
		Problem: "the account's login shell is slow to start",
		Why:     "every poll pays it, mostly as CPU time of the host; the cause is often an rc file (pyenv init, nvm, conda, a prompt)",
		Remedy:  "on the host, " + quiet,
	})
	return true
}

// noise tells what a command that prints nothing printed.
func (e *examination) noise(out output) {
	said := oneLine(string(out.stdout), 200)
	stream := "stdout"
	if said == "" {
		said, stream = oneLine(string(out.stderr), 200), "stderr"
	}
	if said == "" {
		return
	}
	e.add(Finding{
		Step: "shell", Code: "shell_noise", Severity: SeverityWarning, Detail: fmt.Sprintf("the login shell prints on %s: %q", stream, said),
		Problem: "the account's login shell prints something of its own at each command",
		Why:     "the collector knows its answer from noise, but scp, rsync and Ansible do not, and an error of the host may hide behind it",
		Remedy: "on the host, begin the account's ~/.bashrc, ~/.zshenv or /etc/profile.d file with: case $- in *i*) ;; *) return ;; esac; " +
			"or print to a terminal only: [ -t 1 ] && echo …",
	})
}

package hosts

import (
	"context"
	"errors"
	"strings"
	"time"

	"service_manager/hosts/systemctl"
)

// timeoutStatus and killedStatus are the exit statuses of timeout(1) when the time was up: after its first signal, and
// after the one that cannot be ignored.
const (
	timeoutStatus = 124
	killedStatus  = 137
)

// explainExec names the outcome of a command whose answer did not arrive whole in the time that it took.
func explainExec(err error, took time.Duration) *Error {
	switch {
	case errors.Is(err, context.Canceled):
		return fail(Timeout, "the poll was interrupted: %w", err)
	case errors.Is(err, errLate):
		return fail(Timeout, "no answer within %v; the host, its sshd or its PID 1 may hang", took)
	case errors.Is(err, errExecRefused):
		return fail(Denied, "%w; look into its log, and at ForceCommand and MaxSessions in its sshd_config", err)
	}
	if errors.Is(err, errLost) {
		return fail(ProtocolError, "%w: %w", ErrNotConnected, err)
	}
	return fail(ProtocolError, "%w", err)
}

// explainAnswer names the outcome of a command that ended, but whose output is not the whole answer.
func explainAnswer(out output, err error) *Error {
	if outcome, text := recognise(string(out.stderr)); outcome != "" {
		return fail(outcome, "%s", text)
	}
	if command, ok := errors.AsType[*systemctl.CommandError](err); ok {
		return fail(CommandFailed, "%w", command)
	}
	// Behind a marker stdout is systemctl's, and a unit's description may read like anything.
	_, unanswered := errors.AsType[*systemctl.NoAnswerError](err)
	if unanswered {
		if outcome, text := recognise(string(out.stdout)); outcome != "" {
			return fail(outcome, "%s", text)
		}
	}
	switch {
	case out.exit == timeoutStatus || out.exit == killedStatus || out.signal == "KILL":
		return fail(Timeout, "systemctl was still running when its time was up, and was ended; PID 1 or D-Bus may hang there")
	case out.exit == 1 && len(out.stdout) == 0 && len(out.stderr) == 0:
		return fail(Denied, "the command ended with status 1 and not a word, as a login shell such as /bin/false does")
	}
	if unanswered { // It quotes what was said.
		return fail(ProtocolError, "%w", err)
	}
	said := oneLine(string(out.stderr), 200)
	if said == "" {
		said = oneLine(string(out.stdout), 200)
	}
	return fail(ProtocolError, "%w%s", err, optional("; it said: ", said))
}

// recognise finds a known failure in what a host printed, and returns its outcome and the line that tells it.
func recognise(output string) (Outcome, string) {
	for line := range strings.Lines(output) {
		if outcome := recogniseLine(line); outcome != "" {
			return outcome, oneLine(line, 200)
		}
	}
	return "", ""
}

// recogniseLine knows the texts of systemd 219 to 262, of the usual shells, of login programs and of sudo.
func recogniseLine(line string) Outcome {
	has := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(line, text) {
				return true
			}
		}
		return false
	}
	bus := has("Failed to connect to bus: ", "Failed to connect to system scope bus", "Failed to get D-Bus connection: ")
	switch {
	case has("System has not been booted with systemd", "Running in chroot, ignoring"),
		bus && has(": Host is down", ": No such file or directory", ": Operation not permitted", ": Unknown error -1"):
		return NoSystemd
	case has("systemctl: command not found", "systemctl: not found", "systemctl: No such file or directory"):
		return NoSystemd
	case has("Failed to get properties: ", "Failed to list units: ", "Failed to list unit files: ") &&
		has("Connection timed out", "Transport endpoint is not connected", "timed out", "Connection reset by peer"):
		return Timeout
	case has(": Access denied", "SELinux policy denies access", "systemctl: Permission denied") || bus && has("Permission denied"):
		return Denied
	case has("This account is currently not available", "pam_nologin(8)", "Password change required but no TTY",
		"This service allows sftp connections only"):
		return Denied
	case systemctl.IsWrapperRefusal(line):
		return Denied
	case has("sudo: a password is required", "sudo: a terminal is required", "sudo: sorry, you must have a tty", "is not in the sudoers file",
		"is not allowed to execute"):
		return Denied
	}
	return ""
}

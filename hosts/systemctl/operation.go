package systemctl

import (
	"fmt"
	"slices"
	"strings"
)

// A Verb is what an [Operation] does with a unit, as systemctl calls it.
type Verb string

// The verbs that a person can have run on hosts.
const (
	Start       Verb = "start"
	Stop        Verb = "stop"
	Restart     Verb = "restart"
	Reload      Verb = "reload"
	Enable      Verb = "enable"
	Disable     Verb = "disable"
	ResetFailed Verb = "reset-failed"
)

// Verbs are all of them.
func Verbs() []Verb { return []Verb{Start, Stop, Restart, Reload, Enable, Disable, ResetFailed} }

// An Operation changes one unit of one host. Unlike a [Query] it runs bare, without a script around it: what a person is shown is what
// the host runs, and what a rule of sudo has to allow.
type Operation struct {
	Verb Verb
	Unit string // an exact name with suffix
	Sudo bool   // by sudo -n, which never asks
}

// operationStart keeps the texts of sudo, which are translated, those that Parse knows.
const operationStart = "exec env LC_ALL=C "

// String is the command line as a person would type it.
func (o Operation) String() string { return strings.Join(o.words(), " ") }

func (o Operation) words() []string {
	words := append([]string{"systemctl"}, o.arguments()...)
	if o.Sudo {
		words = append([]string{"sudo", "-n"}, words...)
	}
	return words
}

func (o Operation) arguments() []string {
	return []string{"--no-ask-password", string(o.Verb), "--", o.Unit}
}

// Command returns the command line to run on the host. The error wraps ErrUnitName if the unit must not be sent.
//
// It has no time limit there: timeout(1) could not end what sudo has started, and what systemctl waits for goes on without it.
func (o Operation) Command() (string, error) {
	if !slices.Contains(Verbs(), o.Verb) {
		return "", fmt.Errorf("verb %q: not one that is sent to hosts", o.Verb)
	}
	if err := CheckUnitName(o.Unit); err != nil {
		return "", err
	}
	return operationStart + Escape(o.String()), nil
}

// ParseOperation returns what cmd does. Like [ParseCommand] it takes what Operation.Command writes and refuses everything else.
func ParseOperation(cmd string) (Operation, error) {
	line, ok := strings.CutPrefix(Unescape(cmd), operationStart)
	words := strings.Split(line, " ")
	var o Operation
	if o.Sudo = len(words) > 2 && words[0] == "sudo"; o.Sudo {
		words = words[2:]
	}
	if !ok || len(words) != len(o.arguments())+1 {
		return Operation{}, errOther
	}
	o.Verb, o.Unit = Verb(words[2]), words[4]
	written, err := o.Command()
	if err == nil && written != cmd {
		err = errOther
	}
	if err != nil {
		return Operation{}, err
	}
	return o, nil
}

// A Cause is why an operation was not done, by what mends it.
type Cause int

// The causes.
const (
	CauseOther        Cause = iota
	CauseNotPermitted       // neither polkit nor D-Bus allows it to the account
	CauseNoSudo             // sudo wants a password, does not allow it, or is not there
	CauseNotFound           // there is no such unit, or it is masked
	CauseJobFailed          // systemd tried: the unit's log tells
)

// An OperationError says that systemctl, or what stands before it, did not do what it was told to.
type OperationError struct {
	Operation Operation
	Cause     Cause
	ExitCode  int
	Stderr    string // as in a CommandError
}

// Error says on one line what was not done, and what was said about it.
func (e *OperationError) Error() string {
	said := strings.ReplaceAll(e.Stderr, "\n", "; ")
	switch {
	case said == "":
		return fmt.Sprintf("%s ended with exit status %d and not a word", e.Operation, e.ExitCode)
	case e.Cause == CauseNotPermitted:
		return "not permitted: " + said
	case e.Cause == CauseNoSudo:
		return "sudo does not run it: " + said
	case e.Cause == CauseJobFailed:
		return said + "; its log tells why: journalctl -u " + e.Operation.Unit
	}
	return fmt.Sprintf("%s ended with exit status %d: %s", e.Operation, e.ExitCode, said)
}

// Parse says why the operation was not done, by how the command ended and what it said: an [OperationError], or nil where it was done.
// What it was to bring about is then not certain yet: systemctl counts a unit that starts and dies as started.
func (o Operation) Parse(exitCode int, stderr []byte) error {
	cause := o.cause(string(stderr))
	switch {
	case exitCode == 0:
		return nil
	case cause == CauseNotFound && (o.Verb == Stop || o.Verb == ResetFailed) && strings.Contains(string(stderr), " not loaded."):
		// It is not in memory, so it neither runs nor has failed, as it was to be. Of a unit that there is not the same is said, which
		// its load state tells apart.
		return nil
	}
	return &OperationError{Operation: o, Cause: cause, ExitCode: exitCode, Stderr: o.advice(lastLines(stderr))}
}

// advice leaves out the lines that systemctl prints to tell where to look on the host.
func (o Operation) advice(said string) string {
	lines := strings.Split(said, "\n")
	kept := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return strings.HasPrefix(line, "See ") || strings.HasPrefix(line, "sudo: unable to resolve host ")
	})
	return strings.Join(kept, "\n")
}

// cause knows the texts of systemd 219 to 262, of sudo 1.8 to 1.9, and of env.
func (o Operation) cause(stderr string) Cause {
	for line := range strings.Lines(stderr) {
		has := func(texts ...string) bool {
			return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) })
		}
		switch {
		case strings.HasPrefix(line, "sudo: unable to resolve host "): // It goes on.
		case has("sudo: ") && !has("systemctl: command not found"),
			has("is not in the sudoers file", "is not allowed to execute", "may not run sudo"),
			strings.HasPrefix(line, "env: ") && has("sudo") && has("No such file or directory"):
			return CauseNoSudo
		case has("Interactive authentication required", ": Access denied", "SELinux policy denies access"):
			return CauseNotPermitted
		case has("Unit "+o.Unit+" not found.", "Unit "+o.Unit+" not loaded.", "Unit "+o.Unit+" could not be found.",
			"Unit "+o.Unit+" failed to load: No such file or directory", "Unit file "+o.Unit+" does not exist", "Unit "+o.Unit+" is masked.",
			"Unit file "+o.Unit+" is masked."):
			return CauseNotFound
		case has("Job for "+o.Unit+" failed", "Job for "+o.Unit+" timed out", "Job for "+o.Unit+" canceled", "A dependency job for "+o.Unit+" failed"):
			return CauseJobFailed
		}
	}
	return CauseOther
}

// SudoersRule is the line for sudoers(5) that allows the operation by sudo, and nothing else, to a user.
func (o Operation) SudoersRule(user string) string {
	return sudoersWord(user) + " ALL=(root) NOPASSWD: /usr/bin/systemctl " + sudoersArgument(strings.Join(o.arguments(), " "))
}

// sudoersWord escapes what means something in sudoers(5).
func sudoersWord(s string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`, "=", `\=`, " ", `\ `, "#", `\#`, "!", `\!`, `"`, `\"`).Replace(s)
}

// sudoersArgument is for the arguments of a command, which sudo takes for a pattern of fnmatch(3) when it has read them: a backslash
// is quoted once for each.
func sudoersArgument(s string) string {
	return strings.NewReplacer(`\`, `\\\\`, ",", `\,`, ":", `\:`, "=", `\=`).Replace(s)
}

// PolkitRule is the rule for polkit(8) that allows the operation without sudo, and nothing else, to a user. It is empty where polkit has
// none that narrow: it is not told which unit is enabled or disabled, and who may do that with any unit is root.
func (o Operation) PolkitRule(user string) string {
	if o.Verb == Enable || o.Verb == Disable {
		return ""
	}
	return fmt.Sprintf(`polkit.addRule(function(action, subject) {
    if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == %q &&
        action.lookup("verb") == %q && action.lookup("unit") == %q) {
        return polkit.Result.YES;
    }
});
`, user, o.Verb, o.Unit) // Of names, %q is JavaScript too.
}

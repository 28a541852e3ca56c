package systemctl

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOperationCommand(t *testing.T) {
	for _, test := range []struct {
		operation Operation
		want      string // behind what all have
	}{
		{Operation{Verb: Restart, Unit: "nginx.service"}, "systemctl --no-ask-password restart -- nginx.service"},
		{Operation{Verb: ResetFailed, Unit: "worker@1.service", Sudo: true}, "sudo -n systemctl --no-ask-password reset-failed -- worker@1.service"},
		{Operation{Verb: Stop, Unit: `srv-a\x2db.mount`}, `systemctl --no-ask-password stop -- srv-a\\x2db.mount`},
	} {
		command, err := test.operation.Command()
		if err != nil || command != "exec env LC_ALL=C "+test.want {
			t.Errorf("%v: %q (%v), want %q", test.operation, command, err, test.want)
		}
		if parsed, err := ParseOperation(command); err != nil || parsed != test.operation {
			t.Errorf("%q is taken for %v (%v)", command, parsed, err)
		}
	}
}

func TestOperationCommandRefuses(t *testing.T) {
	for _, o := range []Operation{
		{Verb: Restart},
		{Verb: Restart, Unit: "nginx"},
		{Verb: Restart, Unit: "a.service b.service"},
		{Verb: Restart, Unit: "--root=/tmp.service"},
		{Verb: Restart, Unit: "$(reboot).service"},
		{Verb: Restart, Unit: "*.service"},
		{Verb: Restart, Unit: "worker@.service"},
		{Verb: "isolate", Unit: "rescue.target"},
		{Verb: "start --now", Unit: "nginx.service"},
		{Unit: "nginx.service"},
	} {
		if command, err := o.Command(); err == nil {
			t.Errorf("%+v becomes %q", o, command)
		}
	}
}

func TestParseOperationRefuses(t *testing.T) {
	const well = "exec env LC_ALL=C systemctl --no-ask-password restart -- nginx.service"
	if _, err := ParseOperation(well); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"", "exec env LC_ALL=C ", "sudo", "exec env LC_ALL=C sudo -n", well + " other.service", well + "; reboot", " " + well,
		strings.Replace(well, "restart", "isolate", 1), strings.Replace(well, "--no-ask-password", "--root=/x", 1),
		strings.Replace(well, "systemctl", "sudo -S systemctl", 1), strings.Replace(well, "systemctl", "sudo -n sh", 1),
		strings.Replace(well, "nginx", `ngin\x`, 1), strings.Replace(well, "exec ", "", 1), strings.Replace(well, "-- ", "", 1),
	} {
		if o, err := ParseOperation(command); err == nil {
			t.Errorf("%q is taken for %v", command, o)
		}
	}
}

// The texts are those of systemd 219 to 262, of sudo, and of env of GNU and of busybox.
func TestOperationParse(t *testing.T) {
	for _, test := range []struct {
		verb   Verb
		exit   int
		stderr string
		want   Cause
		tells  string
	}{
		{Restart, 4, "Failed to restart nginx.service: Access denied", CauseNotPermitted, "not permitted: Failed to restart nginx.service: Access denied"},
		{
			Restart, 4, "Failed to restart nginx.service: Interactive authentication required.\n" +
				"See system logs and 'systemctl status nginx.service' for details.\n",
			CauseNotPermitted, "not permitted: Failed to restart nginx.service: Interactive authentication required.",
		},
		{Enable, 1, "Failed to enable unit: Interactive authentication required.", CauseNotPermitted, "not permitted: "},
		{Enable, 1, "Failed to execute operation: Access denied", CauseNotPermitted, "not permitted: "},
		{ResetFailed, 1, "Failed to reset failed state of unit nginx.service: Access denied", CauseNotPermitted, ""},
		{Start, 1, "sudo: a password is required", CauseNoSudo, "sudo does not run it: sudo: a password is required"},
		{
			Start, 1, "sudo: unable to resolve host vm: Name or service not known\nsudo: a password is required\n",
			CauseNoSudo, "sudo does not run it: sudo: a password is required",
		},
		{Start, 1, "sudo: sorry, you must have a tty to run sudo", CauseNoSudo, ""},
		{Start, 1, "bob is not in the sudoers file.  This incident will be reported.", CauseNoSudo, ""},
		{Start, 1, "Sorry, user bob is not allowed to execute '/usr/bin/systemctl start' as root on host.", CauseNoSudo, ""},
		{Start, 127, "env: 'sudo': No such file or directory", CauseNoSudo, ""},
		{Start, 127, "env: can't execute 'sudo': No such file or directory", CauseNoSudo, ""},
		{Start, 5, "Failed to start nginx.service: Unit nginx.service not found.", CauseNotFound, "exit status 5: Failed to start nginx"},
		{Start, 5, "Failed to start nginx.service: Unit nginx.service failed to load: No such file or directory.", CauseNotFound, ""},
		{Start, 1, "Failed to start nginx.service: Unit nginx.service is masked.", CauseNotFound, ""},
		{Reload, 5, "Failed to reload nginx.service: Unit nginx.service not loaded.", CauseNotFound, ""},
		{Enable, 1, "Failed to enable unit: Unit file nginx.service does not exist.", CauseNotFound, ""},
		{
			Restart, 1, "Job for nginx.service failed because the control process exited with error code.\n" +
				"See \"systemctl status nginx.service\" and \"journalctl -xeu nginx.service\" for details.\n",
			CauseJobFailed, "Job for nginx.service failed because the control process exited with error code.",
		},
		{Start, 1, "A dependency job for nginx.service failed. See 'journalctl -xe' for details.", CauseJobFailed, "A dependency job"},
		{Reload, 3, "Failed to reload nginx.service: Job type reload is not applicable for unit nginx.service.", CauseOther, "exit status 3: Failed to"},
		{Reload, 1, "nginx.service is not active, cannot reload.", CauseOther, "systemctl --no-ask-password reload -- nginx.service ended with"},
		{Start, 1, "", CauseOther, "ended with exit status 1 and not a word"},
		{Start, 127, "sudo: systemctl: command not found", CauseOther, ""},
		{Start, 1, "Job for other.service failed because of nginx", CauseOther, ""},
	} {
		o := Operation{Verb: test.verb, Unit: "nginx.service"}
		err := o.Parse(test.exit, []byte(test.stderr))
		failed, ok := errors.AsType[*OperationError](err)
		if !ok || failed.Cause != test.want || !strings.Contains(err.Error(), test.tells) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %q: %+v (%v), want cause %d, told as %q", test.verb, test.stderr, failed, err, test.want, test.tells)
		}
	}
}

// What is done, or was so before, is no failure.
func TestOperationParseOfWhatIsDone(t *testing.T) {
	for _, test := range []struct {
		verb   Verb
		exit   int
		stderr string
	}{
		{Restart, 0, ""},
		{Restart, 0, "sudo: unable to resolve host vm: Name or service not known\n"},
		{Restart, 0, "Warning: The unit file, source configuration file or drop-ins of nginx.service changed on disk."},
		{Enable, 0, "Created symlink /etc/systemd/system/multi-user.target.wants/nginx.service → /lib/systemd/system/nginx.service."},
		{Stop, 5, "Failed to stop nginx.service: Unit nginx.service not loaded."},
		{ResetFailed, 1, "Failed to reset failed state of unit nginx.service: Unit nginx.service not loaded."},
	} {
		if err := (Operation{Verb: test.verb, Unit: "nginx.service"}).Parse(test.exit, []byte(test.stderr)); err != nil {
			t.Errorf("%s, %q: %v", test.verb, test.stderr, err)
		}
	}
}

// The rules allow one verb and one unit to one account.
func TestRules(t *testing.T) {
	o := Operation{Verb: Restart, Unit: `srv-a\x2db:c.mount`, Sudo: true}
	want := `monitor ALL=(root) NOPASSWD: /usr/bin/systemctl --no-ask-password restart -- srv-a\\\\x2db\:c.mount`
	if got := o.SudoersRule("monitor"); got != want {
		t.Errorf("sudoers:\n%s\nwant\n%s", got, want)
	}
	if got, want := o.SudoersRule(`CORP\bob`), `CORP\\bob ALL=`; !strings.HasPrefix(got, want) {
		t.Errorf("sudoers: %s, want %s…", got, want)
	}
	rule := `polkit.addRule(function(action, subject) {
    if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == "monitor" &&
        action.lookup("verb") == "restart" && action.lookup("unit") == "srv-a\\x2db:c.mount") {
        return polkit.Result.YES;
    }
});
`
	if diff := cmp.Diff(rule, o.PolkitRule("monitor")); diff != "" {
		t.Errorf("polkit (-want +got):\n%s", diff)
	}
	for _, verb := range []Verb{Enable, Disable} {
		if rule := (Operation{Verb: verb, Unit: "nginx.service"}).PolkitRule("monitor"); rule != "" {
			t.Errorf("%s: polkit is not told of which unit, but there is a rule: %s", verb, rule)
		}
	}
}

// fakeSudo stands in for sudo on the PATH.
const fakeSudo = `#!/bin/sh
echo "sudo <$1>"
shift
exec "$@"
`

// testOperation checks what a login shell makes of an operation.
func testOperation(t *testing.T, host remote) {
	t.Helper()
	for _, o := range []Operation{
		{Verb: ResetFailed, Unit: `system-a\x2db.slice`},
		{Verb: Restart, Unit: `odd\\name@1:2_3-4\.service`, Sudo: true},
	} {
		stdout, stderr, status, _ := host.run(t, o)
		want := "<--no-ask-password>\n<" + string(o.Verb) + ">\n<-->\n<" + o.Unit + ">\n"
		if status != 0 || len(stderr) > 0 || !strings.HasSuffix(string(stdout), want) || !strings.Contains(string(stdout), "\nin C ") ||
			strings.Contains(string(stdout), "sudo <-n>\n") != o.Sudo {
			t.Errorf("exit status %d, it printed\n%s%s\nwant the arguments\n%s", status, stdout, stderr, want)
		}
	}
}

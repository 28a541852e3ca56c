package hosts

import (
	"strings"
	"testing"

	"service_manager/hosts/systemctl"
)

// The texts are those that systemd 219 to 262, the shells, login programs and sudo print.
func TestRecognise(t *testing.T) {
	for _, test := range []struct {
		line string
		want Outcome
	}{
		{"", ""},
		{"sudo: unable to resolve host vm: Name or service not known", ""},
		{`Invalid unit name "foo bar.service" escaped as "foo\x20bar.service" (maybe you should use systemd-escape?).`, ""},
		{"Failed to get properties: Unit name tmpl@.service is neither a valid invocation ID nor unit name.", ""},
		{"Failed to get properties: Unit name X is not valid.", ""},
		{"Failed to mangle name: Invalid argument", ""},
		{"systemctl: unrecognized option '--bogus'", ""},
		{"Failed to parse bus message: Invalid argument", ""},
		{"Failed to connect to bus: Connection refused", ""}, // dbus-daemon is dead: systemd may be well.
		{"Failed to connect to system scope bus via local transport: Connection refused", ""},

		{"System has not been booted with systemd as init system (PID 1). Can't operate.", NoSystemd},
		{"Failed to connect to bus: Host is down", NoSystemd},
		{"Failed to connect to system scope bus via local transport: Host is down", NoSystemd},
		{"Failed to get D-Bus connection: Operation not permitted", NoSystemd},
		{"Failed to get D-Bus connection: Unknown error -1", NoSystemd},
		{"Failed to connect to bus: No such file or directory", NoSystemd},
		{"Running in chroot, ignoring request.", NoSystemd},
		{"Running in chroot, ignoring command 'show'", NoSystemd},
		{"bash: systemctl: command not found", NoSystemd},
		{"sh: 1: systemctl: not found", NoSystemd},
		{"ash: systemctl: not found", NoSystemd},
		{"bash: /usr/bin/systemctl: No such file or directory", NoSystemd},

		{"Failed to get properties: Connection timed out", Timeout},
		{"Failed to get properties: Transport endpoint is not connected", Timeout},
		{"Failed to get properties: Failed to activate service 'org.freedesktop.systemd1': timed out", Timeout},
		{"Failed to get properties: Failed to activate service 'org.freedesktop.systemd1': timed out (service_start_timeout=25000ms)", Timeout},
		{"Failed to get properties: Activation of org.freedesktop.systemd1 timed out", Timeout},
		{"Failed to get properties: Connection reset by peer", Timeout},
		{"Failed to list units: Connection timed out", Timeout},
		{"Failed to list unit files: Connection timed out", Timeout},

		{"Failed to get properties: Access denied", Denied},
		{"Failed to get properties: SELinux policy denies access.", Denied},
		{"Failed to list units: Access denied", Denied},
		{"Failed to list unit files: Access denied", Denied},
		{"bash: /usr/bin/systemctl: Permission denied", Denied},
		{"This account is currently not available.", Denied},
		{"System is booting up. Unprivileged users are not permitted to log in yet. Please come back later. For technical details, see pam_nologin(8).", Denied},
		{"System is going down. Unprivileged users are not permitted to log in anymore. For technical details, see pam_nologin(8).", Denied},
		{"Password change required but no TTY available.", Denied},
		{"This service allows sftp connections only.", Denied},
		{"service_manager-report: refused (another command): this key may only report status; after an upgrade of the collector install " +
			"this script anew: service_manager authorized-keys --wrapper", Denied},
		{"sudo: a password is required", Denied},
		{"sudo: a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper", Denied},
		{"sudo: sorry, you must have a tty to run sudo", Denied},
		{"bob is not in the sudoers file.", Denied},
		{"Sorry, user bob is not allowed to execute '/usr/bin/systemctl show' as root on host.", Denied},
	} {
		if got := recogniseLine(test.line); got != test.want {
			t.Errorf("%q: outcome %q, want %q", test.line, got, test.want)
		}
	}
}

func TestRecogniseSkipsNoise(t *testing.T) {
	outcome, line := recognise("sudo: unable to resolve host vm\nFailed to get properties: Access denied\n")
	if outcome != Denied || line != "Failed to get properties: Access denied" {
		t.Errorf("outcome %q by line %q", outcome, line)
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"a\r\n b\t c\n":            "a b c",
		"\x1b[31mred\x00":          "·[31mred·",
		"\xff":                     "�",
		"0123456789ä":              "0123456789…",
		"no more than ten, please": "no more th…",
	} {
		if got := oneLine(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A wrapper of another version refuses the query, and its whole advice must reach the operator.
func TestWrapperRefusalIsTold(t *testing.T) {
	said := "service_manager-report: refused (another property): this key may only report status; after an upgrade of the collector install " +
		"this script anew: service_manager authorized-keys --wrapper\n"
	got := explainAnswer(output{stderr: []byte(said), exit: 126}, &systemctl.NoAnswerError{Stderr: said})
	if got.Outcome != Denied || !strings.HasSuffix(got.Error(), "install this script anew: service_manager authorized-keys --wrapper") {
		t.Errorf("outcome %q, error %v", got.Outcome, got)
	}
}

// What came instead of an answer is told once.
func TestNoAnswerIsToldOnce(t *testing.T) {
	query := systemctl.Query{Nonce: systemctl.NewNonce(), Limit: 1}
	out := output{stdout: []byte("Welcome!\n"), stderr: []byte("No such shell\n")}
	_, err := query.Parse(out.stdout, out.stderr)
	said := explainAnswer(out, err)
	for _, text := range []string{"Welcome!", "No such shell"} {
		if n := strings.Count(said.Err.Error(), text); n != 1 {
			t.Errorf("%d times %q in %q", n, text, said.Err)
		}
	}
}

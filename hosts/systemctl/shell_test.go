package systemctl

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeSystemctl stands in for systemctl on the PATH. It tells how it was called, or as FAKE says.
const fakeSystemctl = `#!/bin/sh
case $FAKE in
hang) exec sleep 60;;
stubborn) trap "" TERM; while :; do sleep 60; done;;
fail) echo "Failed to get properties: Access denied" >&2; exit 1;;
captured)
	case " $* " in
	*" list-units -- "*) cat "$CAPTURES/list-units.txt";;
	*" list-unit-files -- "*) cat "$CAPTURES/list-unit-files.txt";;
	*" -- "*) cat "$CAPTURES/units.txt";;
	*) cat "$CAPTURES/manager.txt";;
	esac
	exit;;
esac
read -r number name state grandparent rest <"/proc/$PPID/stat"
if read -r line; then echo "stdin is $line"; fi
echo "called by $PPID of $grandparent"
echo "in $LC_ALL $TZ colors=$SYSTEMD_COLORS pager=${SYSTEMD_PAGER-unset}"
for argument do printf "<%s>\n" "$argument"; done
`

// A remote runs commands as sshd does, through a login shell.
type remote struct {
	shell string
	env   []string
}

// A question is a Query or a Listing.
type question interface{ Command() (string, error) }

// run returns what the login shell printed, its exit status (-1 for a signal) and its process id.
func (r remote) run(t *testing.T, query question, env ...string) (stdout, stderr []byte, status, pid int) {
	t.Helper()
	command, err := query.Command()
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), r.shell, "-c", command)
	shell.Env = append(append(os.Environ(), r.env...), env...)
	shell.Stdin = strings.NewReader("not for you\n")
	var complaints strings.Builder
	shell.Stderr = &complaints
	shell.WaitDelay = 10 * time.Second // An orphan that still has stdout is an error.
	stdout, err = shell.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return stdout, []byte(complaints.String()), shell.ProcessState.ExitCode(), shell.ProcessState.Pid()
}

// TestShells runs real commands through real login shells. sh, bash and dash must be there; zsh, fish, csh and others join
// in where they are. Its parts are not parallel: a script that was just written can be busy while another part forks.
func TestShells(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(fakeSystemctl), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte(fakeSudo), 0o700); err != nil {
		t.Fatal(err)
	}
	captures, err := filepath.Abs(filepath.Join("testdata", "captures", "252"))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "CAPTURES=" + captures, "LC_ALL=C.UTF-8", "TZ=Asia/Shanghai",
		"SYSTEMD_COLORS=1", "SYSTEMD_PAGER=less", "i=x", "n=x", "r=x", "g=x", "IFS=x",
	}
	for _, name := range []string{"sh", "bash", "dash", "zsh", "fish", "csh", "bsd-csh", "tcsh", "ksh", "mksh"} {
		shell, err := exec.LookPath(name)
		if err != nil {
			if name == "sh" || name == "bash" || name == "dash" {
				t.Error(err)
			}
			continue
		}
		host := remote{shell, env}
		t.Run(name+"/arguments", func(t *testing.T) { testArguments(t, host) })
		t.Run(name+"/listing", func(t *testing.T) { testListingArguments(t, host) })
		t.Run(name+"/operation", func(t *testing.T) { testOperation(t, host) })
		t.Run(name+"/captured", func(t *testing.T) { testCaptured(t, host) })
		t.Run(name+"/failure", func(t *testing.T) { testFailure(t, host) })
		t.Run(name+"/absent", func(t *testing.T) { testAbsent(t, host) })
		t.Run(name+"/time limit", func(t *testing.T) { testTimeLimit(t, host) })
	}
	t.Run("not ended by SIGTERM", func(t *testing.T) { testStubborn(t, remote{"sh", env}) })
}

// testArguments checks the whole output: how often systemctl runs, by whom, with which environment and arguments.
func testArguments(t *testing.T, host remote) {
	t.Helper()
	query := Query{
		Nonce: NewNonce(), Limit: 9500 * time.Millisecond, Version: 219,
		Units: []string{`system-a\x2db.slice`, "-.mount", `odd\\name\.slice`, `back\slash\n.slice`, "a:b@c_d-e.mount"},
	}
	stdout, stderr, status, pid := host.run(t, query)
	if status != 0 || len(stderr) > 0 {
		t.Fatalf("exit status %d, stderr %s", status, stderr)
	}
	call := func(arguments ...string) string {
		return "called by SH of " + strconv.Itoa(pid) + "\nin C UTC colors=0 pager=\n<--no-pager>\n<--no-ask-password>\n<show>\n<" +
			strings.Join(arguments, ">\n<") + ">\n"
	}
	section := func(name, content string) string {
		return BeginMarker(query.Nonce, name) + content + EndMarker(query.Nonce, name, 0)
	}
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	want := section(SectionManager, call("--property="+strings.Join(managerProperties(), ","))) +
		section(SectionBoot, string(bootID)) +
		section(SectionUnits, call("--property="+strings.Join(query.propertiesOf(slice), ","), "--",
			`system-a\x2db.slice`, `odd\\name\.slice`, `back\slash\n.slice`)) +
		section(SectionUnits, call("--property="+strings.Join(query.propertiesOf(mount), ","), "--", "-.mount", "a:b@c_d-e.mount"))

	// One sh runs every systemctl, and the login shell became its timeout(1): no other process.
	_, rest, _ := strings.Cut(string(stdout), "called by ")
	sh, _, _ := strings.Cut(rest, " ")
	got := strings.ReplaceAll(string(stdout), "called by "+sh+" ", "called by SH ")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// testListingArguments has a glob of everything that a shell might expand, in a folder with a file that it matches.
func testListingArguments(t *testing.T, host remote) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.service", "b1", `c\x2dd`} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listing := Listing{
		Nonce: NewNonce(), Limit: time.Minute,
		Globs: []string{"*", "*.service", "b?", "[a-c]1", "[!a]?", "[^a]?", `c\x2d*`, `\\?`, "?", "a:b@c_d-e.mount"},
	}
	stdout, stderr, status, pid := host.run(t, listing)
	if status != 0 || len(stderr) > 0 {
		t.Fatalf("exit status %d, stderr %s", status, stderr)
	}
	section := func(verb string) string {
		return BeginMarker(listing.Nonce, verb) + "called by SH of " + strconv.Itoa(pid) + "\nin C UTC colors=0 pager=\n<" +
			strings.Join([]string{
				"--no-pager", "--no-ask-password", "--no-legend", "--full", "--plain", "--all", verb, "--", "shutdown.target",
				"*", "*.service", "b?", "[a-c]1", "[^a]?", "[^a]?", `c\x2d*`, `\\?`, "?", "a:b@c_d-e.mount",
			}, ">\n<") +
			">\n" + EndMarker(listing.Nonce, verb, 0)
	}
	_, rest, _ := strings.Cut(string(stdout), "called by ")
	sh, _, _ := strings.Cut(rest, " ")
	got := strings.ReplaceAll(string(stdout), "called by "+sh+" ", "called by SH ")
	if diff := cmp.Diff(section(SectionLoaded)+section(SectionInstalled), got); diff != "" {
		t.Error(diff)
	}
}

func testCaptured(t *testing.T, host remote) {
	t.Helper()
	query := Query{Nonce: NewNonce(), Limit: time.Minute, Units: capturedUnits()}
	stdout, stderr, status, _ := host.run(t, query, "FAKE=captured")
	got, err := query.Parse(append([]byte("Welcome!"), stdout...), stderr)
	if err != nil || status != 0 {
		t.Fatalf("exit status %d, %v", status, err)
	}
	if got.Manager.VersionNumber != 252 || len(got.BootID) != 36 || len(got.Units) != 15 || got.Units[2].StatusText == "" {
		t.Errorf("Parse = %+v", got)
	}

	listing := Listing{Nonce: NewNonce(), Limit: time.Minute, Globs: []string{"worker@*", "back*"}}
	stdout, stderr, status, _ = host.run(t, listing, "FAKE=captured")
	names, err := listing.Parse(append([]byte("Welcome!"), stdout...), stderr)
	if diff := cmp.Diff([]string{"backup.service", "backup.timer", "worker@1.service"}, names); diff != "" || err != nil || status != 0 {
		t.Errorf("exit status %d, %v\n%s", status, err, diff)
	}
}

func testFailure(t *testing.T, host remote) {
	t.Helper()
	query := Query{Nonce: NewNonce(), Limit: time.Minute, Units: []string{"a.service"}}
	stdout, stderr, status, _ := host.run(t, query, "FAKE=fail")
	_, err := query.Parse(stdout, stderr)
	got, ok := errors.AsType[*CommandError](err)
	want := CommandError{Section: SectionManager, ExitCode: 1, Stderr: "Failed to get properties: Access denied"}
	if !ok || *got != want || status != 1 {
		t.Errorf("exit status %d, error %v", status, err)
	}

	listing := Listing{Nonce: NewNonce(), Limit: time.Minute, Globs: []string{"*"}}
	stdout, stderr, status, _ = host.run(t, listing, "FAKE=fail")
	_, err = listing.Parse(stdout, stderr)
	got, ok = errors.AsType[*CommandError](err)
	if want.Section = SectionLoaded; !ok || *got != want || status != 1 {
		t.Errorf("listing: exit status %d, error %v", status, err)
	}
}

func testAbsent(t *testing.T, host remote) {
	t.Helper()
	empty := t.TempDir()
	for _, name := range []string{"sh", "timeout"} {
		file, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(empty, name)); err != nil {
			t.Fatal(err)
		}
	}
	query := Query{Nonce: NewNonce(), Limit: time.Minute, Units: []string{"a.service"}}
	stdout, stderr, status, _ := host.run(t, query, "PATH="+empty)
	_, err := query.Parse(stdout, stderr)
	if got, ok := errors.AsType[*CommandError](err); !ok || got.ExitCode != 127 || !strings.Contains(got.Stderr, "systemctl") || status != 127 {
		t.Errorf("no systemctl: exit status %d, error %v", status, err)
	}

	if err := os.Remove(filepath.Join(empty, "timeout")); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status, _ = host.run(t, query, "PATH="+empty)
	_, err = query.Parse(stdout, stderr)
	if got, ok := errors.AsType[*NoAnswerError](err); !ok || !strings.Contains(got.Stderr, "timeout") || status == 0 {
		t.Errorf("no timeout: exit status %d, error %v", status, err)
	}
}

func testTimeLimit(t *testing.T, host remote) {
	t.Helper()
	query := Query{Nonce: NewNonce(), Limit: time.Second, Units: []string{"a.service"}}
	stdout, stderr, status, _ := host.run(t, query, "FAKE=hang")
	if _, err := query.Parse(stdout, stderr); !errors.Is(err, ErrCutOff) || status != 124 {
		t.Errorf("exit status %d, error %v; want 124 and ErrCutOff", status, err)
	}
}

// testStubborn has a systemctl that does not end at SIGTERM. SIGKILL ends timeout(1) too, which sshd reports as a signal.
func testStubborn(t *testing.T, host remote) {
	t.Helper()
	query := Query{Nonce: NewNonce(), Limit: time.Second}
	stdout, stderr, status, _ := host.run(t, query, "FAKE=stubborn")
	if _, err := query.Parse(stdout, stderr); !errors.Is(err, ErrCutOff) || status != -1 && status != 137 {
		t.Errorf("exit status %d, error %v; want 137 or a signal, and ErrCutOff", status, err)
	}
}

package journalctl

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"service_manager/hosts/systemctl"
)

const cursor = "s=6c7c6013a8ca4cd2b2b5e7d9b4ad1c9d;i=4f2;b=0d9e7a4a;m=1f;t=64;x=9a"

func queries() map[string]Query {
	all := map[string]Query{
		"plain":  {Unit: "nginx.service", Lines: 10},
		"none":   {Unit: "nginx.service"},
		"follow": {Unit: `system-a\x2db@*.slice`, Lines: All, Follow: true, Old: true},
		"resume": {Unit: "worker@[0-9].service", Lines: All, Follow: true, After: cursor},
		"times": {
			Unit: "nginx.service", Lines: All, Since: time.UnixMicro(1764150000123456), Until: time.UnixMicro(1764150001000000),
			Priority: "err..warning",
		},
	}
	for name, q := range all {
		q.Nonce = testNonce
		all[name] = q
	}
	return all
}

func TestParseCommandTakesWhatCommandWrites(t *testing.T) {
	for name, q := range queries() {
		command, err := q.Command()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseCommand(command)
		if diff := gocmp.Diff(q, parsed); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		for _, other := range []string{command + " --merge", strings.Replace(command, "--no-pager", "--rotate", 1), command + ";id", command[1:]} {
			if _, err := ParseCommand(other); err == nil {
				t.Errorf("%s: taken: %s", name, other)
			}
		}
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, q := range []Query{
		{Unit: "-x.service"},
		{Unit: "a b.service"},
		{Unit: ""},
		{Unit: "a.service", Lines: -2},
		{Unit: "a.service", Priority: "5"},
		{Unit: "a.service", Priority: "urgent"},
		{Unit: "a.service", After: "s=1 --rotate"},
		{Unit: "a.service", After: "s='"},
		{Unit: "a.service", Nonce: "$(id)"},
	} {
		q.Nonce = cmp.Or(q.Nonce, testNonce)
		if command, err := q.Command(); err == nil {
			t.Errorf("%+v: %s", q, command)
		}
	}
}

func TestParsePriority(t *testing.T) {
	for given, want := range map[string]string{
		"err": "err", "error": "err", "warn": "warning", "3": "err", "7": "debug", "err..warning": "err..warning", "warning..2": "crit..warning",
		"8": "", "": "", "err..": "", "..err": "", "urgent": "", "-1": "",
	} {
		got, err := ParsePriority(given)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", given, got, err, want)
		}
	}
}

// fakeJournalctl tells how it was called, and, where it follows, that it was ended.
const fakeJournalctl = `#!/bin/sh
if [ "$*" = "--quiet --system --lines=0" ]; then [ "$HANG" ] || exit "${DENIED:-0}"; fi
if read -r line; then echo "stdin is $line"; fi
echo "in $LC_ALL $TZ colors=$SYSTEMD_COLORS"
for argument do printf "<%s>\n" "$argument"; done
case "$HANG $* " in
*" --follow "* | hang*) trap 'echo ended >"$ENDED"; exit 0' TERM; echo "pid $$"; while :; do sleep 0.1; done;;
esac
exit 3
`

// shell runs command as sshd does, through a login shell that finds fakeJournalctl.
func shell(t *testing.T, path, ended, command string) *exec.Cmd {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "journalctl"), []byte(fakeJournalctl), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-c", command)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ENDED="+ended)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Real login shells hand every query on as it is, with nothing to read, and end with the exit status of journalctl.
func TestShells(t *testing.T) {
	for _, name := range shells(t) {
		for _, q := range queries() {
			if q.Follow {
				continue
			}
			command, err := q.Command()
			if err != nil {
				t.Fatal(err)
			}
			cmd := shell(t, name, "", command)
			if _, err := cmd.StdinPipe(); err != nil { // It stays open.
				t.Fatal(err)
			}
			out, err := cmd.Output()
			if _, ok := errors.AsType[*exec.ExitError](err); !ok || cmd.ProcessState.ExitCode() != 3 {
				t.Errorf("%s: %v; want the exit status of journalctl, 3", name, err)
			}
			for _, want := range []string{Query{Nonce: testNonce}.Begin() + "in C UTC colors=0\n<--no-pager>\n<--output=export>\n", "<--unit=" + q.Unit + ">\n"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("%s: %s; want %s", name, out, want)
				}
			}
		}
	}
}

// Where the account may not read the journal, nothing is asked.
func TestAsksFirst(t *testing.T) {
	command, err := Query{Unit: "nginx.service", Nonce: testNonce}.Command()
	if err != nil {
		t.Fatal(err)
	}
	cmd := shell(t, "sh", "", command)
	cmd.Env = append(cmd.Env, "DENIED=5")
	if _, err := cmd.StdinPipe(); err != nil { // It stays open.
		t.Fatal(err)
	}
	if out, err := cmd.Output(); len(out) > 0 || cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("%s, %v; want nothing but exit status 5", out, err)
	}
}

// Neither is the question whether it may left behind.
func TestAskingFirstEndsWithStandardInput(t *testing.T) {
	command, err := Query{Unit: "nginx.service", Nonce: testNonce}.Command()
	if err != nil {
		t.Fatal(err)
	}
	cmd := shell(t, "sh", filepath.Join(t.TempDir(), "ended"), command)
	cmd.Env = append(cmd.Env, "HANG=hang")
	if err := cmd.Start(); err != nil { // There is no standard input from the beginning.
		t.Fatal(err)
	}
	late := time.AfterFunc(30*time.Second, func() { t.Error("journalctl goes on"); _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait() // It ends with the exit status of one that was ended.
}

// A journalctl that follows ends when standard input does, whatever else happens; and units and cursors arrive as they are.
func TestFollowingEndsWithStandardInput(t *testing.T) {
	for _, name := range shells(t) {
		for _, q := range queries() {
			if !q.Follow {
				continue
			}
			command, err := q.Command()
			if err != nil {
				t.Fatal(err)
			}
			ended := filepath.Join(t.TempDir(), "ended")
			cmd := shell(t, name, ended, command)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out := new(strings.Builder)
			told := make(chan struct{})
			cmd.Stdout = writerFunc(func(b []byte) (int, error) {
				if out.Write(b); strings.Contains(out.String(), "pid ") {
					select {
					case <-told:
					default:
						close(told)
					}
				}
				return len(b), nil
			})
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-told
			_ = stdin.Close() // Its answer is the end.
			if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() < 0 {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := os.Stat(ended); err != nil {
				t.Errorf("%s: journalctl was not ended: %v", name, err)
			}
			for _, want := range []string{"<--unit=" + q.Unit + ">\n", "<--follow>\n", "<--no-tail>\n"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%s: %s; want %s", name, out, want)
				}
			}
			if q.After != "" && !strings.Contains(out.String(), "<--cursor="+q.After+">\n") {
				t.Errorf("%s: the cursor did not arrive:\n%s", name, out)
			}
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// shells are those that there are. The first two must be.
func shells(t *testing.T) []string {
	t.Helper()
	found := []string{"sh", "bash"}
	for _, name := range []string{"dash", "zsh", "fish", "csh", "tcsh", "ksh", "mksh"} {
		if _, err := exec.LookPath(name); err == nil {
			found = append(found, name)
		}
	}
	return found
}

// The same names are refused as in a query for states.
func TestUnitsAreThoseOfSystemctl(t *testing.T) {
	_, err := Query{Unit: "a b.service", Nonce: testNonce}.Command()
	if !errors.Is(err, systemctl.ErrUnitName) {
		t.Error(err)
	}
}

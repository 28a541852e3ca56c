package systemctl

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The wrapper's surroundings in the tests: a systemctl that tells how it was called, and a logger that keeps what it is told.
const (
	tellingSystemctl = `#!/bin/sh
{ printf "<%s>" "$@"; echo; } | tee -a calls
`
	keepingLogger = `#!/bin/sh
printf "<%s>" "$@" >>log
`
)

// A wrapperHost runs the wrapper as sshd does: through a login shell, in a folder where it can be seen what it did.
type wrapperHost struct {
	dir   string
	login string   // that runs the wrapper, as an exec request would
	shell []string // that the wrapper is run by, in place of /bin/sh
	env   []string
}

func newWrapperHost(tb testing.TB, shell ...string) wrapperHost {
	tb.Helper()
	h := wrapperHost{dir: tb.TempDir(), login: "sh", shell: shell}
	bin := filepath.Join(h.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		tb.Fatal(err)
	}
	syscall.ForkLock.RLock() // A file that another test's child inherits open for writing could not be run.
	defer syscall.ForkLock.RUnlock()
	for name, text := range map[string]string{
		"bin/systemctl": tellingSystemctl, "bin/logger": keepingLogger, "wrapper": Wrapper(WrapperPath),
	} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	h.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "LOGNAME=monitor",
		"SSH_CONNECTION=192.0.2.7 50000 192.0.2.8 22", "IFS=x", "LC_ALL=C.UTF-8")
	return h
}

// A wrapped is what became of a command.
type wrapped struct {
	stdout, stderr string
	status         int
	calls, log     string // of systemctl and logger
}

// run hands command to the wrapper; with direct, the login shell runs it as it is.
func (h wrapperHost) run(tb testing.TB, command string, direct bool) wrapped {
	tb.Helper()
	line := strings.Join(h.shell, " ") + " ./wrapper"
	if direct {
		line = command
	}
	cmd := exec.CommandContext(tb.Context(), h.login, "-c", line)
	cmd.Dir = h.dir
	cmd.Env = append(slices.Clone(h.env), "SSH_ORIGINAL_COMMAND="+command)
	cmd.Stdin = strings.NewReader("id\n")
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); !ended {
			tb.Fatal(err)
		}
	}
	return wrapped{
		stdout: stdout.String(), stderr: stderr.String(), status: cmd.ProcessState.ExitCode(), calls: h.take(tb, "calls"), log: h.take(tb, "log"),
	}
}

// take returns what is in a file, and empties it.
func (h wrapperHost) take(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(h.dir, name)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// files are the names in the folder, which no command may change.
func (h wrapperHost) files(tb testing.TB) []string {
	tb.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// wrapperShells are the shells that /bin/sh is on one system or another. dash and bash must be there; others join in.
func wrapperShells(t *testing.T) [][]string {
	t.Helper()
	var shells [][]string
	known := map[string]bool{}
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}, {"mksh"}, {"ksh"}, {"yash"}} {
		path, err := exec.LookPath(shell[0])
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		switch {
		case err == nil && !known[path]:
			known[path] = true
			shells = append(shells, shell)
		case err != nil && (shell[0] == "dash" || shell[0] == "bash"):
			t.Error(err)
		}
	}
	return shells
}

// collectorCommands are commands of all kinds that Query and Listing write.
func collectorCommands(tb testing.TB) map[string]string {
	tb.Helper()
	units := []string{
		`system-a\x2db.slice`, "-.mount", `odd\\name\.slice`, `back\slash\n.slice`, "a:b@c_d-e.mount", "a.service", "b.socket", "c.target", "d.device",
		"e.automount", "f.swap", "g.timer", "h.path", "i.scope", `end\.service`,
	}
	commands := map[string]string{}
	add := func(name string, asked question) {
		command, err := asked.Command()
		if err != nil {
			tb.Fatal(name, err)
		}
		commands[name] = command
	}
	for _, version := range []int{0, 219, 220, 228, 231, 232} {
		add(fmt.Sprintf("units, %d", version), Query{Nonce: NewNonce(), Units: units, Version: version, Limit: 72 * time.Second})
	}
	add("no units", Query{Nonce: NewNonce(), Limit: time.Minute})
	for _, limit := range []time.Duration{3 * time.Second, 7250 * time.Millisecond, 10*time.Minute - 1, 999 * time.Second} {
		add("listing, limit "+limit.String(), Listing{Nonce: NewNonce(), Globs: []string{"*"}, Limit: limit})
	}
	add("globs", Listing{Nonce: NewNonce(), Globs: []string{"*", "?", "[a-c]*.service", "[!a]*", "[^a]*", `a\x2d*`, "[-]x*", `\\*`, "w@[1-4]"}, Limit: time.Minute})
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf(`dev-disk-by\x2did-%04d\x2dpart.device`, i)
	}
	add("many units", Query{Nonce: NewNonce(), Units: many, Limit: time.Minute})
	return commands
}

// TestWrapperLetsTheCollectorThrough compares with what the same command does without a wrapper.
func TestWrapperLetsTheCollectorThrough(t *testing.T) {
	t.Parallel()
	commands := collectorCommands(t)
	for _, shell := range wrapperShells(t) {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			h := newWrapperHost(t, shell...)
			for name, command := range commands {
				want := h.run(t, command, true)
				if want.status != 0 || want.calls == "" || want.stderr != "" {
					t.Fatalf("%s: without wrapper %+v", name, want)
				}
				if diff := cmp.Diff(want, h.run(t, command, false), cmp.AllowUnexported(wrapped{})); diff != "" {
					t.Errorf("%s (-without +with wrapper):\n%s", name, diff)
				}
			}
		})
	}
}

// hostileCommands are what a thief of the key might try.
func hostileCommands(tb testing.TB) map[string]string {
	tb.Helper()
	command := func(asked question) string {
		text, err := asked.Command()
		if err != nil {
			tb.Fatal(err)
		}
		return text
	}
	show := command(Query{Nonce: testNonce, Units: []string{"a.service", `b\x2d.slice`}, Limit: time.Second})
	list := command(Listing{Nonce: testNonce, Globs: []string{"a*", `b\x2d*`}, Limit: time.Second})
	in := func(command, from, to string) string {
		if !strings.Contains(command, from) {
			tb.Fatalf("no %q in %s", from, command)
		}
		return strings.Replace(command, from, to, 1)
	}
	return map[string]string{
		"interactive":              "",
		"shell":                    "sh",
		"bash":                     "bash -i",
		"id":                       "id",
		"scp to":                   "scp -t .",
		"scp from":                 "scp -f /etc/passwd",
		"sftp subsystem":           "internal-sftp",
		"sftp server":              "/usr/lib/openssh/sftp-server",
		"rsync":                    "rsync --server --sender -e.LsfxCIvu . /etc",
		"the wrapper itself":       WrapperPath,
		"restart":                  "systemctl restart a.service",
		"plain show":               "systemctl show a.service",
		"a line feed before":       "\n" + show,
		"a space before":           " " + show,
		"command before":           "touch pwned; " + show,
		"command behind":           show + "; touch pwned",
		"command behind, no space": show + ";touch${IFS}pwned",
		"in the background":        show + "&touch pwned",
		"and":                      show + " && touch pwned",
		"or":                       show + "|touch pwned",
		"line behind":              show + "\ntouch pwned",
		"empty line behind":        show + "\n",
		"carriage return":          show + "\r",
		"redirection":              show + " >pwned",
		"substitution":             in(show, "a.service", "$(touch pwned).service"),
		"backquotes":               in(show, "a.service", "`touch pwned`.service"),
		"variable":                 in(show, "a.service", "$PATH.service"),
		"arithmetic":               in(show, "a.service", "$((1)).service"),
		"tilde":                    in(show, "a.service", "~root.service"),
		"braces":                   in(show, "a.service", "{a,b}.service"),
		"quotes":                   in(show, "a.service", "'a.service'"),
		"double quotes":            in(show, "a.service", `"a.service"`),
		"comment":                  show + " #",
		"escaped semicolon":        in(show, "a.service", `a\;touch\ pwned.service`),
		"glob as a unit":           in(show, "a.service", `\*.service`),
		"glob as a unit, plain":    in(show, "a.service", "*.service"),
		"file as a unit":           in(show, "a.service", "/etc/shadow"),
		"path as a glob":           in(list, `a\*`, `/etc/\*`),
		"option as a group":        show + " --host=evil",
		"option as a property":     in(show, "Names,", "Names,--host=evil,"),
		"another property":         in(show, "Names,", "Names,Environment,"),
		"ExecStart":                in(show, "Names,", "ExecStart,"),
		"another manager property": in(show, "Version,", "Environment,"),
		"property in a manager":    in(show, "Version,", "Version,*,"),
		"empty property":           in(show, "Names,", "Names,,"),
		"no property of units":     in(show, "Id,Names", ",Id,Names"),
		"no property at all":       regexp.MustCompile(`Id,[A-Za-z,]*/`).ReplaceAllString(show, "/"),
		"no unit":                  regexp.MustCompile(`/a.service.*`).ReplaceAllString(show, "/"),
		"no manager property":      regexp.MustCompile(`Version,[A-Za-z,]* `).ReplaceAllString(show, ", "),
		"prefix of a property":     in(show, "Id,", "I,"),
		"two properties as one":    in(show, "Id,Names,", "Id Names,"),
		"no arguments":             strings.Split(show, testNonce)[0],
		"nonce alone":              strings.Split(show, testNonce)[0] + testNonce,
		"short nonce":              in(show, testNonce, testNonce[1:]),
		"long nonce":               in(show, testNonce, testNonce+"0"),
		"very long nonce":          in(show, testNonce, strings.Repeat("0", 320)),
		"nonce of other letters":   in(show, testNonce, strings.Repeat("G", 32)),
		"nonce for printf":         in(show, testNonce, "%s"+testNonce[2:]),
		"thirteen groups":          show + strings.Repeat(" Id/a.service", 13),
		"no limit":                 in(show, " 1 sh -c", "  sh -c"),
		"endless":                  in(show, " 1 sh -c", " 0 sh -c"),
		"endless too":              in(show, " 1 sh -c", " 0.000 sh -c"),
		"very long":                in(show, " 1 sh -c", " 1000 sh -c"),
		"days":                     in(show, " 1 sh -c", " 1d sh -c"),
		"infinite":                 in(show, " 1 sh -c", " inf sh -c"),
		"octal":                    in(show, " 1 sh -c", " 0777 sh -c"),
		"two dots":                 in(show, " 1 sh -c", " 1.1.1 sh -c"),
		"a dot alone":              in(show, " 1 sh -c", " . sh -c"),
		"no fraction":              in(show, " 1 sh -c", " 1. sh -c"),
		"another signal":           in(show, "timeout -k 1", "timeout -s STOP -k 1"),
		"option of timeout":        in(show, " 1 sh -c", " 1 -s KILL sh -c"),
		"another shell":            in(show, " sh -c '", " bash -c '"),
		"another script":           in(show, "show \"$@\"", "restart \"$@\""),
		"longer script":            in(show, "; done'", "; done; touch pwned'"),
		"shorter script":           in(show, "set -f; ", ""),
		"empty script":             in(show, showScript, ""),
		"both scripts":             in(show, scriptEnd, "; "+listScript+scriptEnd),
		"script of the other":      in(list, listScript, showScript),
		"other of the script":      in(show, showScript, listScript),
		"no exec":                  strings.TrimPrefix(show, "exec "),
		"two globs":                list + ` c\*`,
		"twenty words":             list + strings.Repeat(` c\*`, 18),
		"no glob":                  strings.Split(list, ` a\*`)[0],
		"command in a glob":        in(list, `a\*`, `\$\(touch\ pwned\)`),
		"command behind a glob":    list + ";touch pwned",
		"quote in a glob":          list + `\'`,
		"tab":                      in(show, testNonce+" ", testNonce+"\t"),
		"form feed":                show + "\f",
		"escape sequence":          "\x1b[2J\x1b]0;owned\x07id",
		"not UTF-8":                "id \xff\xfe",
		"other alphabet":           in(show, "a.service", "ä.service"),
		"too long":                 show + strings.Repeat(",aaaaaaaaa.service", 6000),
		"long":                     strings.Repeat("a", 120000),
		"much to escape":           "exec timeout -k 1 1" + strings.Repeat(`\`, 50000),
		"numbers":                  "exec timeout -k 1 " + strings.Repeat("1", 50000),
		"option":                   "-c id",
		"test operator":            "!",
		"bracket":                  "(",
		"format":                   "%s%n%d",
	}
}

func TestWrapperRefuses(t *testing.T) {
	t.Parallel()
	commands := hostileCommands(t)
	line := regexp.MustCompile(`^service_manager-report: refused \([a-z ]+\): this key may only report status; [^\n]*authorized-keys --wrapper\n$`)
	logged := regexp.MustCompile(`^<-t><service_manager-report><-p><authpriv.warning><refused to monitor from 192\.0\.2\.7 \([a-z ]+\): [ -~]{0,600}>$`)
	for _, shell := range wrapperShells(t) {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			h := newWrapperHost(t, shell...)
			before := h.files(t)
			for name, command := range commands {
				got := h.run(t, command, false)
				if got.status != 126 || got.stdout != "" || got.calls != "" || !line.MatchString(got.stderr) || len(got.stderr) > 200 {
					t.Errorf("%s: %+v", name, got)
				}
				if !IsWrapperRefusal("Welcome!\n"+got.stderr) || !logged.MatchString(got.log) {
					t.Errorf("%s: it said %q and logged %q", name, got.stderr, got.log)
				}
			}
			if diff := cmp.Diff(before, h.files(t)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
}

// TestWrapperLogs checks that the entry in the log tells what was tried, and that no wrapper waits or fails for want of a logger.
func TestWrapperLogs(t *testing.T) {
	t.Parallel()
	h := newWrapperHost(t, "sh")
	if got := h.run(t, "rm -rf /\n<x>", false); !strings.HasSuffix(got.log, "(another command): rm -rf /?<x>>") {
		t.Errorf("it logged %q", got.log)
	}
	command := strings.Replace(agreementSeeds(t)[1], "/a.service", "/$(reboot).service", 1)
	if got := h.run(t, command, false); !strings.Contains(got.log, "(a character): "+testNonce+" Version,") || !strings.Contains(got.log, "/$(reboot).service") {
		t.Errorf("it logged %q", got.log)
	}
	h.env = append(h.env, "LOGNAME=", "SSH_CONNECTION=")
	if got := h.run(t, "id", false); got.status != 126 || !strings.Contains(got.log, "refused to  from  (") {
		t.Errorf("without surroundings: %+v", got)
	}
	logger := filepath.Join(h.dir, "bin", "logger")
	if err := os.WriteFile(logger, []byte("#!/bin/sh\necho trouble; echo trouble >&2; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	expect := func(name string) {
		t.Helper()
		if got := h.run(t, "id", false); got.status != 126 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !IsWrapperRefusal(got.stderr) {
			t.Errorf("%s logger: %+v", name, got)
		}
	}
	expect("a failing")
	h.env = append(h.env, "PATH="+h.without(t, "logger")) // Whatever logger this machine has must not be told of a test.
	expect("no")
}

// without returns a folder for the PATH with what the wrapper needs but that.
func (h wrapperHost) without(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range slices.DeleteFunc([]string{"sh", "timeout", "sed", "tr", "logger"}, func(tool string) bool { return tool == name }) {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestWrapperOfAnotherVersion has a collector whose script, or whose properties, this wrapper does not know.
func TestWrapperOfAnotherVersion(t *testing.T) {
	t.Parallel()
	command, err := testQuery("a.service").Command()
	if err != nil {
		t.Fatal(err)
	}
	h := newWrapperHost(t, "sh")
	for _, newer := range []string{
		strings.Replace(command, "b boot;", "b uptime; e uptime; b boot;", 1), strings.Replace(command, "Names,", "Names,OOMKills,", 1),
	} {
		if got := h.run(t, newer, false); newer == command || got.status != 126 || !strings.Contains(got.stderr, "after an upgrade of the collector install this script anew") {
			t.Errorf("%+v", got)
		}
	}
}

func TestIsWrapperRefusal(t *testing.T) {
	t.Parallel()
	for stderr, want := range map[string]bool{
		"": false, "sh: 1: systemctl: not found\n": false, "see service_manager-report: refused\n": false,
		"service_manager-report: refused (no command): x\n": true, "motd\nservice_manager-report: refused": true,
	} {
		if got := IsWrapperRefusal(stderr); got != want {
			t.Errorf("IsWrapperRefusal(%q) = %v", stderr, got)
		}
	}
}

// TestWrapperIsFilled looks for places in the text that were left empty.
func TestWrapperIsFilled(t *testing.T) {
	t.Parallel()
	text := Wrapper("/opt/report")
	if found := regexp.MustCompile(`@[A-Z_]+@`).FindString(text); found != "" || !strings.Contains(text, `command="/opt/report"`) {
		t.Errorf("%q is left in:\n%s", found, text)
	}
}

// checkAgreement holds the wrapper and ParseCommand to each other: what that takes, the wrapper runs just so, if it knows the
// properties; and whatever the wrapper runs only reads, of named units, what it knows.
func checkAgreement(tb testing.TB, h wrapperHost, command string) {
	tb.Helper()
	got := h.run(tb, command, false)
	if got.status == 126 && got.calls != "" || got.status != 126 && got.calls == "" {
		tb.Errorf("%q: %+v", command, got)
	}
	request, err := ParseCommand(command)
	if err == nil && wrapperKnows(request) {
		if want := callsOf(request); got.calls != want {
			tb.Errorf("%q: it called\n%s, want\n%s; %+v", command, got.calls, want, got)
		}
	}
	reads := regexp.MustCompile(`^<--no-pager><--no-ask-password><(show><--property=([A-Za-z]+,?)+>(<--><.*>)?|` +
		`--no-legend><--full><--plain><--all><list-unit(s|-files)><--><shutdown\.target><.*>)$`)
	for call := range strings.Lines(got.calls) {
		call = strings.TrimSuffix(call, "\n")
		_, names, _ := strings.Cut(call, "<-->")
		if !reads.MatchString(call) || strings.Trim(names, `<>ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\@*?[]^-`) != "" {
			tb.Errorf("%q: it called %s", command, call)
		}
		_, list, _ := strings.Cut(call, "--property=")
		list, _, _ = strings.Cut(list, ">")
		for name := range strings.SplitSeq(list, ",") {
			if !strings.Contains(Wrapper(""), " "+name+" ") {
				tb.Errorf("%q: it asked for %s", command, name)
			}
		}
	}
}

func wrapperKnows(request Request) bool {
	known := managerProperties()
	for _, property := range unitProperties() {
		known = append(known, property.name)
	}
	asked := slices.Clone(request.ManagerProperties)
	for _, group := range request.Groups {
		asked = append(asked, group.Properties...)
	}
	return request.Limit >= time.Second && request.Limit < 1000*time.Second && len(request.Groups) <= 11 &&
		!slices.ContainsFunc(asked, func(name string) bool { return !slices.Contains(known, name) })
}

// callsOf says how systemctl is called for request.
func callsOf(request Request) string {
	call := func(words ...string) string {
		return "<--no-pager><--no-ask-password><" + strings.Join(words, "><") + ">\n"
	}
	if request.Globs != nil {
		var calls string
		for _, verb := range []string{SectionLoaded, SectionInstalled} {
			calls += call(append([]string{"--no-legend", "--full", "--plain", "--all", verb, "--", "shutdown.target"}, request.Globs...)...)
		}
		return calls
	}
	calls := call("show", "--property="+strings.Join(request.ManagerProperties, ","))
	for _, group := range request.Groups {
		calls += call(append([]string{"show", "--property=" + strings.Join(group.Properties, ","), "--"}, group.Units...)...)
	}
	return calls
}

// agreementSeeds are short commands of each kind.
func agreementSeeds(tb testing.TB) []string {
	tb.Helper()
	var seeds []string
	for _, asked := range []question{
		Query{Nonce: testNonce, Limit: 9 * time.Second},
		Query{Nonce: testNonce, Units: []string{"a.service", `b\x2d.slice`}, Limit: 7200 * time.Millisecond},
		Query{Nonce: testNonce, Units: []string{"a.target", "b.device"}, Version: 219, Limit: 9 * time.Second},
		Listing{Nonce: testNonce, Globs: []string{"a*", `[!b]\x2d?`}, Limit: 9 * time.Second},
	} {
		command, err := asked.Command()
		if err != nil {
			tb.Fatal(err)
		}
		seeds = append(seeds, command)
	}
	return seeds
}

// TestWrapperAgrees tries commands that differ from good ones in a place or two, mostly in the arguments.
func TestWrapperAgrees(t *testing.T) {
	t.Parallel()
	h := newWrapperHost(t, "sh")
	seeds := agreementSeeds(t)
	for _, seed := range seeds {
		checkAgreement(t, h, seed)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "aZ09 \n\t;,/\\.:_@-*?[]^!'\"$`()<>|&{}~#%=\x7fé"
	for range 150 {
		command := []byte(seeds[random.IntN(len(seeds))])
		arguments := strings.Index(string(command), scriptEnd) + len(scriptEnd)
		for range 1 + random.IntN(2) {
			at := random.IntN(len(command))
			if random.IntN(4) > 0 {
				at = arguments + random.IntN(len(command)-arguments)
			}
			char := alphabet[random.IntN(len(alphabet))]
			switch random.IntN(3) {
			case 0:
				command[at] = char
			case 1:
				command = slices.Delete(command, at, at+1)
			default:
				command = slices.Insert(command, at, char)
			}
		}
		checkAgreement(t, h, string(command))
	}
}

// FuzzWrapper is TestWrapperAgrees with whatever the fuzzer comes up with for a time limit and arguments.
func FuzzWrapper(f *testing.F) {
	for _, seed := range agreementSeeds(f) {
		limit, _, _ := strings.Cut(strings.TrimPrefix(seed, commandStart), " ")
		f.Add(limit, strings.Contains(seed, listScript), seed[strings.Index(seed, scriptEnd)+len(scriptEnd):])
	}
	f.Add("0", false, testNonce+" Id --host=evil")
	f.Add("1e3", false, testNonce+" Id Id/a.service,,;id")
	f.Add(" -s 9 1", true, testNonce+` \*,$\(id\)`)
	h := newWrapperHost(f, "sh")
	runs := 0
	f.Fuzz(func(t *testing.T, limit string, list bool, arguments string) {
		const most = 5000                                                                               // Each takes some milliseconds, and `make fuzz` wants a hundred thousand.
		if runs++; runs > most || len(arguments) > 8<<10 || strings.Contains(limit+arguments, "\x00") { // Which no environment holds.
			return
		}
		script := showScript
		if list {
			script = listScript
		}
		checkAgreement(t, h, commandStart+limit+scriptStart+script+scriptEnd+arguments)
	})
}

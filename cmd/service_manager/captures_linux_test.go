package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"service_manager/hosts/sshtest"
	"service_manager/integration/fleet"
)

// captures is where the images of the pages are.
const captures = "docs/captures"

// recording reports whether the images are to be made anew, by `make captures`, and not only compared.
func recording() bool { return os.Getenv("CAPTURES") == "write" }

// A studio is a real terminal in which the program is used on a simulated fleet.
type studio struct {
	tmux

	fleet *fleet.Fleet
	dir   string // of the inventory, and where the shells are
}

func newStudio(t *testing.T) studio {
	t.Helper()
	s := studio{tmux: newTmux(t), dir: t.TempDir()}
	var err error
	if s.fleet, err = fleet.Start(fleet.Config{Hosts: 20, Dir: s.dir, Seed: 1, Steady: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.fleet.Close)
	profile := filepath.Join(s.dir, "profile")
	if err := os.WriteFile(profile, []byte("PS1='$ '\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "ENV="+profile, "GORACE=atexit_sleep_ms=0") // The race detector would have each command wait for a second.
	if !recording() {
		s.env = append(s.env, "TMPDIR="+t.TempDir())
	}
	return s
}

// addHost adds one to the inventory that is not of the fleet.
func (s studio) addHost(t *testing.T, name string, port int) {
	t.Helper()
	text, err := os.ReadFile(s.fleet.InventoryPath())
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "[[hosts]]\nname = %q\naddress = \"127.0.0.1\"\ngroup = \"%s\"\nssh = {port = %d}\n", name, name[:len(name)-3], port)
	if err := os.WriteFile(s.fleet.InventoryPath(), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A scene is a terminal of its own, with a shell.
type scene struct {
	studio

	name string
}

func (s studio) scene(t *testing.T, name string, columns, rows int) scene {
	t.Helper()
	return s.sceneIn(t, name, columns, rows, "sh")
}

// sceneIn has a program start the shell.
func (s studio) sceneIn(t *testing.T, name string, columns, rows int, program string) scene {
	t.Helper()
	s.run(t, "new-session", "-d", "-s", name, "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "-c", s.dir, program)
	c := scene{s, name}
	c.await(t, `^\$ *\n`)
	return c
}

func (c scene) keys(t *testing.T, keys ...string) {
	t.Helper()
	c.run(t, append([]string{"send-keys", "-t", c.name}, keys...)...)
}

// enter types a line, a key after the other where someone will watch it.
func (c scene) enter(t *testing.T, line string) {
	t.Helper()
	if recording() {
		for _, key := range line {
			c.keys(t, "-l", string(key))
			time.Sleep(30 * time.Millisecond)
		}
	} else {
		c.keys(t, "-l", line)
	}
	c.await(t, regexp.QuoteMeta(line)+` *\n+\z`) // From here on a prompt is the next one.
	c.keys(t, "Enter")
}

func (c scene) await(t *testing.T, pattern string) string {
	t.Helper()
	return c.awaitIn(t, c.name, pattern)
}

// prompt waits for the end of the command.
func (c scene) prompt(t *testing.T) {
	t.Helper()
	c.await(t, `(?m)^(\^C)?\$ *\n+\z`)
}

// confirm answers the question.
func (c scene) confirm(t *testing.T) {
	t.Helper()
	c.await(t, `\[y/N\] *\n+\z`)
	c.enter(t, "y")
	c.prompt(t)
}

// keep makes the image of that name of what the terminal shows, or compares them.
func (c scene) keep(t *testing.T) {
	t.Helper()
	c.draw(t)
	shown := c.run(t, "capture-pane", "-p", "-t", c.name)
	if diff := cmp.Diff(masked(captureText(t, c.name)), masked(shown)); diff != "" {
		t.Errorf("%s.svg is not what the program shows (-image +program); make captures makes it anew:\n%s", c.name, diff)
	}
}

// draw makes the image of what the terminal shows, where images are to be made.
func (c scene) draw(t *testing.T) {
	t.Helper()
	if !recording() {
		return
	}
	shown := c.run(t, "capture-pane", "-p", "-e", "-t", c.name)
	shown = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(shown, "\n"), "$"), "\n") + "\n" // The next prompt says nothing.
	file := filepath.Join(t.TempDir(), c.name)
	if err := os.WriteFile(file, []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	freeze := os.Getenv("FREEZE")
	if freeze == "" {
		t.Fatal("FREEZE does not name the program that draws; make captures does")
	}
	cmd := exec.CommandContext(t.Context(), freeze, file, "--language", "ansi", "--font.family", "monospace", "--padding", "12",
		"--output", filepath.Join(captures, c.name+".svg"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// captureText is the text in an image.
func captureText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(captures, name+".svg"))
	if err != nil {
		t.Fatal(err)
	}
	var image struct {
		Lines []struct {
			Parts []string `xml:"tspan"`
		} `xml:"g>text"`
	}
	if err := xml.Unmarshal(data, &image); err != nil {
		t.Fatalf("%s.svg: %v", name, err)
	}
	var text strings.Builder
	for _, line := range image.Lines {
		text.WriteString(strings.Join(line.Parts, "") + "\n")
	}
	return text.String()
}

// masked are the lines of a terminal without what differs from one run to the next: times, the ports of simulated hosts, and how far
// columns are apart.
func masked(text string) []string {
	for _, m := range [][2]string{
		{`([A-Z][a-z]{2} [ \d]\d )?\d\d:\d\d:\d\d(\.\d+)?`, "TIME"},
		{`\b(\d+(\.\d+)? ?(ms|µs|s|m|h|d|w|y) ?)+\b`, "AGE"},
		{`127\.0\.0\.1:\d+`, "ADDRESS"},
		{`\S+/service_manager-demo-\d+`, "FOLDER"},
		{`[ \t]+`, " "},
	} {
		text = regexp.MustCompile(m[0]).ReplaceAllString(text, m[1])
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line != "$" {
			lines = append(lines, line)
		}
	}
	return lines
}

// What the images of the pages show is what the program shows today.
func TestCaptures(t *testing.T) {
	s := newStudio(t)
	for _, fail := range [][2]string{{"web-02", "nginx.service"}, {"db-01", "postgres.service"}} {
		if _, err := s.fleet.FailUnit(fail[0], fail[1]); err != nil {
			t.Fatal(err)
		}
	}
	s.addHost(t, "cache-09", 1) // Where no one listens.
	show := func(name string, columns int, command string) {
		c := s.scene(t, name, columns, 40)
		c.enter(t, command)
		c.prompt(t)
		c.keep(t)
	}
	show("status", 100, "service_manager status -i inventory.toml")
	show("wide", 140, "service_manager status -o wide -i inventory.toml web-01 db-01")
	show("doctor", 100, "service_manager doctor -i inventory.toml db-01 web-01 worker-01")
	s.captureRestart(t)
	s.captureWatch(t)
	s.captureSession(t)
	s.captureLogs(t)
	s.captureProgress(t)
	s.captureDemo(t)
	s.captureTail(t)
}

// Every image is shown by a page, and what is typed in it is understood, also in those that are not made anew by a test.
func TestCapturesAreShown(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures, "*.svg"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d images (%v)", len(files), err)
	}
	all := strings.Join(slices.Collect(maps.Values(pages(t))), "")
	for _, file := range files {
		if !strings.Contains(all, "captures/"+filepath.Base(file)+")") {
			t.Errorf("no page shows %s", file)
		}
		typed := 0
		for line := range strings.Lines(captureText(t, strings.TrimSuffix(filepath.Base(file), ".svg"))) {
			command, ok := strings.CutPrefix(line, "$ ")
			if !ok {
				continue
			}
			for _, args := range commandLines(command) {
				typed++
				if _, err := parseCommandLine(args); err != nil {
					t.Errorf("%s: %q: %v", file, command, err)
				}
			}
		}
		if typed == 0 && filepath.Base(file) != "watch.svg" { // Which has the screen for itself.
			t.Errorf("%s shows no command", file)
		}
	}
}

// captureRestart shows the question and, since certbot fails on the first host, a bad batch.
func (s studio) captureRestart(t *testing.T) {
	t.Helper()
	c := s.scene(t, "restart", 100, 40)
	c.enter(t, "service_manager restart certbot @web --batch 2 -i inventory.toml")
	c.confirm(t)
	c.keep(t)
}

// captureWatch shows a unit that fails meanwhile.
func (s studio) captureWatch(t *testing.T) {
	t.Helper()
	c := s.scene(t, "watch", 80, 20)
	c.enter(t, "service_manager status --watch=1s -i inventory.toml")
	c.await(t, `(?m)^\d\d:\d\d:\d\d  21 hosts: 20 ok, 1 unreachable\n`)
	if _, err := s.fleet.FailUnit("worker-01", "mount_controller.service"); err != nil {
		t.Fatal(err)
	}
	c.await(t, `(?m)^!\* worker-01`)
	c.keep(t)
	c.keys(t, "q")
	c.prompt(t)
}

// captureSession is the session that is recorded: someone sees what is wrong, and mends it.
func (s studio) captureSession(t *testing.T) {
	t.Helper()
	shell, cast := "sh", filepath.Join(captures, "session.cast")
	if recording() {
		path, err := filepath.Abs(cast)
		if err != nil {
			t.Fatal(err)
		}
		shell = "asciinema rec --quiet --overwrite --idle-time-limit 2 --title service_manager --command sh " + path
	}
	c := s.sceneIn(t, "session", 100, 40, shell)
	c.enter(t, "service_manager status --failed -i inventory.toml '@web'")
	c.prompt(t)
	c.enter(t, "service_manager logs -n 3 nginx web-02 -i inventory.toml")
	c.prompt(t)
	c.enter(t, "service_manager restart nginx web-02 -i inventory.toml")
	c.confirm(t)
	c.enter(t, "service_manager status -u nginx -i inventory.toml '@web'")
	c.prompt(t)
	c.keep(t)
	c.keys(t, "C-d")
	if recording() {
		time.Sleep(2 * time.Second) // For asciinema to write it down.
	}
	recorded := withoutSpace(recordedText(t, cast))
	for line := range strings.Lines(captureText(t, c.name)) { // Both are of one run.
		if !strings.Contains(recorded, withoutSpace(line)) {
			t.Errorf("%s does not have the line %q of session.svg", cast, line)
		}
	}
}

func withoutSpace(text string) string { return strings.Join(strings.Fields(text), "") }

// recordedText is what a terminal was sent in a recording, without colours.
func recordedText(t *testing.T, cast string) string {
	t.Helper()
	data, err := os.ReadFile(cast)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		var event []any
		if !strings.HasPrefix(line, "[") {
			continue // The header.
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil || len(event) != 3 {
			t.Fatalf("%s: %q (%v)", cast, line, err)
		}
		fmt.Fprint(&text, event[2])
	}
	return ansi.Strip(text.String())
}

// captureLogs shows lines as they come. What they say is compared in the session.
func (s studio) captureLogs(t *testing.T) {
	t.Helper()
	c := s.scene(t, "logs", 140, 40)
	c.enter(t, "service_manager logs -f -n 2 nginx 'web-0[1-3]' -i inventory.toml")
	const line = `(?m)^web-0[1-3] [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3} (nginx|systemd)\[\d+\]: `
	if c.await(t, `(`+line+`[^\n]*\n){6}`); recording() {
		time.Sleep(6 * time.Second)
	}
	c.draw(t)
	c.keys(t, "C-c")
	c.prompt(t)
	lines := strings.Split(captureText(t, c.name), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "web-0") }) // The command, and the rest of a long one.
	for _, l := range lines {
		if !regexp.MustCompile(line).MatchString(l) {
			t.Errorf("logs.svg has the line %q; make captures makes it anew", l)
		}
	}
	if len(lines) < 6 {
		t.Errorf("logs.svg has %d lines", len(lines))
	}
}

// captureProgress shows how far a command is while a host keeps it waiting.
func (s studio) captureProgress(t *testing.T) {
	t.Helper()
	server, err := sshtest.Start(sshtest.Config{Greet: func(ctx context.Context, _ net.Conn) bool {
		<-ctx.Done()
		return false
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	s.addHost(t, "web-09", server.Addr().Port)
	c := s.scene(t, "progress", 100, 10)
	c.enter(t, "service_manager status -i inventory.toml")
	c.await(t, `21/22 hosts, 6 with trouble, [1-4] s`)
	c.keep(t)
	c.keys(t, "C-c")
	c.prompt(t)
}

// captureDemo shows a demo, in which something happens at its time: what is compared is what stands above and below it.
func (s studio) captureDemo(t *testing.T) {
	t.Helper()
	c := s.scene(t, "demo", 100, 40)
	c.enter(t, "service_manager demo --seed 1")
	const footer = `(?m)^\d\d:\d\d:\d\d  5 hosts: \d ok.*  \d in trouble  28 units: `
	shown := c.await(t, footer)
	if recording() {
		time.Sleep(25 * time.Second)
	}
	c.draw(t)
	parts := func(text string) []string {
		above, below, _ := strings.Cut(text, "Ctrl-C ends it\n")
		if !regexp.MustCompile(footer).MatchString(below) {
			t.Errorf("no line about the fleet below\n%s", text)
		}
		return masked(above)
	}
	if diff := cmp.Diff(parts(captureText(t, c.name)), parts(shown)); diff != "" {
		t.Errorf("demo.svg is not what the program shows (-image +program); make captures makes it anew:\n%s", diff)
	}
	c.keys(t, "C-c")
	c.prompt(t)
}

// captureTail shows what a demo publishes, where there is a broker. Of what it shows then only the form is compared.
func (s studio) captureTail(t *testing.T) {
	t.Helper()
	if url := os.Getenv("BROKER"); recording() && url != "" {
		stage := s.scene(t, "stage", 100, 30)
		stage.enter(t, "service_manager demo --seed 1 --broker "+url)
		shown := stage.await(t, `(?m)^  service_manager status -i \S+/inventory\.toml\n`)
		s.dir = filepath.Dir(regexp.MustCompile(`\S+/inventory\.toml`).FindString(shown))
		c := s.scene(t, "tail", 140, 30)
		c.enter(t, "service_manager tail 'event.#' -i inventory.toml")
		time.Sleep(30 * time.Second)
		c.draw(t)
		c.keys(t, "C-c")
		stage.keys(t, "C-c")
		stage.prompt(t)
	}
	for _, l := range masked(captureText(t, "tail")) {
		if strings.HasPrefix(l, "TIME") && !regexp.MustCompile(`^TIME (receiving |([!~] )?[a-z]+-\d\d \S)`).MatchString(l) {
			t.Errorf("tail.svg has the line %q; BROKER=amqp://… make captures makes it anew", l)
		}
	}
}

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
)

// pages are the README and the pages in docs, by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d pages (%v)", len(paths), err)
	}
	texts := make(map[string]string)
	for _, path := range append(paths, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}

// blocks are the fenced blocks of a page in a language.
func blocks(page, language string) []string {
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```(\\S*)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	return all
}

// Links lead to a file that is there, and to a heading in it.
func TestLinksOfThePages(t *testing.T) {
	for path, text := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			file, heading, _ := strings.Cut(m[1], "#")
			if strings.HasPrefix(m[1], "http") {
				continue
			}
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			info, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
				continue
			}
			if heading == "" || info.IsDir() {
				continue
			}
			linked, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(anchors(string(linked)), heading) {
				t.Errorf("%s links to %s, where there is no such heading", path, m[1])
			}
		}
	}
}

// anchors are what a page's headings are linked by.
func anchors(page string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		word := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(word, " ", "-"))
	}
	return all
}

// Each page is listed in that of the folder, and that is linked from the README.
func TestPagesAreFound(t *testing.T) {
	all := pages(t)
	for path := range all {
		if name := filepath.Base(path); name != "README.md" && !strings.Contains(all[filepath.Join("docs", "README.md")], "]("+name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
	if !strings.Contains(all[filepath.Join("..", "..", "README.md")], "](cmd/service_manager/docs/README.md)") {
		t.Error("README.md does not link to the pages")
	}
}

// Each command line of the program in a page is one that the program understands.
func TestCommandLinesOfThePages(t *testing.T) {
	seen := map[string]bool{}
	for path, text := range pages(t) {
		for _, block := range blocks(text, "sh") {
			for _, line := range commandLines(block) {
				name, err := parseCommandLine(line)
				if err != nil {
					t.Errorf("%s: %q: %v", path, line, err)
				}
				seen[name] = true
			}
		}
	}
	for _, want := range []string{"run", "status", "check", "doctor", "trust", "authorized-keys", "tail", "version"} {
		if !seen[want] {
			t.Errorf("no page shows %s", want)
		}
	}
	for _, wrong := range [][]string{{"colect"}, {"run", "--onse"}, {"run", "--once=perhaps"}, {"version", "web-01"}} {
		if _, err := parseCommandLine(wrong); err == nil {
			t.Errorf("%v passes", wrong)
		}
	}
}

// commandLines are the arguments of each call of the program in a shell script, up to what else the shell does there.
func commandLines(script string) [][]string {
	var names []string
	for _, c := range (&app{}).rootCommand().Commands() {
		names = append(names, c.Name())
	}
	var all [][]string
	for _, line := range shellLines(script) {
		var current []string
		for i, word := range line {
			isProgram := current == nil && (word == "service_manager" || strings.HasSuffix(word, "/service_manager")) &&
				(i == 0 || line[i-1] == "&&" || line[i-1] == "|" || i > 1 && line[i-2] == "-u" || i+1 < len(line) && slices.Contains(names, line[i+1])) &&
				(i+1 == len(line) || line[i+1] != "service_manager")
			switch {
			case isProgram:
				current = []string{}
			case current != nil && strings.ContainsAny(word[:1], "|&;<>#"):
				all, current = append(all, current), nil
			case current != nil:
				current = append(current, strings.TrimSuffix(word, ";"))
			}
		}
		if current != nil {
			all = append(all, current)
		}
	}
	return all
}

// shellLines are the words of a script's commands. It knows quotes, backslashes before an end of line, and comments, which is all that
// the pages have.
func shellLines(script string) [][]string {
	var lines [][]string
	script = strings.ReplaceAll(script, "\\\n", " ")
	for line := range strings.Lines(script) {
		var words []string
		for _, m := range regexp.MustCompile(`#.*|[<>|&;]+|(?:'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"<>|&;])+`).FindAllString(line, -1) {
			if strings.HasPrefix(m, "#") {
				break
			}
			words = append(words, strings.NewReplacer("'", "", `"`, "").Replace(m))
		}
		if len(words) > 0 {
			lines = append(lines, words)
		}
	}
	return lines
}

// parseCommandLine has the program read a command line without doing anything, and returns the command.
func parseCommandLine(args []string) (string, error) {
	root := (&app{}).rootCommand()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return "", err
	}
	if cmd == root {
		return "", errors.New("no command")
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return "", err
	}
	if cmd.Args == nil && len(cmd.Flags().Args()) > 0 && !strings.Contains(cmd.Use, "[") {
		return "", cobra.NoArgs(cmd, cmd.Flags().Args())
	}
	return cmd.Name(), cmd.ValidateArgs(cmd.Flags().Args())
}

// Each inventory of a page is one that the program takes, or part of one.
func TestInventoriesOfThePages(t *testing.T) {
	config := inventory.Config{
		LookupEnv: func(name string) (string, bool) { return "/run/credentials", name == "CREDENTIALS_DIRECTORY" },
		ReadFile: func(name string) ([]byte, error) {
			if strings.Contains(name, "password") {
				return []byte("secret\n"), nil
			}
			return nil, nil
		},
		Real:     filepath.Clean,
		Readable: func(string) error { return nil },
		Mode:     func(string) (fs.FileMode, error) { return 0o600, nil },
		Glob:     func(string) ([]string, error) { return nil, nil },
		User:     "me", Home: "/home/me", Hostname: "fleet-a",
	}
	parsed := 0
	for path, text := range pages(t) {
		for _, block := range blocks(text, "toml") {
			if strings.HasPrefix(block, "[[broker.queues]]") {
				block = "[broker]\nurl = \"amqp://localhost\"\n" + block
			}
			if _, err := inventory.Parse(path, []byte(block), config); err != nil {
				t.Errorf("%s:\n%s\n%v", path, block, err)
			}
			parsed++
		}
	}
	if parsed < 8 {
		t.Errorf("only %d inventories were found", parsed)
	}
}

// The page on troubleshooting has each outcome, and quotes nothing that the program does not say.
func TestTroubleshootingIsCurrent(t *testing.T) {
	page := pages(t)[filepath.Join("docs", "troubleshooting.md")]
	source := sources(t, filepath.Join("..", ".."))
	outcomes := regexp.MustCompile(`\bOutcome = "(\w+)"`).FindAllStringSubmatch(source, -1)
	if len(outcomes) < 11 {
		t.Fatalf("only %d outcomes were found", len(outcomes))
	}
	for _, outcome := range outcomes {
		if !strings.Contains(page, "\n### "+outcome[1]+"\n") {
			t.Errorf("nothing is said of the outcome %s", outcome[1])
		}
	}
	source = regexp.MustCompile(`["`+"`"+`] \+\s*["`+"`"+`]`).ReplaceAllString(source, "") // Texts that go over two lines.
	source = regexp.MustCompile(`%[a-zA-Z]`).ReplaceAllString(source, "…")
	page = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
	quotes := regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(strings.ReplaceAll(page, "\n", " "), -1)
	if len(quotes) < 20 {
		t.Fatalf("only %d quotes", len(quotes))
	}
	for _, quote := range quotes {
		for part := range strings.SplitSeq(quote[1], "…") {
			if part = strings.TrimSpace(part); part != "" && !strings.Contains(source, part) {
				t.Errorf("the program does not say %q", part)
			}
		}
	}
}

// Each alert has its line in operating.md.
func TestAlertsAreExplained(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join("packaging", "prometheus", "service_manager.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	page := pages(t)[filepath.Join("docs", "operating.md")]
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	if len(alerts) < 10 {
		t.Fatalf("only %d alerts were found", len(alerts))
	}
	for _, alert := range alerts {
		if !regexp.MustCompile(`(?m)^\|.*\b` + alert[1] + `\b`).MatchString(page) {
			t.Errorf("operating.md does not explain the alert %s", alert[1])
		}
	}
	for _, name := range regexp.MustCompile(`ServiceManager\w+`).FindAllString(page, -1) {
		if !strings.Contains(string(rules), "- alert: "+name+"\n") {
			t.Errorf("operating.md explains %s, which is no alert", name)
		}
	}
}

// lifecycle.md has each key that a reload does not put into effect.
func TestLifecycleIsCurrent(t *testing.T) {
	_, after, there := strings.Cut(pages(t)[filepath.Join("docs", "lifecycle.md")], "These wait for a restart")
	paragraph, _, _ := strings.Cut(after, "\n\n")
	keys := regexp.MustCompile(`differs\("\w+\.(\w+)"`).FindAllStringSubmatch(sources(t, "."), -1)
	if !there || len(keys) < 10 {
		t.Fatalf("the paragraph is there: %v; %d keys were found", there, len(keys))
	}
	for _, key := range keys {
		if !strings.Contains(paragraph, "`"+key[1]+"`") {
			t.Errorf("lifecycle.md does not say that %s waits for a restart", key[1])
		}
	}
}

// sources are all Go sources below a folder but the tests.
func sources(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// What installing.md says of the package is what is in it.
func TestInstallingIsCurrent(t *testing.T) {
	page := pages(t)[filepath.Join("docs", "installing.md")]
	var packaged strings.Builder
	for _, file := range []string{"nfpm.yaml", "service_manager.service", "sysusers.conf", "tmpfiles.conf", "credentials.conf", "Dockerfile"} {
		text, err := os.ReadFile(filepath.Join("packaging", file))
		if err != nil {
			t.Fatal(err)
		}
		packaged.WriteString(string(text))
	}
	said := blocks(page, "ini")
	for _, m := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `(/[^`]+)`").FindAllStringSubmatch(page, -1) {
		said = append(said, m[1])
	}
	if len(said) < 5 {
		t.Fatalf("only %q were found", said)
	}
	for _, text := range said {
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(strings.TrimSpace(line), "/state.db"); !strings.Contains(packaged.String(), line) {
				t.Errorf("the package does not have %s", line)
			}
		}
	}
}

// What a page says of the wrapper is where it lies.
func TestPagesNameTheWrapper(t *testing.T) {
	if page := pages(t)[filepath.Join("docs", "hardening-hosts.md")]; !strings.Contains(page, "\nW="+systemctl.WrapperPath+"\n") {
		t.Errorf("hardening-hosts.md installs the wrapper elsewhere than at %s", systemctl.WrapperPath)
	}
}

// The page on operating units has the rules that the program prints.
func TestRulesOfThePages(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("docs", "operating-units.md"))
	if err != nil {
		t.Fatal(err)
	}
	o := systemctl.Operation{Verb: systemctl.Restart, Unit: "nginx.service"}
	for language, rule := range map[string]string{"sudoers": o.SudoersRule("monitor") + "\n", "polkit": o.PolkitRule("monitor")} {
		if got := blocks(string(text), language); len(got) != 1 || got[0] != rule {
			t.Errorf("%s: %q, want %q", language, got, rule)
		}
		if printed := rulesFor(o, "monitor", o.Unit); !strings.Contains(printed, rule) {
			t.Errorf("%s: the program prints\n%s", language, printed)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the README shows must be what is tested: the inventory's example is parsed by a test, the Go consumer runs in the
// integration tests.
func TestReadmeShowsTestedExamples(t *testing.T) {
	root := filepath.Join("..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"inventory/example.toml", "integration/examples/consume/main.go"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "\n"+string(text)+"```\n") {
			t.Errorf("README.md does not show %s as it is", name)
		}
	}
}

// Every command of the program has its place in the README, and every folder and file that it links to exists.
func TestReadmeIsCurrent(t *testing.T) {
	root := filepath.Join("..", "..")
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	for _, command := range (&app{}).rootCommand().Commands() {
		if name := command.Name(); name != "version" && name != "help" && name != "completion" && name != "man" && !strings.Contains(readme, "service_manager "+name) &&
			!strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README.md does not mention the command %s", name)
		}
	}
	for rest := readme; ; {
		_, after, ok := strings.Cut(rest, "](")
		if !ok {
			break
		}
		target, after, _ := strings.Cut(after, ")")
		rest = after
		if strings.HasPrefix(target, "http") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			t.Errorf("README.md links to %s: %v", target, err)
		}
	}
}

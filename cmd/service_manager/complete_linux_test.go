package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"service_manager/integration/fleet"
)

// In a real bash, Tab completes hosts, groups, labels, lists and units, and a remark stands below the line where there is no inventory.
func TestCompletionInBash(t *testing.T) {
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		t.Skip("bash-completion is not installed; integration/setup installs it")
	}
	simulated, err := fleet.Start(fleet.Config{Dir: t.TempDir(), Seed: 1, Steady: true})
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rc": "PS1='> '; INPUTRC=/dev/null; set +o history; bind 'set bell-style none'; . " + library +
			"; . <(service_manager completion bash); cd " + dir + "; clear; echo ready\n",
		"labels.toml": "[[hosts]]\nname = \"n[0000-9999]\"\nlabels = {env = \"prod\", rack = \"x:1\"}\n" +
			"[[hosts]]\nname = \"z\"\nlabels = {env = \"test\"}\n",
		"bad.toml": "[[host]]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(simulated.InventoryPath(), filepath.Join(dir, "fleet.toml")); err != nil {
		t.Fatal(err)
	}
	screen := newTmux(t)
	screen.run(t, "new-session", "-d", "-x", "80", "-y", "24", "-e", "RC="+filepath.Join(dir, "rc"), `bash --noprofile --rcfile "$RC" -i`)
	screen.await(t, "ready")
	for _, test := range []struct{ typed, completed string }{
		{"stat", "status "},
		{"status -i f", "status -i fleet.toml "},
		{"status -i fleet.toml web-01 we", "status -i fleet.toml web-01 web-02 "},
		{"status -i fleet.toml @we", "status -i fleet.toml @web "},
		{"status -i fleet.toml web-[01,0", "status -i fleet.toml web-\\[01\\,02"},
		{"status -i fleet.toml -u work", "status -i fleet.toml -u worker@\\*.service "},
		{"restart -i fleet.toml ng", "restart -i fleet.toml nginx.service "},
		{"tail -i fleet.toml event.we", "tail -i fleet.toml event.web.\\* "},
		{"tail -i fleet.toml *.*.db", "tail -i fleet.toml \\*.\\*.db-01 "},
		{"status --log-format j", "status --log-format json "},
		{"status -i labels.toml env=te", "status -i labels.toml env=test "},
		{"status -i labels.toml env=", "status -i labels.toml env="},
		{"status -i labels.toml rack=x:", "status -i labels.toml rack=x:1 "},
		{"status -i labels.toml n999", "status -i labels.toml n999"},
	} {
		screen.run(t, "send-keys", "-l", "service_manager "+test.typed)
		screen.run(t, "send-keys", "Tab")
		screen.run(t, "send-keys", "-l", "|")
		screen.await(t, `(?m)^> service_manager `+regexp.QuoteMeta(test.completed)+`\|$`)
		screen.run(t, "send-keys", "C-u")
		screen.run(t, "send-keys", "C-l")
		screen.await(t, `^>\n`)
	}
	screen.run(t, "send-keys", "-l", "service_manager status -i labels.toml n")
	screen.run(t, "send-keys", "Tab", "Tab")
	screen.await(t, `(?m)^n0 +\(1000 that begin so\)`)
	screen.run(t, "send-keys", "-l", "0000 ")
	screen.run(t, "send-keys", "C-u")
	screen.run(t, "send-keys", "C-l")
	screen.await(t, `^>\n`)
	screen.run(t, "send-keys", "-l", "service_manager status -i bad.toml n")
	screen.run(t, "send-keys", "Tab", "Tab")
	screen.await(t, `(?m)^no names to complete: bad.toml:1: unknown`)
	screen.run(t, "send-keys", "-l", "|")
	screen.await(t, `(?m)^> service_manager status -i bad.toml n\|$`)
}

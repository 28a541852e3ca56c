package main

import (
	"regexp"
	"strings"
	"testing"
)

// On a terminal a demo shows what happens above a line about the fleet, and a command that it prints can be pasted into another one.
func TestDemoInTmux(t *testing.T) {
	screen := newTmux(t)
	screen.env = append(screen.env, "TMPDIR="+t.TempDir())
	screen.run(t, "new-session", "-d", "-x", "80", "-y", "40", "service_manager demo --hosts 12 --seed 1; echo exit code $?; cat")
	screen.run(t, "set-option", "-g", "history-limit", "5000")
	screen.await(t, `(?m)^\d\d:\d\d:\d\d  12 hosts: 1[012] ok.*  \d in trouble  .*…\n+\z`)
	first := screen.run(t, "display-message", "-p", "#{window_id}")
	shown := screen.run(t, "capture-pane", "-p", "-J")
	command := regexp.MustCompile(`(?m)^  (service_manager restart nginx @web -i \S+)`).FindStringSubmatch(shown)
	if command == nil || strings.Contains(shown, "routing_key") {
		t.Fatalf("it shows:\n%s", shown)
	}

	screen.run(t, "new-window", "sh")
	screen.run(t, "send-keys", command[1]+" --settle 0s --batch 100%", "Enter")
	screen.await(t, `(?m)Restart nginx.service on 6 hosts\? \[y/N\]`)
	screen.run(t, "send-keys", "y", "Enter")
	screen.await(t, `(?m)^web-01  done      active/running `)
	screen.awaitIn(t, strings.TrimSpace(first), `(?m)^\d\d:\d\d:\d\d   web-0\d nginx\.service .*restarted$`)

	screen.run(t, "select-window", "-t", strings.TrimSpace(first))
	screen.run(t, "send-keys", "C-c")
	ended := screen.await(t, "exit code 0")
	if !regexp.MustCompile(`\d+ polls  12 hosts: [\s\S]*\nexit code 0\n+\z`).MatchString(ended) {
		t.Errorf("it ended with:\n%s", ended)
	}
}

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

func sick(n int, details ...string) []patient {
	var patients []patient
	for i := range n {
		name := fmt.Sprintf("web-%02d", i+1)
		patients = append(patients, newPatient(aboutHost, name, []finding{{
			Step: "shell", Code: "slow_shell", Severity: hosts.SeverityWarning, Detail: details[i%len(details)], Problem: "the shell is slow",
			Why: "each poll pays", Remedy: "mend {selector}",
		}}))
	}
	return patients
}

func printed(t *testing.T, patients []patient) string {
	t.Helper()
	var out bytes.Buffer
	a := &app{inventory: inventory.DefaultPath}
	if err := (printer{out: &out, selector: a.selectorOf([]string{"@web"})}).print(patients); err != nil {
		t.Fatal(err)
	}
	_, blocks, _ := strings.Cut(out.String(), "\n\n")
	return blocks
}

// What many hosts have in common is told once.
func TestDoctorGroups(t *testing.T) {
	for name, test := range map[string]struct {
		patients []patient
		want     string
	}{
		"one": {sick(1, "300 ms"), `warning: web-01: the shell is slow
  300 ms
  why it matters: each poll pays
  to mend it: mend web-01
`},
		"two alike": {sick(2, "300 ms"), `warning: 2 hosts: the shell is slow
  web-01, web-02: 300 ms
  why it matters: each poll pays
  to mend it: mend web-01 web-02
`},
		"many": {sick(500, "300 ms"), `warning: 500 hosts: the shell is slow
  web-01, web-02, web-03, web-04, web-05, web-06, web-07, web-08 and 492 more: 300 ms
  why it matters: each poll pays
  to mend it: mend @web
`},
		"many different": {sick(7, "1", "2", "3", "4", "5", "6", "7"), `warning: 7 hosts: the shell is slow
  web-01: 1
  web-02: 2
  web-03: 3
  web-04: 4
  web-05: 5
  and likewise web-06, web-07
  why it matters: each poll pays
  to mend it: mend web-01 web-02 web-03 web-04 web-05 web-06 web-07
`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, printed(t, test.patients)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The brokers of an inventory are one patient; what each of them has is told with its address and step.
func TestDoctorBrokers(t *testing.T) {
	refused := func(address string) publish.Finding {
		return publish.Finding{
			Broker: address, Step: "connect", Code: "refused", Severity: publish.SeverityError, Detail: "connection refused",
			Problem: "nothing listens", Why: "nothing is published", Remedy: "start " + address,
		}
	}
	patients := []patient{newPatient(aboutBroker, aboutBroker, []finding{
		brokerFinding(publish.Finding{Broker: "amqp://a/", Step: "resolve", Severity: publish.SeverityOK, Detail: "a is 192.0.2.1"}),
		brokerFinding(refused("amqp://a/")), brokerFinding(refused("amqp://b/")),
		brokerFinding(publish.Finding{Broker: "amqp://c/", Step: "exchange", Code: "unseen", Severity: publish.SeverityNote, Problem: "a note"}),
		brokerFinding(publish.Finding{Broker: "amqp://c/", Step: "server", Code: "old", Severity: publish.SeverityWarning, Detail: "3.7", Problem: "it is old"}),
	})}
	want := `warning: broker: it is old
  amqp://c/ server: 3.7

error: broker: nothing listens
  amqp://a/ connect: connection refused
  amqp://b/ connect: connection refused
  why it matters: nothing is published
  to mend it, for example: start amqp://a/
`
	if diff := cmp.Diff(want, printed(t, patients)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if code := doctorExit(patients); code != exitBroker {
		t.Errorf("exit code %d, want %d", code, exitBroker)
	}
}

// The worst is the last, where a terminal still shows it; among equals the most common.
func TestDoctorPrintsTheWorstLast(t *testing.T) {
	patients := sick(3, "300 ms")
	patients[0].Findings = append(patients[0].Findings, finding{Code: "unreachable", Problem: "no connection", Severity: hosts.SeverityError})
	patients[0].Severity = hosts.SeverityError
	patients[1].Findings = append(patients[1].Findings, finding{Code: "root", Problem: "logs in as root", Severity: hosts.SeverityWarning},
		finding{Code: "degraded", Problem: "a note", Severity: hosts.SeverityNote})
	out := printed(t, patients)
	var heads []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, " ") && line != "\n" {
			heads = append(heads, strings.TrimSpace(line))
		}
	}
	want := []string{"warning: web-02: logs in as root", "warning: 3 hosts: the shell is slow", "error: web-01: no connection"}
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDoctorSelectors(t *testing.T) {
	a := &app{inventory: "my inventory.toml"}
	selector := a.selectorOf([]string{"web-*"})
	if got, want := selector([]string{"a", "b"}), "-i 'my inventory.toml' a b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := selector(make([]string, 21)), "-i 'my inventory.toml' 'web-*'"; got != want {
		t.Errorf("of many hosts %q, want %q", got, want)
	}
}

// Where most hosts' clocks differ from ours in the same way, ours is suspected.
func TestOwnClock(t *testing.T) {
	reports := func(offsets ...time.Duration) []hosts.Report {
		var reports []hosts.Report
		for _, offset := range offsets {
			reports = append(reports, hosts.Report{ClockOffset: &offset})
		}
		return append(reports, hosts.Report{})
	}
	for name, test := range map[string]struct {
		reports []hosts.Report
		want    bool
	}{
		"none":             {reports(), false},
		"two":              {reports(time.Hour, time.Hour), false},
		"all":              {reports(time.Hour, time.Hour, time.Hour), true},
		"all behind":       {reports(-time.Hour, -time.Hour, -time.Hour), true},
		"one":              {reports(0, 0, time.Hour), false},
		"in both ways":     {reports(-time.Hour, 0, time.Hour), false},
		"all but a moment": {reports(time.Second, time.Second, time.Second), false},
	} {
		if f, got := ownClock(test.reports); got != test.want || got && f.Remedy == "" {
			t.Errorf("%s: %v, want %v: %+v", name, got, test.want, f)
		}
	}
}

func TestOpenFiles(t *testing.T) {
	e := examination{inventory: &inventory.Inventory{Hosts: []inventory.Host{{}, {}, {Via: &inventory.Host{}}}}}
	if f := e.fileLimit(66); f.Severity != hosts.SeverityOK {
		t.Errorf("66 files for two hosts: %+v", f)
	}
	if f := e.fileLimit(65); f.Severity != hosts.SeverityWarning || f.Remedy == "" {
		t.Errorf("65 files for two hosts: %+v", f)
	}
}

package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"service_manager/hosts"
	"service_manager/publish"
)

// A patient is what doctor found out about a host, the broker or this machine; its JSON is for scripts.
type patient struct {
	About              string         `json:"about"` // host, broker or collector
	Name               string         `json:"name"`
	Severity           hosts.Severity `json:"severity"` // the worst of the findings'
	Outcome            *string        `json:"outcome"`  // of a host, as in its status messages
	Server             *string        `json:"server"`
	Systemd            *string        `json:"systemd"`
	RoundTripMS        *float64       `json:"round_trip_ms"`
	ShellMS            *float64       `json:"shell_ms"`
	QueryMS            *float64       `json:"query_ms"`
	ClockOffsetSeconds *float64       `json:"clock_offset_seconds"`
	Findings           []finding      `json:"findings"`

	units int // that were read
}

type finding struct {
	Step     string         `json:"step"`
	Code     string         `json:"code"` // empty where all is well
	Severity hosts.Severity `json:"severity"`
	Detail   string         `json:"detail"`
	Problem  string         `json:"problem"`
	Why      string         `json:"why"`
	Remedy   string         `json:"remedy"`
}

func newPatient(about, name string, findings []finding) patient {
	p := patient{About: about, Name: name, Findings: findings}
	for _, f := range findings {
		p.Severity = max(p.Severity, f.Severity)
	}
	return p
}

func hostPatient(r hosts.Report) patient {
	findings := make([]finding, 0, len(r.Findings))
	for _, f := range r.Findings {
		findings = append(findings, finding(f))
	}
	p := newPatient(aboutHost, r.Host.Name, findings)
	p.units = r.Units
	p.Outcome = new(string(r.Outcome))
	p.Server, p.Systemd = known(r.Server), known(r.Systemd)
	p.RoundTripMS, p.ShellMS, p.QueryMS = milliseconds(r.RoundTrip), milliseconds(r.Shell), milliseconds(r.Query)
	if r.ClockOffset != nil {
		p.ClockOffsetSeconds = new(math.Round(r.ClockOffset.Seconds()*1000) / 1000)
	}
	return p
}

func brokerFinding(f publish.Finding) finding {
	severity := map[publish.Severity]hosts.Severity{
		publish.SeverityNote: hosts.SeverityNote, publish.SeverityWarning: hosts.SeverityWarning, publish.SeverityError: hosts.SeverityError,
	}[f.Severity]
	return finding{
		Step: strings.TrimSpace(f.Broker + " " + f.Step), Code: f.Code, Severity: severity, Detail: f.Detail,
		Problem: f.Problem, Why: f.Why, Remedy: f.Remedy,
	}
}

// codeNoBroker is of the finding that the inventory names no broker.
const codeNoBroker = "no_broker"

func (p patient) isNoBroker() bool { return len(p.Findings) == 1 && p.Findings[0].Code == codeNoBroker }

// filledIn returns the patients with whole commands as remedies.
func filledIn(patients []patient, selector func([]string) string) []patient {
	for _, p := range patients {
		for i, f := range p.Findings {
			p.Findings[i].Remedy = strings.ReplaceAll(f.Remedy, selectorMark, selector([]string{p.Name}))
		}
	}
	return patients
}

// known is nil for what was not found out.
func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func milliseconds(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	return new(math.Round(d.Seconds()*1e6) / 1000)
}

// diagnosis is the last line: how many are how.
func diagnosis(patients []patient, verbose bool, took time.Duration) string {
	var words []string
	notes, byHow := 0, make(map[hosts.Severity]int)
	for _, p := range patients {
		for _, f := range p.Findings {
			if f.Severity == hosts.SeverityNote {
				notes++
			}
		}
		if p.About == aboutHost {
			byHow[settled(p.Severity)]++
		}
	}
	if total := byHow[hosts.SeverityOK] + byHow[hosts.SeverityWarning] + byHow[hosts.SeverityError]; total > 0 {
		line := fmt.Sprintf("%s: %d ok", count(total, "host"), byHow[hosts.SeverityOK])
		if n := byHow[hosts.SeverityWarning]; n > 0 {
			line += fmt.Sprintf(", %d with warnings", n)
		}
		if n := byHow[hosts.SeverityError]; n > 0 {
			line += fmt.Sprintf(", %d cannot be read", n)
		}
		words = append(words, line)
	}
	for _, p := range patients {
		if p.About != aboutHost {
			word := fmt.Sprintf("%s %s", p.About, settled(p.Severity))
			if p.isNoBroker() {
				word = "no broker"
			}
			words = append(words, word)
		}
	}
	if notes > 0 && !verbose {
		words = append(words, count(notes, "note")+" with -v")
	}
	return fmt.Sprintf("%s; %.1f s", strings.Join(words, "; "), took.Seconds())
}

// settled is a severity without notes: who has only those is ok.
func settled(s hosts.Severity) hosts.Severity {
	if s == hosts.SeverityNote {
		return hosts.SeverityOK
	}
	return s
}

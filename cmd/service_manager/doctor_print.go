package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"service_manager/hosts"
	"service_manager/inventory"
)

// A printer prints patients for a person: a line for each, then what is wrong, told once for all that have it, the worst last, where
// a terminal still shows it.
type printer struct {
	out      io.Writer
	verbose  bool // every step, and notes
	colours  bool
	selector func(names []string) string // what picks hosts on the command line
}

func (p printer) print(patients []patient) error {
	patients = slices.Clone(patients)
	slices.SortStableFunc(patients, func(a, b patient) int { return cmp.Compare(settled(a.Severity), settled(b.Severity)) })
	overview := p.lines
	if p.verbose {
		overview = p.steps
	}
	if err := overview(patients); err != nil {
		return err
	}
	least := hosts.SeverityWarning
	if p.verbose {
		least = hosts.SeverityNote
	}
	for _, g := range groupFindings(patients) {
		if g.severity < least {
			continue
		}
		if err := p.group(g); err != nil {
			return err
		}
	}
	return nil
}

// lines prints one line for each patient.
func (p printer) lines(patients []patient) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, each := range patients {
		fmt.Fprintf(w, "%s\t%s\t%s\n", each.Name, settled(each.Severity), each.summary())
	}
	return w.Flush()
}

// steps prints all that was found, in the order in which it was.
func (p printer) steps(patients []patient) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, each := range patients {
		fmt.Fprintf(w, "%s\t%s\t%s\n", each.Name, settled(each.Severity), each.summary())
		for _, f := range each.Findings {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Step, f.Severity, f.text())
		}
	}
	return w.Flush()
}

// text says what was found, in general and in particular.
func (f finding) text() string {
	if f.Severity == hosts.SeverityOK || f.Problem == "" {
		return f.Detail
	}
	return f.Problem + ": " + f.Detail
}

// summary says in a few words how a patient is.
func (each patient) summary() string {
	switch {
	case each.isNoBroker():
		return "none in the inventory"
	case each.About != aboutHost:
		return count(len(each.Findings), "step")
	}
	var words []string
	if each.Outcome != nil && *each.Outcome != string(hosts.OK) {
		words = append(words, *each.Outcome)
	}
	if each.Server != nil {
		name, _, _ := strings.Cut(*each.Server, " ")
		words = append(words, strings.Replace(name, "_", " ", 1))
	}
	if each.Systemd != nil {
		words = append(words, "systemd "+*each.Systemd)
	}
	if each.RoundTripMS != nil {
		decimals := 0
		switch ms := *each.RoundTripMS; {
		case ms < 1:
			decimals = 2
		case ms < 10:
			decimals = 1
		}
		words = append(words, fmt.Sprintf("%.*f ms round trip", decimals, *each.RoundTripMS))
	}
	if each.Systemd != nil {
		words = append(words, count(each.units, "unit"))
	}
	return strings.Join(words, ", ")
}

// A group is what several patients have in common.
type group struct {
	severity           hosts.Severity
	code, problem, why string
	patients           []string            // in order
	hosts              int                 // of them
	details            []string            // different ones, in order
	having             map[string][]string // who has a detail
	remedies           []string            // different ones
}

// groupFindings gathers alike findings, the worst last, and among equals the most common last.
func groupFindings(patients []patient) []*group {
	var groups []*group
	byCode := make(map[string]*group)
	for _, each := range patients {
		for _, f := range each.Findings {
			if f.Severity == hosts.SeverityOK {
				continue
			}
			key := f.Severity.String() + f.Code + f.Problem + f.Why
			g := byCode[key]
			if g == nil {
				g = &group{severity: f.Severity, code: f.Code, problem: f.Problem, why: f.Why, having: make(map[string][]string)}
				byCode[key] = g
				groups = append(groups, g)
			}
			g.add(each, f)
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.severity, b.severity), cmp.Compare(len(a.patients), len(b.patients)))
	})
	return groups
}

func (g *group) add(each patient, f finding) {
	if !slices.Contains(g.patients, each.Name) {
		g.patients = append(g.patients, each.Name)
		if each.About == aboutHost {
			g.hosts++
		}
	}
	detail := f.Detail
	if each.About == aboutBroker { // Of which there may be several, and the step tells which.
		detail = f.Step + ": " + detail
	}
	if g.having[detail] == nil {
		g.details = append(g.details, detail)
	}
	g.having[detail] = append(g.having[detail], each.Name)
	if f.Remedy != "" && !slices.Contains(g.remedies, f.Remedy) {
		g.remedies = append(g.remedies, f.Remedy)
	}
}

// How much of a group is printed: a person needs examples and a number; JSON has the rest.
const (
	maxDetails = 5
	maxNames   = 8
)

func (p printer) group(g *group) error {
	var b strings.Builder
	who := g.patients[0]
	if others := len(g.patients) - g.hosts; g.hosts > 1 || g.hosts > 0 && others > 0 {
		who = count(g.hosts, "host")
		if others > 0 {
			who += " and " + strings.Join(g.patients[g.hosts:], ", ")
		}
	}
	fmt.Fprintf(&b, "\n%s: %s: %s\n", p.paint(g.severity), who, cmp.Or(g.problem, g.code))
	shown := 0
	for _, detail := range g.details[:min(len(g.details), maxDetails)] {
		names := g.having[detail]
		shown += len(names)
		if len(g.patients) == 1 {
			fmt.Fprintf(&b, "  %s\n", detail)
			continue
		}
		fmt.Fprintf(&b, "  %s: %s\n", enumerate(names), detail)
	}
	if rest := g.rest(); len(rest) > 0 {
		fmt.Fprintf(&b, "  and likewise %s\n", enumerate(rest))
	}
	if g.why != "" {
		fmt.Fprintf(&b, "  why it matters: %s\n", g.why)
	}
	if len(g.remedies) > 0 {
		mend := "to mend it"
		if len(g.remedies) > 1 {
			mend += ", for example"
		}
		fmt.Fprintf(&b, "  %s: %s\n", mend, p.fillIn(g.remedies[0], g))
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// rest are the patients whose details are not shown.
func (g *group) rest() []string {
	var rest []string
	for _, detail := range g.details[min(len(g.details), maxDetails):] {
		rest = append(rest, g.having[detail]...)
	}
	return rest
}

func enumerate(names []string) string {
	if more := len(names) - maxNames; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

// fillIn puts what picks the group's hosts into a command.
func (p printer) fillIn(remedy string, g *group) string {
	return strings.ReplaceAll(remedy, selectorMark, p.selector(g.patients[:g.hosts]))
}

// selectorMark stands in remedies for what picks the hosts that they are for.
const selectorMark = "{selector}"

// selectorOf returns what picks hosts on the command line: their names or, where these are many, what picked them all.
func (a *app) selectorOf(selectors []string) func(names []string) string {
	return func(names []string) string {
		const many = 20
		if len(names) == 0 || len(names) > many {
			names = selectors
		}
		words := slices.Clone(names)
		if a.inventory != inventory.DefaultPath {
			words = slices.Insert(words, 0, "-i", a.inventory)
		}
		for i, word := range words {
			words[i] = shellWord(word)
		}
		return strings.Join(words, " ")
	}
}

// howToTrust is the command that adds keys of the inventory's hosts.
func (a *app) howToTrust() string {
	return strings.TrimSpace("service_manager trust " + a.selectorOf(nil)(nil))
}

// shellWord makes s one word of a POSIX shell, bare where that is safe.
func shellWord(s string) string {
	const special = " \t\n\"'`$&|;<>()*?[]{}!~#\\"
	if s != "" && !strings.ContainsAny(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// paint is the word for a severity, coloured on a terminal.
func (p printer) paint(s hosts.Severity) string {
	colour := map[hosts.Severity]string{hosts.SeverityWarning: "33", hosts.SeverityError: "31"}[s] // ECMA-48: yellow, red
	if !p.colours || colour == "" {
		return s.String()
	}
	return "\x1b[1;" + colour + "m" + s.String() + "\x1b[0m"
}

// colours reports whether out wants them (https://no-color.org).
func colours(out io.Writer) bool { return os.Getenv("NO_COLOR") == "" && canRedraw(out) }
